"""What was measured, as it was read: the only thing that passes from measuring to arithmetic,
and its JSON file."""

from pathlib import Path
from typing import Any

import msgspec


class Footprint(msgspec.Struct, frozen=True):
    """Memory at one moment, in bytes."""

    processes: dict[str, int]
    """How many processes there are of each kind."""
    pss: dict[str, int]
    """Proportional set size summed over each kind: a page that n processes share counts a n-th
    in each."""
    anon: dict[str, int]
    """The part of that which is no file: what grows with connections."""
    meminfo: dict[str, int]
    """The whole machine, as /proc/meminfo names it."""


class Moment(msgspec.Struct, frozen=True):
    """CPU and counts at one moment."""

    at: float
    """Seconds on the monotonic clock."""
    cpu_s: dict[str, float]
    """CPU seconds used so far, user and kernel, by kind of process."""
    machine_s: float
    """CPU seconds that were not idle, of the whole machine, in ticks of 10 ms."""
    counts: dict[str, int]
    """The target's own ledger."""


class Span(msgspec.Struct, frozen=True):
    """One phase, from its first moment to its last."""

    begin: Moment
    end: Moment

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end.at - self.begin.at

    def cpu_s(self, kind: str) -> float:
        """CPU seconds that processes of a kind used in it."""
        return self.end.cpu_s[kind] - self.begin.cpu_s.get(kind, 0.0)

    def count(self, name: str) -> int:
        """How often something happened in it."""
        return self.end.counts[name] - self.begin.counts[name]


class Sample(msgspec.Struct, frozen=True):
    """Everything measured at one size of the fleet."""

    size: int
    """Connections."""
    base: Footprint
    """All processes have started and nothing is open."""
    held: Footprint
    """All connections are open and silent."""
    ramp: Span
    idle: Span
    messages: Span
    pings: Span


class Series(msgspec.Struct, frozen=True):
    """One whole measurement: samples in order of size, and what they were taken on and how."""

    machine: dict[str, Any]
    rate: float
    """Arrivals, pings and, on the average, messages a second."""
    hold: float
    """Seconds of a phase without an end of its own."""
    agents: int
    samples: tuple[Sample, ...]


def write(series: Series, path: Path) -> None:
    """Writes samples.json, a sample a line, so that a repeated measurement shows as a difference
    of lines."""
    head = msgspec.json.encode(msgspec.structs.replace(series, samples=()))
    lines = b",\n".join(msgspec.json.encode(sample) for sample in series.samples)
    path.write_bytes(head.removesuffix(b"[]}") + b"[\n" + lines + b"\n]}\n")


def read(path: Path) -> Series:
    """Reads samples.json."""
    return msgspec.json.decode(path.read_bytes(), type=Series)
