"""The phases of a run, ramp, plateau and drain.

Each has its seconds and histograms.
"""

from collections.abc import Iterator
from math import ceil, floor
from pathlib import Path
from typing import Any, NamedTuple

from hdrh.histogram import HdrHistogram

from coordinator.run.row import Row
from loadgen.plan.plan import Plan
from tests.million.record import Record

MERGED = ("lag", "handshake", "ping_rtt")
"""The histograms that are merged for each phase."""


class Phase(NamedTuple):
    """Some consecutive seconds of a run."""

    name: str
    rows: list[Row]
    """Their lines of seconds.ndjson."""
    histograms: dict[str, Any]
    """HdrHistogram's, in microseconds, by name; empty ones are absent."""

    def total(self, name: str) -> int:
        """The number of times that something happened."""
        return sum(getattr(row.fleet.rates, name) for row in self.rows)

    def percentile(self, name: str, percent: float) -> float | None:
        """Returns a percentile in milliseconds; None when nothing was measured."""
        histogram = self.histograms.get(name)
        return None if histogram is None else histogram.get_value_at_percentile(percent) / 1000

    def p99(self, name: str) -> float | None:
        """Returns the 99th percentile in milliseconds; None when nothing was measured."""
        return self.percentile(name, 99.0)


def phases_of(record: Record) -> dict[str, Phase]:
    """Returns the three phases by name."""
    phases = {name: Phase(name, [], {}) for name in ("ramp", "plateau", "drain")}
    for row in record.run.seconds:
        phases[_phase(record.plan, row.second)].rows.append(row)
    for second, name, payload in _intervals(record.folder / "histograms.hlog"):
        merged = phases[_phase(record.plan, second)].histograms
        if name in merged:
            merged[name].decode_and_add(payload)
        else:
            merged[name] = HdrHistogram.decode(payload)
    return phases


def _phase(plan: Plan, second: int) -> str:
    """Returns the name of a second's phase.

    A second of the plateau is wholly after the last arrival and before the drain.
    """
    if second < ceil(plan.schedule.end()):
        return "ramp"
    return "plateau" if second < floor(plan.drain_at() + 1 / plan.rate) else "drain"


def _intervals(log: Path) -> Iterator[tuple[int, str, str]]:
    """Yields second, name and encoded histogram of the lines of an HdrHistogram log."""
    for line in log.read_text().splitlines():
        tag, *fields = line.split(",")
        name = tag.removeprefix("Tag=")
        if name in MERGED:
            yield int(float(fields[0])), name, fields[-1]
