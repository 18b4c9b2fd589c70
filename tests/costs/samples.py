"""The measured values, unprocessed, and their JSON file."""

from pathlib import Path
from typing import Any

import msgspec


class Footprint(msgspec.Struct, frozen=True):
    """Memory at one moment, in bytes."""

    processes: dict[str, int]
    """The number of processes of each kind."""
    pss: dict[str, int]
    """The proportional set size of each kind: each of n processes has an n-th of a shared page."""
    anon: dict[str, int]
    """The part of it that belongs to no file, which grows with connections."""
    meminfo: dict[str, int]
    """The whole machine, as /proc/meminfo names it."""


class Moment(msgspec.Struct, frozen=True):
    """CPU and counts at one moment."""

    at: float
    """Seconds on the monotonic clock."""
    cpu_s: dict[str, float]
    """CPU seconds used so far, user and kernel, by kind of process."""
    machine_s: float
    """CPU seconds of the whole machine that were not idle, in ticks of 10 ms."""
    counts: dict[str, int]
    """The target's own ledger."""


class Span(msgspec.Struct, frozen=True):
    """One phase, from its first moment to its last."""

    begin: Moment
    end: Moment

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return self.end.at - self.begin.at

    def cpu_s(self, kind: str) -> float:
        """Returns the CPU seconds that processes of a kind used in it."""
        return self.end.cpu_s[kind] - self.begin.cpu_s.get(kind, 0.0)

    def count(self, name: str) -> int:
        """Returns the difference of a count."""
        return self.end.counts[name] - self.begin.counts[name]


class Sample(msgspec.Struct, frozen=True):
    """The measurement of one size of the fleet."""

    size: int
    """Connections."""
    base: Footprint
    """The memory when all processes have started and nothing is open."""
    held: Footprint
    """The memory when all connections are open and silent."""
    ramp: Span
    idle: Span
    messages: Span
    pings: Span


class Series(msgspec.Struct, frozen=True):
    """One measurement: samples in order of size, with machine and settings."""

    machine: dict[str, Any]
    rate: float
    """Arrivals, pings and, on average, messages per second."""
    hold: float
    """Seconds of each phase that has no natural end."""
    agents: int
    samples: tuple[Sample, ...]


def write(series: Series, path: Path) -> None:
    """Writes samples.json with a sample per line, so that a diff shows what changed."""
    head = msgspec.json.encode(msgspec.structs.replace(series, samples=()))
    lines = b",\n".join(msgspec.json.encode(sample) for sample in series.samples)
    path.write_bytes(head.removesuffix(b"[]}") + b"[\n" + lines + b"\n]}\n")


def read(path: Path) -> Series:
    """Reads samples.json."""
    return msgspec.json.decode(path.read_bytes(), type=Series)
