"""One settled second as charts show it: a tenth of the size of its row."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import msgspec

from coordinator.report.own import STATISTICS, OwnFigures, OwnSeconds
from coordinator.run.hosts import mean
from coordinator.run.progress import Pauses, rate_at
from coordinator.run.row import Figures, PartFigures, Row
from coordinator.storage.reader import RunRecord
from loadgen.machine.host import HostState
from loadgen.plan.plan import Plan
from loadgen.plan.schedule import PhaseArrivals
from loadgen.plan.steer import PlanChange, steered
from loadgen.stats.histogram import Histogram, highest_in
from loadgen.stats.reasons import fault_of

BOUNDS_US = tuple(round(step * 10**power) for power in range(1, 8) for step in (1, 1.5, 2, 3, 5, 7))
"""The upper bounds of the bars in microseconds: 10 µs to 70 s."""
Bar = tuple[float, int]
"""The upper bound in milliseconds, and how many values are between it and the bound before."""


def bars(values: Iterable[tuple[int, int]]) -> list[Bar]:
    """Returns the bars of (microseconds, count) pairs.

    They reach from the first filled bar to the last.

    The last bar also holds every value above its bound.
    """
    counts = [0] * len(BOUNDS_US)
    for value, count in values:
        counts[min(bisect_left(BOUNDS_US, value), len(counts) - 1)] += count
    filled = [at for at, count in enumerate(counts) if count]
    if not filled:
        return []
    return [(BOUNDS_US[at] / 1000, counts[at]) for at in range(filled[0], filled[-1] + 1)]


def values_of(histogram: Histogram) -> Iterable[tuple[int, int]]:
    """Returns the contents of a histogram as (microseconds, count) pairs."""
    return ((highest_in(index), count) for index, count in histogram.counts.items())


AGENT_P99S = ("handshake", "ping_rtt", "lag", "loop_lag")
AGENT_HOST = ("host_busy", "host_steal", "host_retransmits")
AGENT_SERIES = ("open", "launched", "opened", "failed", "cpu_s", "rss", *AGENT_P99S, *AGENT_HOST)
"""The figures of each agent in a sample, in this order: four p99s are in milliseconds, the busy and
the stolen time of its host in percent, on average over the cores."""


class Sample(msgspec.Struct):
    """One second of the run."""

    second: int
    fleet: dict[str, float | None]
    """States at its end, what happened in it, CPU seconds used so far and resident bytes."""
    latencies: dict[str, list[float | None]]
    """STATISTICS in milliseconds of each histogram that is not empty."""
    agents: dict[str, list[float | None]]
    """AGENT_SERIES of each agent that the row has."""
    invalid: list[str]
    """Why the second proves nothing; empty when it is valid."""
    ends: dict[str, int] = {}
    """How many connections failed, were closed or lost in it, by whose fault and why: `server:
    failed http_503`."""
    saturated: list[str] = []
    """The ways in which machines bounded what was measured; empty when they did not."""
    own: OwnFigures = msgspec.field(default_factory=OwnFigures)
    """The counters, checks and timings of sessions in it."""
    reported: int = 0
    """The number of agents that had reported."""
    parts: dict[str, dict[str, float | None]] = {}
    """The figures by session and by target, where results are split, by the names of the CSV's
    columns: counts that are not 0, and STATISTICS in milliseconds."""


class Sampler:
    """Makes samples of rows that come in the order in which they settled.

    They have at most `most_own` names of what sessions count, check and time each; None: all.
    """

    def __init__(self, plan: Plan, most_own: int | None = None) -> None:
        self._plan = plan
        self._changes: list[PlanChange] = []
        self._arrivals = plan.schedule.arrivals
        self._own = OwnSeconds(most_own)

    def take(
        self,
        row: Row,
        gates: Sequence[float] = (),
        pauses: Pauses | None = None,
        changes: Sequence[PlanChange] = (),
    ) -> Sample:
        """Returns the sample of a row.

        The sample of a corrected row replaces the earlier one of its second. `gates` are the
        openings so far of the gates that phases wait at, in seconds from the start
        of the run; `changes` are those of the plan so far.
        """
        if len(changes) != len(self._changes):
            self._changes = list(changes)
            self._arrivals = steered(self._plan, changes).arrivals
        asked = arrivals_asked(self._arrivals, gates, pauses or Pauses(), row.second)
        fleet: dict[str, float | None] = {
            "open": row.fleet.ledger.open,
            "connecting": row.fleet.ledger.connecting,
            "alive": row.fleet.alive,
            "asked": asked,
            **msgspec.structs.asdict(row.fleet.rates),
            "cpu_s": row.fleet.cpu_s,
            "rss": row.fleet.rss,
        }
        latencies = {
            name: [getattr(percentiles, statistic) for statistic in STATISTICS]
            for name, percentiles in row.fleet.histograms.items()
        }
        agents = {name: _agent(figures) for name, figures in row.agents.items()}
        ends = _ends(row.fleet)
        own = self._own.take(row.second, row.fleet)
        parts = {name: _part(figures) for name, figures in row.parts.items()}
        return Sample(
            row.second,
            fleet,
            latencies,
            agents,
            row.invalid,
            ends,
            row.saturated,
            own,
            row.reported or len(row.agents),
            parts,
        )


def _ends(figures: Figures) -> dict[str, int]:
    kinds = (
        ("failed", figures.failed, figures.rates.failed),
        ("closed", figures.closed, figures.rates.closed),
    )
    ends: dict[str, int] = {}
    for kind, reasons, total in kinds:
        for reason, number in reasons.items():
            ends[f"{fault_of(reason)}: {kind} {reason}"] = number
        if total and not reasons:  # the rows of an older run directory have no reasons
            ends[f"unknown: {kind}"] = total
    if figures.rates.lost:
        ends[f"{fault_of('lost')}: lost"] = figures.rates.lost
    return ends


def _agent(figures: Figures) -> list[float | None]:
    histograms = (figures.histograms.get(name) for name in AGENT_P99S)
    return [
        figures.ledger.open,
        figures.rates.launched,
        figures.rates.opened,
        figures.rates.failed,
        figures.cpu_s,
        figures.rss,
        *(histogram.p99 if histogram else None for histogram in histograms),
        *_host(figures.host),
    ]


def _part(figures: PartFigures) -> dict[str, float | None]:
    return {
        "open": figures.open,
        "alive": figures.alive,
        **figures.counts,
        "failed": sum(figures.failed.values()),
        "closed": sum(figures.closed.values()),
        **{
            f"{name}_{statistic}_ms": getattr(percentiles, statistic)
            for name, percentiles in figures.histograms.items()
            for statistic in STATISTICS
        },
    }


def _host(state: HostState | None) -> tuple[float | None, ...]:
    if state is None:
        return (None,) * len(AGENT_HOST)
    return mean(state.busy), mean(state.steal), state.retransmits


def samples_of(record: RunRecord) -> list[Sample]:
    """Returns the samples of all rows of a run."""
    sampler = Sampler(record.plan)
    gates = _gates_of(record)
    pauses = Pauses(record.summary.pauses)
    changes = [change.change for change in record.summary.changes]
    return [sampler.take(row, gates, pauses, changes) for row in record.seconds]


def _gates_of(record: RunRecord) -> list[float]:
    """The seconds at which the gates that phases wait at opened.

    Gates that never opened are left out.
    """
    # An older run directory has no phases, and a run without phases has no gates.
    begun = zip(record.plan.schedule.spans, record.summary.phases, strict=False)
    opened = {
        span.gate: phase.begin - span.begin for span, phase in begun if phase.begin is not None
    }
    return [opened[gate] for gate in sorted(opened) if gate]


def arrivals_asked(
    arrivals: Sequence[PhaseArrivals], gates: Sequence[float], pauses: Pauses, second: int
) -> float:
    """Returns the arrivals that the plan has in a second of the run.

    Of random arrivals it is the mean. `gates` are in seconds from the start of the run.
    """
    if not arrivals[0].open_ended:
        middle = second + 0.5
        if pauses.cover(middle):
            return 0.0
        paced = [pauses.paced(gate) for gate in gates]
        return round(rate_at(arrivals, paced, pauses.paced(middle)), 3)
    begin, end = pauses.paced(second), pauses.paced(second + 1.0)
    overlaps = (
        (piece.phase.rate, min(piece.until, end) - max(piece.begin, begin)) for piece in arrivals
    )
    return round(sum(rate * max(0.0, overlap) for rate, overlap in overlaps), 3)
