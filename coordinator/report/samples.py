"""One settled second as charts show it: what page and report draw, a tenth the size of its row."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

import msgspec

from coordinator.run.progress import Pauses, rate_at
from coordinator.run.timeline import Figures, Row
from loadgen.plan.plan import Plan
from loadgen.plan.schedule import Span
from loadgen.plan.sessions import Loop
from loadgen.stats.histogram import Histogram, highest_in
from loadgen.stats.reasons import LOST, fault_of
from loadgen.stats.tally import COUNTS

BOUNDS_US = tuple(round(step * 10**power) for power in range(1, 8) for step in (1, 1.5, 2, 3, 5, 7))
"""The upper bounds of the bars in microseconds: 10 µs to 70 s."""
Bar = tuple[float, int]
"""The upper bound in milliseconds, and how many values are not above it but above the bar's
before."""


def bars(values: Iterable[tuple[int, int]]) -> list[Bar]:
    """The bars of (microseconds, count) pairs, from the first that is filled to the last; the
    last holds all above."""
    counts = [0] * len(BOUNDS_US)
    for value, count in values:
        counts[min(bisect_left(BOUNDS_US, value), len(counts) - 1)] += count
    filled = [at for at, count in enumerate(counts) if count]
    return (
        [(BOUNDS_US[at] / 1000, counts[at]) for at in range(filled[0], filled[-1] + 1)]
        if filled
        else []
    )


def values_of(histogram: Histogram) -> Iterable[tuple[int, int]]:
    """What a histogram holds, as (microseconds, count)."""
    return ((highest_in(index), count) for index, count in histogram.counts.items())


STATISTICS = ("p50", "p90", "p99", "max")
AGENT_SERIES = (
    "open",
    "launched",
    "opened",
    "failed",
    "cpu_s",
    "rss",
    "handshake",
    "ping_rtt",
    "lag",
    "loop_lag",
)
"""What a sample tells of each agent, in this order; the last four are p99s in milliseconds."""
AGENT_P99S = AGENT_SERIES[6:]


class Sample(msgspec.Struct):
    """One second of the run."""

    second: int
    fleet: dict[str, float | None]
    """States at its end, what happened in it, CPU seconds used so far and resident bytes."""
    latencies: dict[str, list[float]]
    """STATISTICS in milliseconds of each histogram that is not empty."""
    agents: dict[str, list[float | None]]
    """AGENT_SERIES of each agent that reported."""
    invalid: list[str]
    """Why the second proves nothing; empty when it does."""
    ends: dict[str, int] = {}
    """How many connections failed, were closed or lost in it, by whose fault and why: `server:
    failed http_503`."""


class Sampler:
    """Makes samples of rows that come in the order in which they settled."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._spans = plan.schedule.spans
        self._window = verified_within(plan)
        self._pongs: dict[int, int] = {}

    def take(self, row: Row, gates: Sequence[float] = (), pauses: Pauses | None = None) -> Sample:
        """The sample of a row; a corrected row gives a sample that replaces the earlier one of its
        second.

        `gates` are the openings so far of the gates that phases wait at, in seconds from the start
        of the run.
        """
        ledger, rates = row.fleet.ledger, row.fleet.rates
        fleet: dict[str, float | None] = {
            "open": ledger.open,
            "connecting": ledger.connecting,
            "verified": self._verified(row),
            "asked": asked(self._plan, self._spans, gates, pauses or Pauses(), row.second),
            "failed": rates["failed"],
            "closed": rates["closed"],
            **{name: rates.get(name, 0) for name in COUNTS},  # an older run directory lacks some
            "cpu_s": row.fleet.cpu_s,
            "rss": row.fleet.rss,
        }
        latencies = {
            name: [figures[statistic] for statistic in STATISTICS]
            for name, figures in row.fleet.histograms.items()
        }
        agents = {name: _agent(figures) for name, figures in row.agents.items()}
        return Sample(row.second, fleet, latencies, agents, row.invalid, _ends(row.fleet))

    def _verified(self, row: Row) -> int | None:
        """How many of the open connections answered a ping of late; None where nobody can tell."""
        if self._window is None:
            return None
        self._pongs[row.second] = row.fleet.rates["pongs"]
        for old in [second for second in self._pongs if second <= row.second - 2 * self._window]:
            del self._pongs[old]
        answered = sum(
            self._pongs.get(row.second - back, 0)
            for back in range(min(self._window, row.second + 1))
        )
        return min(row.fleet.ledger.open, answered)


def _ends(figures: Figures) -> dict[str, int]:
    kinds = {"failed": figures.failed, "closed": figures.closed}
    ends = {
        f"{fault_of(why)}: {kind} {why}": number
        for kind, of in kinds.items()
        for why, number in of.items()
    }
    for kind, of in kinds.items():
        if figures.rates[kind] and not of:  # an older run directory does not say why
            ends[f"unknown: {kind}"] = figures.rates[kind]
    return ends | (
        {f"{fault_of(LOST)}: lost": figures.rates["lost"]} if figures.rates["lost"] else {}
    )


def _agent(figures: Figures) -> list[float | None]:
    rates = figures.rates
    p99s = (figures.histograms.get(name) for name in AGENT_P99S)
    return [
        figures.ledger.open,
        rates["launched"],
        rates["opened"],
        rates["failed"],
        figures.cpu_s,
        figures.rss,
        *(p99["p99"] if p99 else None for p99 in p99s),
    ]


def verified_within(plan: Plan) -> int | None:
    """In how many whole seconds no connection answers more than one ping, so that as many as answer
    are alive.

    The loop pings once a think time. Of other sessions nobody knows, and a silent one never pings:
    None.
    """
    loops = [one for one in plan.session_specs if isinstance(one, Loop) and one.ping != "none"]
    return (
        max(1, math.floor(min(loop.think for loop in loops)))
        if len(loops) == len(plan.session_specs)
        else None
    )


def asked(
    plan: Plan, spans: Sequence[Span], gates: Sequence[float], pauses: Pauses, second: int
) -> float:
    """How many arrivals the plan has in a second of the run; of random arrivals, how many it has
    on average."""
    if plan.phases:
        middle, paced = second + 0.5, [pauses.paced(gate) for gate in gates]
        return (
            0.0
            if pauses.cover(middle)
            else round(rate_at(plan, spans, paced, pauses.paced(middle)), 3)
        )
    end = plan.max / plan.rate
    begins, ends = (min(end, pauses.paced(age)) for age in (second, second + 1.0))
    return round(plan.rate * (ends - begins), 3)
