"""The row of a settled second, as a line of seconds.ndjson has it."""

from typing import TypeVar

import msgspec

from loadgen.machine.host import HostState
from loadgen.stats.fanin import Second, Slice
from loadgen.stats.histogram import Histogram
from loadgen.stats.ledger import Ledger
from loadgen.stats.tally import CheckCounts, Counts, Tally

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


class PartFigures(msgspec.Struct, omit_defaults=True):
    """One second of the users of one session, or of one target."""

    open: int
    """Connections open at its end."""
    alive: int | None = None
    """Of them: those that were alive, as in Figures."""
    counts: dict[str, int] = {}
    """Counts of this second alone, those that are not 0. A target may have fewer than 0 launched:
    users that were launched in an earlier second have connected to another one."""
    failed: dict[str, int] = {}
    """The connections that failed in this second alone, by reason."""
    closed: dict[str, int] = {}
    """The connections that were closed in this second alone, by reason."""
    histograms: dict[str, Percentiles] = {}
    """Of this second alone; empty ones are absent."""

    @property
    def before(self) -> int:
        """The connections that were open at its begin."""
        ended = sum(self.closed.values()) + self.counts.get("lost", 0)
        return self.open - self.counts.get("opened", 0) + ended


class Row(msgspec.Struct):
    """One settled second, as a line of seconds.ndjson has it."""

    second: int
    fleet: Figures
    agents: dict[str, Figures]
    """Of a large fleet those whose turn it is: see `Timeline`."""
    missing: list[str]
    """Agents that had not reported when it settled."""
    invalid: list[str]
    """The reasons that its numbers prove nothing; empty when they count."""
    corrects: bool = False
    """True when it replaces an earlier row of the same second."""
    saturated: list[str] = []
    """The ways in which machines bounded what was measured; its latencies are theirs, too."""
    reported: int = 0
    """The number of agents that had reported; 0 in an older run directory."""
    parts: dict[str, PartFigures] = {}
    """The figures by session and by target, `session.NAME` and `target.URL`, where results are
    split."""


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


def figures_of(ledger: Ledger, total: Tally, second: Second) -> Figures:
    """Returns the figures of a second; `ledger` and `total` are those of its end."""
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


def part_figures_of(
    split: dict[str, Slice], opened: dict[str, int], *, verified: bool
) -> dict[str, PartFigures]:
    """Returns the figures of a second by session and by target.

    `opened` has the connections open at its end; `verified`: life is.
    """
    return {
        name: PartFigures(
            opened[name],
            (one.alive or 0) if verified else None,
            {count: number for count, number in one.tally.counts().items() if number},
            dict(one.tally.failed),
            dict(one.tally.closed),
            summaries(one.tally.histograms()),
        )
        for name, one in split.items()
    }
