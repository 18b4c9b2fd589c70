"""The Kolmogorov–Smirnov test, of two samples or of one and a distribution.

W. H. Press et al., Numerical Recipes, 3rd edition, 14.3.3: the statistic is the largest distance of
the distribution functions; its significance is the series of the limit, with Stephens' correction
for few values. Rounded values, as times in whole milliseconds, make the p-value too small or, where
both samples are rounded alike, too large.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import exp, sqrt
from typing import NamedTuple

Distribution = Callable[[float], float]
"""The probability that a value is at most the argument."""


class Fit(NamedTuple):
    """The distance of two distributions, and how probable it is by chance."""

    distance: float
    p: float


def two_samples(one: Sequence[float], other: Sequence[float]) -> Fit:
    """Returns the fit of two samples, which must not be empty."""
    first = sorted(one)
    second = sorted(other)
    distance = max(
        abs(bisect_right(first, value) / len(first) - bisect_right(second, value) / len(second))
        for value in (*first, *second)
    )
    return Fit(
        distance, significance(distance, len(first) * len(second) / (len(first) + len(second)))
    )


def one_sample(sample: Sequence[float], distribution: Distribution) -> Fit:
    """Returns the fit of a sample to a continuous distribution.

    The sample must not be empty.
    """
    values = sorted(sample)
    size = len(values)
    distance = max(
        max(
            bisect_right(values, value) / size - expected,
            expected - bisect_left(values, value) / size,
        )
        for value in values
        for expected in (distribution(value),)
    )
    return Fit(distance, significance(distance, size))


def significance(distance: float, size: float) -> float:
    """Returns the probability of at least this distance.

    `size` is that of the sample, or n·m/(n+m) for two samples.
    """
    x = (sqrt(size) + 0.12 + 0.11 / sqrt(size)) * distance
    if x < 0.3:  # the series converges slowly there, and the sum is 1 to five digits
        return 1.0
    terms = (2.0 * (-1.0) ** (k - 1) * exp(-2 * (k * x) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, sum(terms)))


def exponential(rate: float, events: int = 1) -> Distribution:
    """Returns the distribution of the time of a Poisson process's events.

    It is Erlang's, for the time of `events` events.
    """

    def at(value: float) -> float:
        terms = accumulate(range(1, events), lambda term, k: term * rate * value / k, initial=1.0)
        return 1 - exp(-rate * value) * sum(terms)

    return at


def even(low: float, high: float) -> Distribution:
    """Returns the uniform distribution between two bounds."""
    return lambda value: min(1.0, max(0.0, (value - low) / (high - low)))


def mixture(parts: Sequence[tuple[int, Distribution]]) -> Distribution:
    """Returns the distribution of values drawn from several, each with its weight."""
    total = sum(weight for weight, _ in parts)
    return lambda value: sum(weight * part(value) for weight, part in parts) / total
