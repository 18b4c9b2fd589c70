"""The timeline of a run: a row for each settled second.

Each has the counts of the run at its end.

A second may settle twice: without the agents that had not reported, and again, corrected, when they
have.
"""

import msgspec

from coordinator.run.agents import MAX_DETAILED
from coordinator.run.hosts import Hosts
from coordinator.run.row import Figures, Row, copied, figures_of, part_figures_of
from coordinator.run.validity import why_invalid
from loadgen.plan.slices import NOT_SPLIT, Slices
from loadgen.stats.fanin import Second, Settled, Slice, merge_slices
from loadgen.stats.ledger import Ledger
from loadgen.stats.tally import BY_NAME, Tally

APART = 0.05
"""Seconds by which the seconds of two agents may begin apart."""


class Entry(msgspec.Struct):
    """A row, and the part of its tally that no earlier row had.

    The sum of `fresh` over all entries is the whole run.
    """

    row: Row
    fresh: Tally
    parts: dict[str, Tally] = {}
    """The same by session and by target, where results are split."""


class Partial(msgspec.Struct):
    """A second that settled without some agents."""

    total: Tally
    """The counts of the whole run up to its end; no histograms."""
    agents: dict[str, Figures]
    """The figures of the agents that have reported and whose turn it is."""
    reported: set[str]
    """The agents that have reported."""
    missing: set[str]
    """The agents that have not."""
    open: dict[str, int] = {}
    """Connections open at its end, by session and by target."""


class Timeline:
    """Makes rows of settled seconds, and keeps of each what the summary needs.

    That is three numbers and what was wrong.

    Subtle: a row has the totals of the run up to its second, and a correction comes when the totals
    have grown beyond it. So a `Partial` keeps the totals of every second that settled without some
    agents. When their reports come, these are added to the totals of their own second and of all
    later partial ones. No complete row has to change: the seconds of one agent come in order, so
    while one of them is missing, all later ones are missing too.

    The agents of a large fleet take turns: of more than MAX_DETAILED, a row has the figures of
    every second, third… agent, so that it does not grow with their number. Those of the fleet, and
    what was wrong, are of all agents in every row.
    """

    def __init__(self, planned: int, slices: Slices = NOT_SPLIT) -> None:
        self.planned = planned
        self.slices = slices
        """The sessions and targets by which the results are split."""
        self._open = dict.fromkeys(slices.parts, 0)
        """Connections open after all seconds that have settled, by session and by target."""
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
        self.takes_turns = True
        """False where every row has the figures of all agents, however many there are."""
        self._shares: dict[str, int] = {}
        self._places: dict[str, int] = {}
        """The number of agents before each agent."""
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
        self._places[name] = len(self._places)
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
        known = earlier.reported if earlier else set()
        parts = {name: part for name, part in settled.parts.items() if name not in known}
        fresh = settled.fresh
        self._count(number, parts, fresh)
        whole = self._split(settled.second.slices)
        split = whole if earlier is None else self._split(_slices_in(parts))
        self._count_open(number, split)
        total, opened = self.total, self._open
        if earlier:
            total, opened = earlier.total, earlier.open
            total.merge(counts_only(fresh))
            _add_open(opened, split)
        agents = {
            **(earlier.agents if earlier else {}),
            **{
                name: self._figures_of(name, part)
                for name, part in parts.items()
                if self._has_turn(name, number)
            },
        }
        if settled.missing:
            self._partial[number] = Partial(
                counts_only(total),
                agents,
                set(settled.parts),
                set(settled.missing),
                dict(opened),
            )
        ledger = Ledger.of(self.planned, total)
        # What agents hold can be compared with the counts only while every second is complete.
        exact = not self._partial and earlier is None
        wrong = why_invalid(settled, ledger, self._marks.get(number, ""), exact=exact)
        row = Row(
            number,
            figures_of(ledger, total, settled.second),
            agents,
            settled.missing,
            wrong,
            earlier is not None,
            self._saturated(settled),
            len(settled.parts),
            part_figures_of(whole, opened, verified=settled.second.held.alive is not None),
        )
        self._remember(row)
        self.peaks[number] = _peak_of(settled, row.fleet)
        return Entry(row, fresh, {name: one.tally for name, one in split.items()})

    def _split(self, slices: dict[int, Slice]) -> dict[str, Slice]:
        """Returns what was counted in slices, by session and by target."""
        split = {name: Slice() for name in self.slices.parts}
        for place, one in slices.items():
            for name in self.slices.parts_of(place):
                split[name].merge(one)
        for one in split.values():
            one.tally.launched -= one.moved
        return split

    def _count_open(self, number: int, split: dict[str, Slice]) -> None:
        _add_open(self._open, split)
        for later, partial in self._partial.items():
            if later > number:
                _add_open(partial.open, split)

    @property
    def peak(self) -> tuple[int, int | None]:
        """The bounds of the most connections that were open at once: least and most."""
        least = max((least for least, _ in self.peaks.values()), default=0)
        most = [most for _, most in self.peaks.values() if most is not None]
        known = len(most) == len(self.peaks)
        return least, max(most, default=0) if known else None

    def _count(self, number: int, parts: dict[str, Second], fresh: Tally) -> None:
        """Adds new parts of a second, and their sum, to all totals."""
        for name, part in parts.items():
            self._agents[name].merge_counts(part.tally)
            self.rss_peak[name] = max(self.rss_peak[name], part.rss)
        self.total.merge(fresh)
        for later, partial in self._partial.items():
            if later > number:
                partial.total.merge(counts_only(fresh))

    def _has_turn(self, name: str, second: int) -> bool:
        turns = -(-len(self._places) // MAX_DETAILED)
        return not self.takes_turns or (self._places[name] - second) % turns == 0

    def _figures_of(self, name: str, part: Second) -> Figures:
        total = self._agents[name]
        return figures_of(Ledger.of(self._shares[name], total), total, part)

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


def _add_open(opened: dict[str, int], split: dict[str, Slice]) -> None:
    """Adds what has opened and ended to the open connections of each part."""
    for name, one in split.items():
        ended = sum(one.tally.closed.values()) + one.tally.lost
        opened[name] += one.tally.opened - ended


def _slices_in(parts: dict[str, Second]) -> dict[int, Slice]:
    """Returns the slices of several parts of a second."""
    slices: dict[int, Slice] = {}
    for part in parts.values():
        merge_slices(slices, part.slices)
    return slices


def counts_only(tally: Tally) -> Tally:
    """Returns a tally with the same counts and no histogram."""
    counts = Tally(counters=dict(tally.counters), checks=copied(tally.checks))
    for name in BY_NAME:
        setattr(counts, name, dict(getattr(tally, name)))
    for name, number in tally.counts().items():
        setattr(counts, name, number)
    return counts
