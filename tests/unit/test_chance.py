"""Numbers that follow from numbers, and the standard library's distributions upon them."""

from itertools import pairwise
from random import Random
from statistics import mean, stdev

import pytest

from loadgen.chance import Chance, chance

COUNT = 20_000


def test_the_same_user_has_the_same_numbers_and_every_user_others():
    drawn = [[Chance(seed, number).random() for _ in range(3)] for seed in (1, 2) for number in range(1000)]

    assert drawn == [[Chance(seed, number).random() for _ in range(3)] for seed in (1, 2) for number in range(1000)]
    assert len({first for first, *_ in drawn}) == 2000


def test_it_has_all_methods_of_the_standard_librarys_generator():
    state = {"seed", "getstate", "setstate"}
    public = {name for name in dir(Random) if not name.startswith("_")} - {"VERSION", "binomialvariate"} - state

    assert public <= set(dir(Chance))


def test_numbers_are_even_and_nothing_of_one_follows_from_its_neighbours():
    generator = Chance(7, 3)
    drawn = [generator.random() for _ in range(COUNT)]

    assert (min(drawn), max(drawn)) == (pytest.approx(0, abs=0.001), pytest.approx(1, abs=0.001))
    assert (mean(drawn), stdev(drawn)) == (pytest.approx(0.5, abs=0.01), pytest.approx(12**-0.5, abs=0.01))
    neighbours = [chance(7, number) for number in range(COUNT)]
    assert mean(neighbours) == pytest.approx(0.5, abs=0.01)
    together = mean(one * other for one, other in pairwise(neighbours))
    assert together == pytest.approx(0.25, abs=0.01)


def test_the_distributions_are_the_standard_librarys():
    generator = Chance(1, 1)

    assert mean(generator.expovariate(1 / 30) for _ in range(COUNT)) == pytest.approx(30, rel=0.05)
    assert mean(generator.gauss(5, 2) for _ in range(COUNT)) == pytest.approx(5, abs=0.1)
    assert {generator.randint(1, 6) for _ in range(1000)} == {1, 2, 3, 4, 5, 6}
    assert sorted(generator.sample(range(10), 10)) == list(range(10))
    deck = list(range(52))
    generator.shuffle(deck)
    assert (deck != list(range(52)), sorted(deck)) == (True, list(range(52)))
    assert len(generator.randbytes(9)) == 9
    assert all(generator.getrandbits(bits) < 1 << bits for bits in range(200))
