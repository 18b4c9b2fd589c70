"""From samples to costs: totals by size, a line fitted to them, and its forecast.

Pure: values in, values out.
"""

from collections.abc import Callable, Iterable, Sequence
from statistics import StatisticsError, correlation
from typing import NamedTuple

import numpy as np

from tests.costs.samples import Footprint, Sample, Series, Span

KIB = 1024
BOTH_ENDS = "kernel, both ends"


class Point(NamedTuple):
    """A total at one size of the fleet, and the number of processes that it sums."""

    size: int
    processes: int
    total: float


class Line(NamedTuple):
    """total = base × processes + slope × connections."""

    base: float
    """The cost of a process without connections."""
    slope: float
    """The cost of a connection."""
    r2: float
    """The square of the correlation of the totals with the line."""
    deviation: float
    """The largest deviation, as a share of the line; positive above it."""
    deviation_at: int
    """The size with the largest deviation."""

    def at(self, size: float, processes: float) -> float:
        """Returns the value of the line."""
        return self.base * processes + self.slope * size


class Quantity(NamedTuple):
    """A cost that grows with the fleet, measured at several sizes."""

    name: str
    kind: str
    """The kind of processes that have the cost."""
    group: str
    """`memory`, `open`, `message`, `ping` or `idle`."""
    unit: str
    """The unit that the slope is shown in."""
    scale: float
    """The number of that unit in one byte or one second."""
    points: tuple[Point, ...]

    @property
    def line(self) -> Line:
        """The fitted line."""
        return fit(self.points)


def fit(points: Iterable[Point]) -> Line:
    """Returns the line of least squares per process.

    Its residuals are relative to the totals. With absolute residuals the size of 1,000,000 would
    decide alone. A total that noise of an idle fleet has made negative has no scale, and is
    ignored.
    """
    points = tuple(points)
    held = np.array([point.size / point.processes for point in points])
    totals = np.array([point.total / point.processes for point in points])
    weights = np.array([1 / total if total > 0 else 0.0 for total in totals])
    slope, base = (float(number) for number in np.polyfit(held, totals, 1, w=weights))
    line = Line(base, slope, 0.0, 0.0, 0)
    fitted = [line.at(point.size, point.processes) for point in points]
    deviations = [
        (point.total / on_line - 1, point.size)
        for point, on_line in zip(points, fitted, strict=True)
    ]
    deviation, at = max(deviations, key=lambda pair: abs(pair[0]))
    return Line(base, slope, _r2([point.total for point in points], fitted), deviation, at)


def _r2(totals: Sequence[float], fitted: Sequence[float]) -> float:
    try:
        return correlation(totals, fitted) ** 2
    except StatisticsError:  # the totals are constant: a line explains nothing
        return 0.0


def quantities(series: Series) -> list[Quantity]:
    """Returns all costs of a measurement."""
    return [*_memory(series.samples), *_events(series.samples), *_idle(series.samples)]


def _memory(samples: Sequence[Sample]) -> list[Quantity]:
    def of(name: str, kind: str, total: Callable[[Footprint], int]) -> Quantity:
        growths = (total(sample.held) - total(sample.base) for sample in samples)
        return Quantity(name, kind, "memory", "KiB", 1 / KIB, _points(samples, kind, growths))

    return [
        of(BOTH_ENDS, "machine", lambda footprint: footprint.meminfo["Slab"]),
        of("worker", "worker", lambda footprint: footprint.anon["worker"]),
        of("target", "target", lambda footprint: footprint.anon["target"]),
    ]


def _events(samples: Sequence[Sample]) -> list[Quantity]:
    """Returns the CPU of one event on every connection, less that of idle processes."""
    sources: dict[str, Callable[[Sample], tuple[Span, str]]] = {
        "open": lambda sample: (sample.ramp, "opened"),
        "message": lambda sample: (sample.messages, "messages_sent"),
        "ping": lambda sample: (sample.pings, "pings"),
    }

    def of(group: str, kind: str) -> Quantity:
        totals = (
            per_event(sample, kind, *sources[group](sample)) * sample.size for sample in samples
        )
        return Quantity(f"{kind}, {group}", kind, group, "µs", 1e6, _points(samples, kind, totals))

    return [of(group, kind) for group in sources for kind in ("worker", "target")]


def per_event(sample: Sample, kind: str, span: Span, count: str) -> float:
    """Returns the CPU seconds of an event, beyond those of the idle processes."""
    return (span.cpu_s(kind) - share(sample.idle, kind) * span.seconds) / span.count(count)


def _idle(samples: Sequence[Sample]) -> list[Quantity]:
    """Returns the CPU seconds per second while all connections are silent."""

    def of(kind: str) -> Quantity:
        totals = (share(sample.idle, kind) for sample in samples)
        return Quantity(f"{kind}, idle", kind, "idle", "µs/s", 1e6, _points(samples, kind, totals))

    return [of(kind) for kind in ("worker", "target", "agent", "coordinator")]


def share(span: Span, kind: str) -> float:
    """Returns the cores that all processes of a kind kept busy."""
    return span.cpu_s(kind) / span.seconds


def _points(samples: Sequence[Sample], kind: str, totals: Iterable[float]) -> tuple[Point, ...]:
    return tuple(
        Point(sample.size, sample.held.processes.get(kind, 1), total)
        for sample, total in zip(samples, totals, strict=True)
    )


def base_bytes(sample: Sample, kind: str) -> float:
    """Returns the bytes of one process of a kind before the first connection."""
    return sample.base.pss.get(kind, 0) / sample.base.processes.get(kind, 1)


def machine_growth(sample: Sample) -> float:
    """Returns the bytes of the connections alone, as a check.

    Processes and file caches are left out.
    """

    def used(meminfo: dict[str, int]) -> int:
        return meminfo["MemTotal"] - sum(
            meminfo[name] for name in ("MemFree", "Buffers", "Cached", "AnonPages")
        )

    return used(sample.held.meminfo) - used(sample.base.meminfo)


class Forecast(NamedTuple):
    """The cost of an agent, computed from the lines."""

    connections: int
    workers: int
    user_bytes: float
    """The bytes of its workers with their connections."""
    agent_bytes: float
    kernel_bytes: float
    """The bytes of the client's ends: half of both ends."""
    cpu: dict[str, float]
    """CPU seconds per second, by their cause."""


def forecast(
    series: Series, *, connections: int, workers: int, opens: float, pings: float
) -> Forecast:
    """Returns the cost of an agent with `opens` and `pings` per second."""
    lines = {quantity.name: quantity.line for quantity in quantities(series)}
    last = series.samples[-1]
    worker = lines["worker"].at(connections, workers) + workers * base_bytes(last, "worker")
    return Forecast(
        connections,
        workers,
        worker,
        base_bytes(last, "agent"),
        lines[BOTH_ENDS].slope * connections / 2,
        {
            # A negative slope is noise, and would grow with the distance from the measured sizes.
            "workers, idle": workers * lines["worker, idle"].base
            + connections * max(0.0, lines["worker, idle"].slope),
            "agent, idle": lines["agent, idle"].base,
            "opens": opens * lines["worker, open"].slope,
            "pings and pongs": pings * lines["worker, ping"].slope,
        },
    )
