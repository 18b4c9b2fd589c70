"""One latency histogram in HdrHistogram's own buckets: record, merge, percentiles, and its standard
encoding.

Buckets are HdrHistogram's for two significant digits, counted in microseconds from 1 to one hour:
128 buckets to each power of two, so a value is at most 1/128 (0.8 %) off. The counts are kept
sparse, since one second of one worker fills a few dozen of the 3,456 buckets. The library of the
same name is 30 times slower to record into; it does the encoding.
"""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

HALF = 128
"""Buckets to each power of two; values below 2 × HALF have a bucket each."""
HALF_BITS = 7
HIGHEST = 3_600_000_000
"""One hour in microseconds; what took longer is recorded as one hour."""
QUANTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}
"""The percentiles shown everywhere, by their name in JSON."""


MAX_INDEX = 3286
"""The index of HIGHEST's bucket."""
MAX_VALUE = 2**53
"""More of anything nobody counts, nor does every reader of JSON."""

Index = Annotated[int, msgspec.Meta(ge=0, le=MAX_INDEX)]


class Histogram(msgspec.Struct, array_like=True):
    """Counts of durations by bucket; merging two is adding their counts."""

    counts: dict[Index, Annotated[int, msgspec.Meta(ge=1, le=MAX_VALUE)]] = msgspec.field(
        default_factory=dict
    )
    """How many values fell into the bucket of an index; empty buckets are absent."""

    def record(self, microseconds: int) -> None:
        """Adds one value in whole microseconds; below 0 counts as 0, above HIGHEST as HIGHEST."""
        counts = self.counts
        if microseconds > 255:
            microseconds = min(microseconds, HIGHEST)
            shift = microseconds.bit_length() - 8
            index = (shift << HALF_BITS) + (microseconds >> shift)
        else:
            index = max(microseconds, 0)
        if index in counts:
            counts[index] += 1
        else:
            counts[index] = 1

    def merge(self, other: "Histogram") -> None:
        """Adds the other's counts to this one's."""
        counts = self.counts
        for index, count in other.counts.items():
            counts[index] = counts.get(index, 0) + count

    @property
    def total(self) -> int:
        """How many values were recorded."""
        return sum(self.counts.values())

    def percentile(self, percent: float) -> int:
        """The value in microseconds that so many percent of the values do not exceed; 0 when
        there is none."""
        return self.percentiles((percent,))[0]

    def percentiles(self, percents: Iterable[float]) -> list[int]:
        """Several percentiles in one walk; the percents must ascend."""
        indexes = sorted(self.counts)
        total, seen, position, found = self.total, 0, -1, []
        for percent in percents:
            rank = max(1, -int(-total * percent // 100))
            while seen < rank and position + 1 < len(indexes):
                position += 1
                seen += self.counts[indexes[position]]
            found.append(highest_in(indexes[position]) if indexes else 0)
        return found

    def summary(self) -> dict[str, float]:
        """Count, p50, p90, p99, p99.9 and max, in milliseconds: the form people and summary.json
        read."""
        values = self.percentiles([*QUANTILES.values(), 100.0])
        names = [*QUANTILES, "max"]
        return {
            "count": self.total,
            **{name: value / 1000 for name, value in zip(names, values, strict=True)},
        }

    def at_most(self, bounds: Iterable[int]) -> list[int]:
        """How many values do not exceed each of the ascending bounds, in microseconds (Prometheus's
        `le`).

        A bucket belongs to a bound when all of it does, so a count is never overstated.
        """
        ordered = sorted(self.counts.items())
        cumulative, position, found = 0, 0, []
        for bound in bounds:
            while position < len(ordered) and highest_in(ordered[position][0]) <= bound:
                cumulative += ordered[position][1]
                position += 1
            found.append(cumulative)
        return found

    @property
    def sum(self) -> int:
        """The sum of all values in microseconds, each taken at the middle of its bucket."""
        return sum(
            count * (lowest_in(index) + highest_in(index)) // 2
            for index, count in self.counts.items()
        )

    def to_hdr(self) -> Any:
        """The same histogram as the hdrhistogram library's, for its encodings and its log."""
        from hdrh.histogram import HdrHistogram  # noqa: PLC0415 -- workers never encode, so they never load it

        hdr = HdrHistogram(1, HIGHEST, 2)
        for index, count in self.counts.items():
            hdr.record_value(max(1, lowest_in(index)), count)
        return hdr


def lowest_in(index: int) -> int:
    """The lowest value, in microseconds, that falls into the bucket of this index."""
    shift = max(0, (index >> HALF_BITS) - 1)
    return (index - (shift << HALF_BITS)) << shift


def highest_in(index: int) -> int:
    """The highest value, in microseconds, that falls into the bucket of this index."""
    return lowest_in(index + 1) - 1
