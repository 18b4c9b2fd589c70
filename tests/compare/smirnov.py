"""The Kolmogorov–Smirnov test, of two samples or of one and a distribution.

W. H. Press et al., Numerical Recipes, 3rd edition, 14.3.3: the statistic is the largest distance of
the distribution functions; its significance the limit's series, with Stephens' correction for few
values. Values that have a grain, as times in whole milliseconds, make the p-value too small or,
where both samples have the same one, too large.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import exp, sqrt
from typing import NamedTuple

Distribution = Callable[[float], float]
"""The probability that a value is at most so large."""


class Fit(NamedTuple):
    """How far apart two distributions are, and how likely samples of the same one are as far
    apart."""

    distance: float
    p: float


def two_samples(one: Sequence[float], other: Sequence[float]) -> Fit:
    """Whether two samples, not empty, come from the same distribution."""
    first, second = sorted(one), sorted(other)
    distance = max(
        abs(bisect_right(first, value) / len(first) - bisect_right(second, value) / len(second))
        for value in (*first, *second)
    )
    return Fit(
        distance, significance(distance, len(first) * len(second) / (len(first) + len(second)))
    )


def one_sample(sample: Sequence[float], distribution: Distribution) -> Fit:
    """Whether a sample, not empty, comes from a continuous distribution."""
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
    """The probability of a distance at least so large; `size` is that of the sample, or
    n·m/(n+m) of two."""
    x = (sqrt(size) + 0.12 + 0.11 / sqrt(size)) * distance
    if x < 0.3:  # the series converges slowly there, and the sum is 1 to five digits
        return 1.0
    terms = (2.0 * (-1.0) ** (k - 1) * exp(-2 * (k * x) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, sum(terms)))


def exponential(rate: float, events: int = 1) -> Distribution:
    """Of the gaps of a Poisson process; of the times that so many events take, which is Erlang's
    distribution."""

    def at(value: float) -> float:
        terms = accumulate(range(1, events), lambda term, k: term * rate * value / k, initial=1.0)
        return 1 - exp(-rate * value) * sum(terms)

    return at


def even(low: float, high: float) -> Distribution:
    """Of values between two bounds, all equally likely."""
    return lambda value: min(1.0, max(0.0, (value - low) / (high - low)))


def mixture(parts: Sequence[tuple[int, Distribution]]) -> Distribution:
    """Of so many values of each of several distributions."""
    total = sum(weight for weight, _ in parts)
    return lambda value: sum(weight * part(value) for weight, part in parts) / total
