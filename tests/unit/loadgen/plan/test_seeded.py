"""The random values of users, which follow from their numbers."""

from collections import Counter
from itertools import pairwise
from random import Random
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan, Target
from loadgen.plan.seeded import SeededRandom, chance, weighted_choice, weighted_choice_by_phase
from loadgen.plan.sessions import Loop

MANY = 20_000


def shares(pick, numbers=range(MANY)):
    """Returns the part of the numbers that drew each place."""
    return {place: count / len(numbers) for place, count in Counter(map(pick, numbers)).items()}


@pytest.mark.parametrize("seed", [0, 1, -7, 2**63])
def test_places_are_drawn_in_proportion_to_their_weights(seed):
    assert shares(weighted_choice([1, 3, 0, 4], seed, 5)) == pytest.approx(
        {0: 0.125, 1: 0.375, 3: 0.5}, abs=0.015
    )


@given(
    st.lists(st.floats(0, 1e12), min_size=1, max_size=9).filter(any),
    st.integers(),
    st.integers(0, 2**62),
)
def test_only_what_has_a_weight_is_drawn_and_always_the_same(weights, seed, number):
    pick = weighted_choice(weights, seed, 1)

    assert weights[pick(number)] > 0
    assert weighted_choice(weights, seed, 1)(number) == pick(number)


def test_draws_with_other_salts_and_seeds_are_independent():
    one = weighted_choice([1, 1], 0, 1)
    for other in (weighted_choice([1, 1], 0, 2), weighted_choice([1, 1], 1, 1)):
        assert sum(one(number) == other(number) for number in range(MANY)) / MANY == pytest.approx(
            0.5, abs=0.015
        )


def test_consecutive_numbers_draw_independently():
    pick = weighted_choice([1, 1], 3, 1)

    assert sum(pick(number) == pick(number + 1) for number in range(MANY)) / MANY == pytest.approx(
        0.5, abs=0.015
    )


def test_each_phase_draws_by_its_own_weights():
    pick = weighted_choice_by_phase(
        [0, 10, 10, 30], [lambda _: 0, lambda _: 1, lambda _: 2, lambda _: 3]
    )

    assert [pick(number) for number in (0, 9, 10, 29, 30, 99)] == [0, 0, 2, 2, 3, 3]


USERS, GUESTS, BOTS = (
    Loop(name="users", weight=3.0),
    Loop(name="guests"),
    Loop(name="bots", weight=4.0),
)


def test_a_plan_of_one_session_and_one_target_draws_nothing():
    plan = Plan()

    assert {plan.target_of(number) for number in range(99)} == {0}
    assert {plan.session_of(number) for number in range(99)} == {0}


def test_users_have_the_plans_sessions_and_targets_by_weight():
    plan = Plan(
        sessions=(USERS, GUESTS, BOTS),
        targets=(Target(url="ws://a/"), Target(url="ws://b/", weight=3.0)),
    )

    assert shares(plan.session_of) == pytest.approx({0: 0.375, 1: 0.125, 2: 0.5}, abs=0.015)
    assert shares(plan.target_of) == pytest.approx({0: 0.25, 1: 0.75}, abs=0.015)
    both = Counter((plan.session_of(number), plan.target_of(number)) for number in range(2000))
    assert both[2, 1] / 2000 == pytest.approx(0.375, abs=0.05)


def test_a_phase_may_have_its_own_mix_of_sessions():
    phases = (
        Phase(rate=1, max=MANY, sessions={"bots": 1.0}),
        Phase(duration=5.0, sessions={"users": 1.0}),
        Phase(rate=1, max=MANY),
        Phase(rate=1, max=MANY, sessions={"guests": 1.0, "users": 1.0}),
    )
    pick = Plan(phases=phases, sessions=(USERS, GUESTS, BOTS)).session_of

    assert shares(pick) == {2: 1.0}
    assert shares(pick, range(MANY, 2 * MANY)) == pytest.approx(
        {0: 0.375, 1: 0.125, 2: 0.5}, abs=0.015
    )
    assert shares(pick, range(2 * MANY, 3 * MANY)) == pytest.approx({0: 0.5, 1: 0.5}, abs=0.015)


COUNT = 20_000


def test_the_same_user_has_the_same_numbers_and_every_user_others():
    drawn = [
        [SeededRandom(seed, number).random() for _ in range(3)]
        for seed in (1, 2)
        for number in range(1000)
    ]

    assert drawn == [
        [SeededRandom(seed, number).random() for _ in range(3)]
        for seed in (1, 2)
        for number in range(1000)
    ]
    assert len({first for first, *_ in drawn}) == 2000


def test_it_has_all_methods_of_the_standard_librarys_generator():
    state = {"seed", "getstate", "setstate"}
    public = (
        {name for name in dir(Random) if not name.startswith("_")}
        - {"VERSION", "binomialvariate"}
        - state
    )

    assert public <= set(dir(SeededRandom))


def test_values_are_even_and_independent_of_those_of_the_next_number():
    generator = SeededRandom(7, 3)
    drawn = [generator.random() for _ in range(COUNT)]

    assert (min(drawn), max(drawn)) == (pytest.approx(0, abs=0.001), pytest.approx(1, abs=0.001))
    assert (mean(drawn), stdev(drawn)) == (
        pytest.approx(0.5, abs=0.01),
        pytest.approx(12**-0.5, abs=0.01),
    )
    neighbours = [chance(7, number) for number in range(COUNT)]
    assert mean(neighbours) == pytest.approx(0.5, abs=0.01)
    together = mean(one * other for one, other in pairwise(neighbours))
    assert together == pytest.approx(0.25, abs=0.01)


def test_the_distributions_are_the_standard_librarys():
    generator = SeededRandom(1, 1)

    assert mean(generator.expovariate(1 / 30) for _ in range(COUNT)) == pytest.approx(30, rel=0.05)
    assert mean(generator.gauss(5, 2) for _ in range(COUNT)) == pytest.approx(5, abs=0.1)
    assert {generator.randint(1, 6) for _ in range(1000)} == {1, 2, 3, 4, 5, 6}
    assert sorted(generator.sample(range(10), 10)) == list(range(10))
    deck = list(range(52))
    generator.shuffle(deck)
    assert (deck != list(range(52)), sorted(deck)) == (True, list(range(52)))
    assert len(generator.randbytes(9)) == 9
    assert all(generator.getrandbits(bits) < 1 << bits for bits in range(200))


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 128, 8 * 1000, 8 * 1001 + 3])
def test_bits_are_those_of_one_number_after_another(count):
    words = SeededRandom(1, 2)
    bits = 0
    for _ in range(-(-count // 64)):
        bits = bits << 64 | words.getrandbits(64)
    random = SeededRandom(1, 2)

    assert random.getrandbits(count) == bits >> (-count % 64)
    assert random.getrandbits(64) == words.getrandbits(64)


def test_random_bytes_are_the_same_ever_since():
    assert SeededRandom(1, 2).randbytes(20).hex() == "799e89ce687b90f506c731a120d35b72450e644e"
    assert len(SeededRandom(1, 2).randbytes(1 << 20)) == 1 << 20
