"""A histogram of durations in the buckets of HdrHistogram, in microseconds.

The buckets are those of HdrHistogram for two significant digits, from 1 microsecond to one hour:
128 buckets to each power of two, so that a value is at most 1/128 (0.8 %) off. Only buckets with a
count are kept, since one second of one worker fills a few dozen of 3,287. The hdrhistogram library
takes 30 times as long to record a value, and as long to encode a second's; it reads logs alone.
"""

import base64
import struct
import zlib
from collections.abc import Iterable
from functools import cache
from typing import Annotated

import msgspec

HALF = 128
"""The buckets to each power of two; every value below 2 × HALF has a bucket to itself."""
HALF_BITS = 7
HIGHEST = 3_600_000_000
"""One hour in microseconds; a longer duration is recorded as one hour."""
QUANTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
"""The percentiles that every view shows, by their names in JSON."""
MAX_INDEX = 3286
"""The index of the bucket that HIGHEST falls into."""
MAX_VALUE = 2**53
"""The highest count, and the highest whole number that every reader of JSON takes exactly."""

# AbstractHistogram.encodeIntoByteBuffer of github.com/HdrHistogram/HdrHistogram: cookie, bytes
# of counts, normalizing offset, significant digits, lowest and highest value, conversion ratio.
_HEADER = struct.Struct(">IIIIQQd")
_COUNTS = 0x1C849313
_OUTER = struct.Struct(">II")
_COMPRESSED = 0x1C849314

Index = Annotated[int, msgspec.Meta(ge=0, le=MAX_INDEX)]


class Histogram(msgspec.Struct, array_like=True):
    """Counts of durations by bucket; merging two histograms adds their counts."""

    counts: dict[Index, Annotated[int, msgspec.Meta(ge=1, le=MAX_VALUE)]] = msgspec.field(
        default_factory=dict
    )
    """The number of values in the bucket of each index; empty buckets are absent."""

    def record(self, microseconds: int) -> None:
        """Adds one value in microseconds, bounded by 0 and HIGHEST."""
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
        """Adds the counts of another histogram to this one."""
        counts = self.counts
        if not counts:
            counts.update(other.counts)
            return
        for index, count in other.counts.items():
            if index in counts:
                counts[index] += count
            else:
                counts[index] = count

    @property
    def total(self) -> int:
        """The number of recorded values."""
        return sum(self.counts.values())

    def percentile(self, percent: float) -> int:
        """Returns the value in microseconds that `percent` of all values do not exceed.

        It is 0 in an empty histogram.
        """
        return self.percentiles((percent,))[0]

    def percentiles(self, percents: Iterable[float]) -> list[int]:
        """Returns several percentiles in microseconds; the percents must ascend."""
        indexes = sorted(self.counts)
        total = self.total
        seen = 0
        position = -1
        found = []
        for percent in percents:
            rank = max(1, -int(-total * percent // 100))
            while seen < rank and position + 1 < len(indexes):
                position += 1
                seen += self.counts[indexes[position]]
            found.append(highest_in(indexes[position]) if indexes else 0)
        return found

    def summary(self) -> dict[str, float]:
        """Returns count, mean, QUANTILES and maximum, as summary.json has them.

        All but the count are in milliseconds.
        """
        values = self.percentiles([*QUANTILES.values(), 100.0])
        names = [*QUANTILES, "max"]
        total = self.total
        return {
            "count": total,
            "mean": round(self.sum / total / 1000, 3) if total else 0.0,
            **{name: value / 1000 for name, value in zip(names, values, strict=True)},
        }

    def at_most(self, bounds: Iterable[int]) -> list[int]:
        """Returns how many values do not exceed each bound, as Prometheus counts them.

        The bounds are in microseconds, and must ascend. A bucket counts when all of it is within
        the bound, so that a count is never too high.
        """
        ordered = sorted(self.counts.items())
        cumulative = 0
        position = 0
        found = []
        for bound in bounds:
            while position < len(ordered) and highest_in(ordered[position][0]) <= bound:
                cumulative += ordered[position][1]
                position += 1
            found.append(cumulative)
        return found

    @property
    def sum(self) -> int:
        """The sum of all values in microseconds, each at the middle of its bucket."""
        bounds = _bounds()
        return sum(count * bounds[index] // 2 for index, count in self.counts.items())

    def encoded(self) -> str:
        """Returns the counts in HdrHistogram's encoding V2, compressed and in base64.

        Empty buckets in a row are their negative number. As in its library, 0 counts as 1.
        """
        counts = self.counts
        if 0 in counts:
            counts = counts | {1: counts.get(1, 0) + counts[0]}
            del counts[0]
        data = bytearray()
        position = 0
        for index in sorted(counts):
            empty = index - position
            if empty:
                _append(data, -empty)
            _append(data, counts[index])
            position = index + 1
        packed = zlib.compress(_HEADER.pack(_COUNTS, len(data), 0, 2, 1, HIGHEST, 1.0) + data)
        return base64.b64encode(_OUTER.pack(_COMPRESSED, len(packed)) + packed).decode()


def _append(data: bytearray, number: int) -> None:
    """Adds a number as ZigZag LEB128 has it."""
    bits = number << 1 if number >= 0 else ~(number << 1)
    while bits > 127:
        data.append(bits & 127 | 128)
        bits >>= 7
    data.append(bits)


@cache
def _bounds() -> list[int]:
    """Returns the sum of the lowest and the highest value of each bucket."""
    return [lowest_in(index) + highest_in(index) for index in range(MAX_INDEX + 1)]


def lowest_in(index: int) -> int:
    """Returns the lowest value in microseconds of the bucket with this index."""
    shift = max(0, (index >> HALF_BITS) - 1)
    return (index - (shift << HALF_BITS)) << shift


def highest_in(index: int) -> int:
    """Returns the highest value in microseconds of the bucket with this index."""
    return lowest_in(index + 1) - 1
