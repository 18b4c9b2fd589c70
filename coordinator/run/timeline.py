"""The timeline of a run: a row for each settled second.

Each has the counts of the run at its end.

A second may settle twice: without the agents that had not reported, and again, corrected, when they
have.
"""

from typing import TypeVar

import msgspec

from coordinator.run.hosts import Hosts
from loadgen.machine.host import HostState
from loadgen.stats.fanin import Second, Settled
from loadgen.stats.histogram import Histogram
from loadgen.stats.tally import BY_NAME, CheckCounts, Counts, Ledger, Tally

APART = 0.05
"""Seconds by which the seconds of two agents may begin apart."""

Named = TypeVar("Named")


class Percentiles(msgspec.Struct, kw_only=True):
    """The summary of a histogram: its count, and its percentiles in milliseconds.

    Older run directories have no mean and no p95.
    """

    count: int
    mean: float | None = None
    p50: float
    p90: float
    p95: float | None = None
    p99: float
    p999: float
    max: float


class Rates(Counts, kw_only=True, omit_defaults=False):
    """The events of one second alone."""

    failed: int = 0
    closed: int = 0


class Figures(msgspec.Struct, omit_defaults=True):
    """One second of the fleet, or of one agent."""

    ledger: Ledger
    """At the end of the second."""
    rates: Rates
    """Counts of this second alone."""
    counts: dict[str, int]
    """Counts of the run up to the end of this second."""
    histograms: dict[str, Percentiles]
    """Of this second alone; empty ones are absent."""
    cpu_s: float
    """CPU seconds used since the start of the processes."""
    rss: int
    """Resident bytes."""
    counters: dict[str, int] = {}
    """Counts that sessions keep, by their names, up to the end of this second."""
    failed: dict[str, int] = {}
    """The connections that failed in this second alone, by reason."""
    closed: dict[str, int] = {}
    """The connections that were closed in this second alone, by reason."""
    timings: dict[str, Percentiles] = {}
    """Timings that sessions keep, by their names, of this second alone."""
    checks: dict[str, CheckCounts] = {}
    """The checks of sessions, by their names, up to the end of this second."""
    http_replies: dict[str, int] = {}
    """The replies to HTTP requests in this second alone, by status."""
    http_failed: dict[str, int] = {}
    """The HTTP requests that got no reply in this second alone, by reason."""
    alive: int | None = None
    """Of the open connections at the end of the second: those whose 101 or pong came within the
    plan's window. None where no session can ping."""
    host: HostState | None = None
    """The state of the agent's host in this second; None where unknown, and for the fleet."""


class Row(msgspec.Struct):
    """One settled second, as a line of seconds.ndjson has it."""

    second: int
    fleet: Figures
    agents: dict[str, Figures]
    missing: list[str]
    """Agents that had not reported when it settled."""
    invalid: list[str]
    """The reasons that its numbers prove nothing; empty when they count."""
    corrects: bool = False
    """True when it replaces an earlier row of the same second."""
    saturated: list[str] = []
    """The ways in which machines bounded what was measured; its latencies are theirs, too."""


class Entry(msgspec.Struct):
    """A row, and the part of its tally that no earlier row had.

    The sum of `fresh` over all entries is the whole run.
    """

    row: Row
    fresh: Tally


class Partial(msgspec.Struct):
    """A second that settled without some agents."""

    total: Tally
    """The counts of the whole run up to its end; no histograms."""
    agents: dict[str, Figures]
    """The figures of the agents that have reported."""
    missing: set[str]
    """The agents that have not."""


class Timeline:
    """Makes rows of settled seconds, and keeps of each what the summary needs.

    That is three numbers and what was wrong.

    Subtle: a row has the totals of the run up to its second, and a correction comes when the totals
    have grown beyond it. So a `Partial` keeps the totals of every second that settled without some
    agents. When their reports come, these are added to the totals of their own second and of all
    later partial ones. No complete row has to change: the seconds of one agent come in order, so
    while one of them is missing, all later ones are missing too.
    """

    def __init__(self, planned: int) -> None:
        self.planned = planned
        self.total = Tally()
        """The counts of all seconds that have settled."""
        self.last: Row | None = None
        self.latest: dict[str, Figures] = {}
        """The newest figures of each agent."""
        self.open: dict[int, int] = {}
        """Connections open at the end of each second."""
        self.peaks: dict[int, tuple[int, int | None]] = {}
        """Connections open at once within each second: at least, and at most; None where that is
        unknown."""
        self.alive: dict[int, int | None] = {}
        """Those of them that were alive, as in the rows."""
        self.launched: dict[int, int] = {}
        """Connections of the plan launched in each second with any; relaunches do not count."""
        self.invalid: dict[int, list[str]] = {}
        """The reasons that the numbers of a second prove nothing, of each such second."""
        self.saturated: dict[int, list[str]] = {}
        """The ways in which machines bounded what was measured, of each such second."""
        self.hosts = Hosts()
        self.rss_peak: dict[str, int] = {}
        """The most resident bytes that each agent had at the end of a second."""
        self._shares: dict[str, int] = {}
        self._agents: dict[str, Tally] = {}
        self._partial: dict[int, Partial] = {}
        self._marks: dict[int, str] = {}
        """The faults of single seconds that no agent reports, by number."""

    def mark(self, second: int, why: str) -> None:
        """Makes a second invalid that has not settled yet."""
        self._marks[second] = why

    def expect(self, name: str, share: int, host: str = "") -> None:
        """Adds an agent with `share` connections, on a host that others may be on too."""
        self.hosts.expect(name, host or name)
        self._shares[name] = share
        self._agents[name] = Tally()
        self.rss_peak[name] = 0

    def set_share(self, name: str, share: int) -> None:
        """Changes how many connections an agent has."""
        self._shares[name] = share

    def lose(self, name: str) -> None:
        """Waits no longer for the seconds of an agent that have not come."""
        for number, partial in list(self._partial.items()):
            partial.missing.discard(name)
            if not partial.missing:
                del self._partial[number]

    def add(self, settled: Settled) -> Entry:
        """Adds a settled second and returns its entry.

        Seconds come in ascending order; corrections come at any time.
        """
        number = settled.second.number
        earlier = self._partial.pop(number, None)
        known = earlier.agents if earlier else {}
        parts = {name: part for name, part in settled.parts.items() if name not in known}
        fresh = self._count(number, parts)
        total = self.total
        if earlier:
            total = earlier.total
            total.merge(counts_only(fresh))
        agents = known | {name: self._figures_of(name, part) for name, part in parts.items()}
        if settled.missing:
            self._partial[number] = Partial(counts_only(total), agents, set(settled.missing))
        ledger = Ledger.of(self.planned, total)
        wrong = self._wrong(settled, ledger, corrects=earlier is not None)
        row = Row(
            number,
            _figures(ledger, total, settled.second),
            agents,
            settled.missing,
            wrong,
            earlier is not None,
            self._saturated(settled),
        )
        self._remember(row)
        self.peaks[number] = _peak_of(settled, row.fleet)
        return Entry(row, fresh)

    @property
    def peak(self) -> tuple[int, int | None]:
        """The bounds of the most connections that were open at once: least and most."""
        least = max((least for least, _ in self.peaks.values()), default=0)
        most = [most for _, most in self.peaks.values() if most is not None]
        known = len(most) == len(self.peaks)
        return least, max(most, default=0) if known else None

    def _count(self, number: int, parts: dict[str, Second]) -> Tally:
        """Adds new parts of a second to all totals, and returns their sum."""
        fresh = Tally()
        for name, part in parts.items():
            fresh.merge(part.tally)
            self._agents[name].merge(part.tally)
            self.rss_peak[name] = max(self.rss_peak[name], part.rss)
        self.total.merge(fresh)
        for later, partial in self._partial.items():
            if later > number:
                partial.total.merge(counts_only(fresh))
        return fresh

    def _figures_of(self, name: str, part: Second) -> Figures:
        total = self._agents[name]
        return _figures(Ledger.of(self._shares[name], total), total, part)

    def _wrong(self, settled: Settled, ledger: Ledger, *, corrects: bool) -> list[str]:
        wrong = [f"no report from {', '.join(settled.missing)}"] if settled.missing else []
        if settled.lost:
            wrong.append(f"no report from {', '.join(settled.lost)} before the loss")
        wrong += [
            f"no report from worker {number} of agent {name} before it was gone"
            for name, part in settled.parts.items()
            for number in part.delays.unreported
        ]
        wrong += filter(None, [self._marks.get(settled.second.number)])
        # What agents hold can be compared with the counts only while every second is complete.
        exact = not self._partial and not corrects
        merged = [name for name, part in settled.parts.items() if part.span != 1]
        if merged:
            wrong.append(f"{', '.join(merged)} reported the counts of several seconds as one")
        wrong += [
            f"the ledger does not add up: {law}"
            for law in ledger.breaches(settled.second.held if exact else None)
        ]
        if settled.second.tally.lost:
            wrong.append(
                f"{settled.second.tally.lost:,} open connections were lost with their agent or"
                " worker"
            )
        wrong += [
            _standstill(name, part.delays.stalls)
            for name, part in settled.parts.items()
            if part.delays.stalls
        ]
        wrong += [
            f"the clock of {name} and that of the run went apart by {part.delays.stepped:.1f} s"
            for name, part in settled.parts.items()
            if part.delays.stepped
        ]
        delays = settled.second.delays
        if delays.late:
            wrong.append(
                f"{delays.late:,} {'launch was' if delays.late == 1 else 'launches were'} late by"
                f" up to {delays.late_by:.2g} s"
            )
        return wrong

    def _saturated(self, settled: Settled) -> list[str]:
        waited = (
            ["launches waited for a place among the handshakes in flight"]
            if settled.second.delays.waited
            else []
        )
        states = {name: part.host for name, part in settled.parts.items() if part.host is not None}
        return waited + self.hosts.add(states)

    def _remember(self, row: Row) -> None:
        if self.last is None or row.second >= self.last.second:
            self.last = row
            self.latest |= row.agents
        self.open[row.second] = row.fleet.ledger.open
        self.alive[row.second] = row.fleet.alive
        arrived = row.fleet.rates.launched - row.fleet.rates.relaunched
        if arrived:
            self.launched[row.second] = arrived
        if row.invalid:
            self.invalid[row.second] = row.invalid
        else:
            self.invalid.pop(row.second, None)
        if row.saturated:  # a correction has all that the earlier row had
            self.saturated[row.second] = row.saturated


def summaries(histograms: dict[str, Histogram]) -> dict[str, Percentiles]:
    """Returns the percentiles, in milliseconds, of every histogram that is not empty."""
    return {
        name: msgspec.convert(histogram.summary(), Percentiles)
        for name, histogram in histograms.items()
        if histogram.counts
    }


def in_order(named: dict[str, Named]) -> dict[str, Named]:
    """Returns the same items in the order of their names."""
    return dict(sorted(named.items()))


def copied(checks: dict[str, CheckCounts]) -> dict[str, CheckCounts]:
    """Returns the checks as they stand, in the order of their names."""
    return {name: msgspec.structs.replace(checks[name]) for name in sorted(checks)}


def _figures(ledger: Ledger, total: Tally, second: Second) -> Figures:
    tally = second.tally
    failed = sum(tally.failed.values())
    closed = sum(tally.closed.values())
    return Figures(
        ledger,
        Rates(**tally.counts(), failed=failed, closed=closed),
        total.counts(),
        summaries(tally.histograms()),
        round(second.cpu_s, 3),
        second.rss,
        counters=in_order(total.counters),
        failed=dict(tally.failed),
        closed=dict(tally.closed),
        timings=summaries(in_order(tally.timings)),
        checks=copied(total.checks),
        http_replies=in_order(tally.http_replies),
        http_failed=in_order(tally.http_failed),
        alive=second.held.alive,
        host=second.host,
    )


def _peak_of(settled: Settled, fleet: Figures) -> tuple[int, int | None]:
    """Returns how many connections were open at once: at least, and at most.

    Subtle: at its begin and at its end as many were open as the ledger says. In between, agents
    know their own peaks: the highest is the least, and their sum a bound. It is the peak itself
    where all of them had theirs at the same time. What contradicts the ledger is not believed.
    """
    end, rates = fleet.ledger.open, fleet.rates
    begin = end - rates.opened + rates.closed + rates.lost
    least, most = max(begin, end), begin + rates.opened
    parts = settled.parts.values()
    unreported = settled.missing or settled.lost or settled.second.delays.unreported
    if unreported or any(part.span != 1 for part in parts):
        return least, None
    peak = settled.second.held.peak
    if not peak.known or not least <= peak.count <= most:
        return least, max(least, most)
    if peak.at_once(APART if len(parts) > 1 else 0.0):
        return peak.count, peak.count
    own = [part.held.peak.count for part in parts if part.held.peak.at_once()]
    return max([least, *own]), peak.count


def _standstill(agent: str, stalls: dict[int, float]) -> str:
    """Returns which workers of an agent stood still, and for how long."""
    workers = sorted(stalls)
    if len(workers) == 1:
        return f"worker {workers[0]} of agent {agent} stood still for {stalls[workers[0]]:.2g} s"
    return (
        f"workers {', '.join(map(str, workers))} of agent {agent} stood still, for up to"
        f" {max(stalls.values()):.2g} s"
    )


def counts_only(tally: Tally) -> Tally:
    """Returns a tally with the same counts and no histogram."""
    counts = Tally(counters=dict(tally.counters), checks=copied(tally.checks))
    for name in BY_NAME:
        setattr(counts, name, dict(getattr(tally, name)))
    for name, number in tally.counts().items():
        setattr(counts, name, number)
    return counts
