"""Histograms as people see them: some fifty bars on a logarithmic scale."""

from bisect import bisect_left
from collections.abc import Iterable

from loadgen.histogram import Histogram, highest_in

BOUNDS_US = tuple(round(step * 10**power) for power in range(1, 8) for step in (1, 1.5, 2, 3, 5, 7))
"""The upper bounds of the bars in microseconds: 10 µs to 70 s."""

Bar = tuple[float, int]
"""The upper bound in milliseconds, and how many values are not above it but above the bar's before."""


def bars(values: Iterable[tuple[int, int]]) -> list[Bar]:
    """The bars of (microseconds, count) pairs, from the first that is filled to the last; the last holds all above."""
    counts = [0] * len(BOUNDS_US)
    for value, count in values:
        counts[min(bisect_left(BOUNDS_US, value), len(counts) - 1)] += count
    filled = [at for at, count in enumerate(counts) if count]
    return [(BOUNDS_US[at] / 1000, counts[at]) for at in range(filled[0], filled[-1] + 1)] if filled else []


def values_of(histogram: Histogram) -> Iterable[tuple[int, int]]:
    """What a histogram holds, as (microseconds, count)."""
    return ((highest_in(index), count) for index, count in histogram.counts.items())
