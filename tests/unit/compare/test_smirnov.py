"""The Kolmogorov–Smirnov test against tables and known distributions."""

from itertools import accumulate, pairwise
from random import Random

import pytest

from tests.compare.smirnov import even, exponential, mixture, one_sample, significance, two_samples


@pytest.mark.parametrize(
    ("critical", "p"), [(1.2238, 0.10), (1.3581, 0.05), (1.6276, 0.01), (1.9495, 0.001)]
)
def test_the_significance_is_the_tabled_one_for_many_values(critical, p):
    assert significance(critical / 1e4, 1e8) == pytest.approx(p, rel=2e-3)


def test_the_distance_is_the_largest_one_of_the_distribution_functions():
    assert two_samples([1, 2, 3, 4], [3, 4, 5, 6]).distance == 0.5
    assert two_samples([1, 2], [1, 2, 2, 1]).distance == 0.0
    assert one_sample([0.5], even(0, 1)).distance == 0.5
    assert one_sample([0.1, 0.2, 0.3, 0.4], even(0, 1)).distance == pytest.approx(0.6)


def test_a_sample_is_of_its_own_distribution_and_not_of_another():
    random = Random(7)
    sample = [random.expovariate(2) for _ in range(500)]
    other = [random.expovariate(2) for _ in range(300)]
    uniform = [random.uniform(0, 1) for _ in range(500)]

    assert one_sample(sample, exponential(2)).p > 0.01
    assert two_samples(sample, other).p > 0.01
    assert one_sample(sample, exponential(3)).p < 1e-6
    assert two_samples(sample, uniform).p < 1e-3
    assert (
        one_sample([*sample, *uniform], mixture([(500, exponential(2)), (500, even(0, 1))])).p
        > 0.01
    )


def test_several_gaps_of_a_poisson_process_are_of_erlangs_distribution():
    random = Random(8)
    arrivals = list(accumulate(random.expovariate(50) for _ in range(8000)))[::20]
    sums = [after - before for before, after in pairwise(arrivals)]

    assert one_sample(sums, exponential(50, 20)).p > 0.01
    assert one_sample(sums, exponential(50, 18)).p < 1e-3
