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
from loadgen.stats.tally import Ledger, Tally, WorkerVitals
from loadgen.version import VERSION

BOUNDS = (500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000)
BOUNDS_US = (*BOUNDS, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000)
"""Upper bounds of the exported buckets in microseconds: 0.5 ms to 60 s."""
COUNTERS = {
    "launched": ("loadgen_connections_launched", "Connections that were started."),
    "relaunched": (
        "loadgen_connections_relaunched",
        "Of the launched: those beyond the plan's numbers.",
    ),
    "opened": ("loadgen_connections_opened", "Connections whose 101 was valid."),
    "pings": ("loadgen_pings", "Pings sent."),
    "pongs": ("loadgen_pongs", "Pongs received."),
    "messages_sent": ("loadgen_messages_sent", "Messages sent."),
    "messages_received": ("loadgen_messages_received", "Messages received."),
    "bytes_sent": ("loadgen_sent_bytes", "Bytes written to connections."),
    "bytes_received": ("loadgen_received_bytes", "Bytes read from connections."),
    "ports_skipped": (
        "loadgen_ports_skipped",
        "Source ports stepped over because somebody else held them.",
    ),
    "sessions_started": ("loadgen_sessions_started", "Sessions that began."),
    "sessions_done": ("loadgen_sessions_done", "Sessions that are over, however they ended."),
}
REASONS = {
    "failed": ("loadgen_connections_failed", "Connections that never opened, by reason."),
    "closed": ("loadgen_connections_closed", "Connections that opened and ended, by reason."),
}
HISTOGRAMS = {
    "handshake": ("loadgen_handshake_seconds", "From dialing to a valid 101."),
    "ping_rtt": ("loadgen_ping_rtt_seconds", "From when a ping was due to its pong."),
    "lag": ("loadgen_launch_lag_seconds", "From when a connection was due to its launch."),
    "loop_lag": ("loadgen_event_loop_lag_seconds", "How late the event loop ran a timer."),
}


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
    for count, (name, text) in COUNTERS.items():
        family = CounterMetricFamily(name, text, labels=labels)
        for reading in readings:
            family.add_metric(reading.labels, getattr(reading.total, count))
        yield family


def _reasons(readings: Sequence[Snapshot], labels: Sequence[str]) -> Iterator[Metric]:
    for kind, (name, text) in REASONS.items():
        family = CounterMetricFamily(name, text, labels=[*labels, "reason"])
        for reading in readings:
            for reason, count in sorted(getattr(reading.total, kind).items()):
                family.add_metric([*reading.labels, reason], count)
        yield family


def _histograms(readings: Sequence[Snapshot], labels: Sequence[str]) -> Iterator[Metric]:
    for kind, (name, text) in HISTOGRAMS.items():
        family = HistogramMetricFamily(name, text, labels=labels)
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
