"""A prometheus-client Collector that reads the running totals at scrape time; agent and coordinator
share it.

Nothing is counted twice and nothing is counted for Prometheus alone: a scrape costs a walk over the
buckets of four histograms and of those that sessions keep themselves, however many connections
there are.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from loadgen.stats.histogram import Histogram
from loadgen.stats.reasons import KINDS
from loadgen.stats.tally import COUNTS, HISTOGRAMS, METRICS, Ledger, Tally, WorkerVitals
from loadgen.version import VERSION

BOUNDS = (500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000)
BOUNDS_US = (*BOUNDS, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000)
"""Upper bounds of the exported buckets in microseconds: 0.5 ms to 60 s."""


class Snapshot(msgspec.Struct):
    """One source of numbers as it stands at a scrape. `agent` is its label: the coordinator
    names it, an agent not."""

    agent: str | None
    ledger: Ledger
    """Its `planned` is 0 where nobody knows it; then there is no `not_started` either."""
    total: Tally
    workers: tuple[WorkerVitals, ...] = ()

    @property
    def labels(self) -> list[str]:
        """The values of the labels that every sample of this source carries."""
        return [] if self.agent is None else [self.agent]


class LoadCollector(Collector):
    """The contract's metric families over whatever `read` hands out at the moment of the scrape."""

    def __init__(self, read: Callable[[], Iterable[Snapshot]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """One family after the other, each over all sources."""
        readings = list(self._read())
        labels = ["agent"] if any(reading.agent is not None for reading in readings) else []
        yield InfoMetricFamily("loadgen_build", "The running version.", {"version": VERSION})
        yield _states(readings, labels)
        yield from _counters(readings, labels)
        yield from _reasons(readings, labels)
        yield from _histograms(readings, labels)
        yield from _own(readings, labels)
        yield from _vitals(readings, labels)


def registry_of(read: Callable[[], Iterable[Snapshot]]) -> CollectorRegistry:
    """A registry that holds the contract's metrics and nothing else."""
    registry = CollectorRegistry()
    registry.register(LoadCollector(read))
    return registry


def render(registry: CollectorRegistry) -> tuple[bytes, str]:
    """The body of a scrape and its content type."""
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _states(readings: Sequence[Snapshot], labels: Sequence[str]) -> Metric:
    family = GaugeMetricFamily(
        "loadgen_connections", "Connections by state.", labels=[*labels, "state"]
    )
    for reading in readings:
        if reading.ledger.planned > 0:
            family.add_metric([*reading.labels, "not_started"], reading.ledger.not_started)
        family.add_metric([*reading.labels, "connecting"], reading.ledger.connecting)
        family.add_metric([*reading.labels, "open"], reading.ledger.open)
        family.add_metric([*reading.labels, "lost"], reading.ledger.lost)
    return family


def _counters(readings: Sequence[Snapshot], labels: Sequence[str]) -> Iterator[Metric]:
    for count in COUNTS:
        family = CounterMetricFamily(*METRICS[count], labels=labels)
        for reading in readings:
            family.add_metric(reading.labels, getattr(reading.total, count))
        yield family


def _reasons(readings: Sequence[Snapshot], labels: Sequence[str]) -> Iterator[Metric]:
    for kind in KINDS:
        family = CounterMetricFamily(*METRICS[kind], labels=[*labels, "reason"])
        for reading in readings:
            for reason, count in sorted(getattr(reading.total, kind).items()):
                family.add_metric([*reading.labels, reason], count)
        yield family


def _histograms(readings: Sequence[Snapshot], labels: Sequence[str]) -> Iterator[Metric]:
    for kind in (name for name in HISTOGRAMS if name in METRICS):
        family = HistogramMetricFamily(*METRICS[kind], labels=labels)
        for reading in readings:
            histogram: Histogram = getattr(reading.total, kind)
            family.add_metric(reading.labels, _buckets(histogram), histogram.sum / 1e6)
        yield family


def _own(readings: Sequence[Snapshot], labels: Sequence[str]) -> Iterator[Metric]:
    named = [*labels, "name"]
    counts = CounterMetricFamily(
        "loadgen_session_count", "What sessions count themselves.", labels=named
    )
    timings = HistogramMetricFamily(
        "loadgen_session_timing_seconds", "What sessions time themselves.", labels=named
    )
    for reading in readings:
        for name, count in sorted(reading.total.counters.items()):
            counts.add_metric([*reading.labels, name], count)
        for name, histogram in sorted(reading.total.timings.items()):
            timings.add_metric([*reading.labels, name], _buckets(histogram), histogram.sum / 1e6)
    yield counts
    yield timings


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    counts = zip(BOUNDS_US, histogram.at_most(BOUNDS_US), strict=True)
    return [
        *((str(bound / 1e6), float(count)) for bound, count in counts),
        ("+Inf", float(histogram.total)),
    ]


def _vitals(readings: Sequence[Snapshot], labels: Sequence[str]) -> Iterator[Metric]:
    named = [*labels, "worker"]
    cpu = CounterMetricFamily(
        "loadgen_worker_cpu_seconds", "CPU seconds, user and system.", labels=named
    )
    rss = GaugeMetricFamily(
        "loadgen_worker_resident_memory_bytes", "Resident memory.", labels=named
    )
    for reading in readings:
        for vitals in reading.workers:
            cpu.add_metric([*reading.labels, str(vitals.worker)], vitals.cpu_s)
            rss.add_metric([*reading.labels, str(vitals.worker)], vitals.rss)
    yield cpu
    yield rss
