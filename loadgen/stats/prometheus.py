"""The Prometheus metrics of agent and coordinator, read from running totals.

Nothing is counted for Prometheus alone. A scrape walks over the buckets of some histograms, and of
those that sessions record themselves; its cost does not grow with the number of connections.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from loadgen.stats.fanin import Slice
from loadgen.stats.histogram import Histogram
from loadgen.stats.ledger import Ledger
from loadgen.stats.reasons import KINDS, unexpected
from loadgen.stats.tally import COUNTS, HISTOGRAMS, METRICS, Tally
from loadgen.stats.vitals import WorkerVitals
from loadgen.version import VERSION

BOUNDS = (500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000)
BOUNDS_US = (*BOUNDS, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000)
"""The upper bounds of the exported buckets in microseconds, from 0.5 ms to 60 s."""


class Snapshot(msgspec.Struct):
    """The numbers of one agent at the moment of a scrape."""

    agent: str | None
    """The value of the label `agent`; None on the agent itself, which has no such label."""
    ledger: Ledger
    """With `planned` 0 where the plan's part is unknown; `not_started` is not exported then."""
    total: Tally
    workers: tuple[WorkerVitals, ...] = ()
    alive: int | None = None
    """The connections alive at the end of the newest second; None where life is not verified."""
    alive_within: int | None = None
    """The window of `alive` in whole seconds."""
    detailed: bool = True
    """False where histograms are not known."""
    session: str | None = None
    """The value of the label `session`; None where results are not split by session."""

    @property
    def labels(self) -> list[str]:
        """The values of the labels that every sample has."""
        return [value for value in (self.agent, self.session) if value is not None]

    def with_sessions(self, sessions: dict[str, Slice]) -> "list[Snapshot]":
        """Returns this snapshot, and one for each session.

        It has what is not split by session, and an empty label. Without sessions it is the only
        one, and has no label.
        """
        if not sessions:
            return [self]
        rest = replace(self, alive=None, session="")
        return [rest, *(self._of_session(name, one) for name, one in sessions.items())]

    def _of_session(self, name: str, one: Slice) -> "Snapshot":
        return Snapshot(
            self.agent,
            one.ledger,
            one.tally,
            alive=None if self.alive is None else one.alive or 0,
            alive_within=self.alive_within,
            session=name,
        )


class LoadCollector(Collector):
    """Collects all metric families from the snapshots that `read` returns."""

    def __init__(self, read: Callable[[], Iterable[Snapshot]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yields one family after the other, each with the samples of all snapshots."""
        snapshots = list(self._read())
        labels = [
            label
            for label in ("agent", "session")
            if any(getattr(snapshot, label) is not None for snapshot in snapshots)
        ]
        yield InfoMetricFamily("loadgen_build", "The running version.", {"version": VERSION})
        yield _states(snapshots, labels)
        yield _alive(snapshots, labels)
        yield from _counters(snapshots, labels)
        yield from _reasons(snapshots, labels)
        yield from _histograms(snapshots, labels)
        yield from _session_metrics(snapshots, labels)
        yield from _vitals(snapshots, labels)


def registry_of(read: Callable[[], Iterable[Snapshot]]) -> CollectorRegistry:
    """Returns a registry with these metrics alone."""
    registry = CollectorRegistry()
    registry.register(LoadCollector(read))
    return registry


class _Family(Collector):
    """One metric family, to be rendered alone."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """Yields the family."""
        yield self._family


def render(registry: CollectorRegistry) -> Iterator[bytes]:
    """Yields the body of a scrape, one metric family after the other.

    Whoever takes them may do something else in between: those of many agents are large.
    """
    for family in registry.collect():
        yield generate_latest(_Family(family))


def _states(snapshots: Sequence[Snapshot], labels: Sequence[str]) -> Metric:
    family = GaugeMetricFamily(
        "loadgen_connections", "Connections by state.", labels=[*labels, "state"]
    )
    for snapshot in snapshots:
        if snapshot.ledger.planned > 0:
            family.add_metric([*snapshot.labels, "not_started"], snapshot.ledger.not_started)
        family.add_metric([*snapshot.labels, "connecting"], snapshot.ledger.connecting)
        family.add_metric([*snapshot.labels, "open"], snapshot.ledger.open)
        family.add_metric([*snapshot.labels, "lost"], snapshot.ledger.lost)
    return family


def _alive(snapshots: Sequence[Snapshot], labels: Sequence[str]) -> Metric:
    family = GaugeMetricFamily(
        "loadgen_connections_alive",
        "Open connections whose 101 or a pong came within this number of seconds.",
        labels=[*labels, "within"],
    )
    for snapshot in snapshots:
        if snapshot.alive is not None:
            family.add_metric([*snapshot.labels, str(snapshot.alive_within)], snapshot.alive)
    return family


def _counters(snapshots: Sequence[Snapshot], labels: Sequence[str]) -> Iterator[Metric]:
    for count in COUNTS:
        family = CounterMetricFamily(*METRICS[count], labels=labels)
        for snapshot in snapshots:
            family.add_metric(snapshot.labels, getattr(snapshot.total, count))
        yield family


def _reasons(snapshots: Sequence[Snapshot], labels: Sequence[str]) -> Iterator[Metric]:
    for kind in KINDS:
        family = CounterMetricFamily(*METRICS[kind], labels=[*labels, "reason"])
        for snapshot in snapshots:
            for reason, count in sorted(getattr(snapshot.total, kind).items()):
                family.add_metric([*snapshot.labels, reason], count)
        yield family
    for ends, label in (("http_replies", "status"), ("http_failed", "reason")):
        family = CounterMetricFamily(*METRICS[ends], labels=[*labels, label])
        for snapshot in snapshots:
            for end, count in sorted(getattr(snapshot.total, ends).items()):
                family.add_metric([*snapshot.labels, end], count)
        yield family
    family = CounterMetricFamily(
        "loadgen_connections_unexpected",
        "Of the closed: those that plan, operator and session did not ask for.",
        labels=[*labels, "reason"],
    )
    for snapshot in snapshots:
        for reason, count in sorted(unexpected(snapshot.total.closed).items()):
            family.add_metric([*snapshot.labels, reason], count)
    yield family


def _histograms(snapshots: Sequence[Snapshot], labels: Sequence[str]) -> Iterator[Metric]:
    for kind in (name for name in HISTOGRAMS if name in METRICS):
        family = HistogramMetricFamily(*METRICS[kind], labels=labels)
        for snapshot in (one for one in snapshots if one.detailed):
            histogram: Histogram = getattr(snapshot.total, kind)
            family.add_metric(snapshot.labels, _buckets(histogram), histogram.sum / 1e6)
        yield family


def _session_metrics(snapshots: Sequence[Snapshot], labels: Sequence[str]) -> Iterator[Metric]:
    named = [*labels, "name"]
    counts = CounterMetricFamily(
        "loadgen_session_count", "What sessions count themselves.", labels=named
    )
    checks = CounterMetricFamily(
        "loadgen_session_checks",
        "Checks of sessions, by their result.",
        labels=[*named, "result"],
    )
    timings = HistogramMetricFamily(
        "loadgen_session_timing_seconds", "What sessions time themselves.", labels=named
    )
    for snapshot in snapshots:
        for name, count in sorted(snapshot.total.counters.items()):
            counts.add_metric([*snapshot.labels, name], count)
        for name, histogram in sorted(snapshot.total.timings.items()):
            timings.add_metric([*snapshot.labels, name], _buckets(histogram), histogram.sum / 1e6)
        for name, one in sorted(snapshot.total.checks.items()):
            checks.add_metric([*snapshot.labels, name, "passed"], one.passed)
            checks.add_metric([*snapshot.labels, name, "failed"], one.failed)
    yield counts
    yield checks
    yield timings


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    counts = zip(BOUNDS_US, histogram.at_most(BOUNDS_US), strict=True)
    return [
        *((str(bound / 1e6), float(count)) for bound, count in counts),
        ("+Inf", float(histogram.total)),
    ]


def _vitals(snapshots: Sequence[Snapshot], labels: Sequence[str]) -> Iterator[Metric]:
    named = [*labels, "worker"]
    cpu = CounterMetricFamily(
        "loadgen_worker_cpu_seconds", "CPU seconds, user and system.", labels=named
    )
    rss = GaugeMetricFamily(
        "loadgen_worker_resident_memory_bytes", "Resident memory.", labels=named
    )
    for snapshot in snapshots:
        for vitals in snapshot.workers:
            cpu.add_metric([*snapshot.labels, str(vitals.worker)], vitals.cpu_s)
            rss.add_metric([*snapshot.labels, str(vitals.worker)], vitals.rss)
    yield cpu
    yield rss
