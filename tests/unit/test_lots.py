"""What users draw by their numbers."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.behaviour import Loop
from loadgen.lots import lots, lots_by_stretch
from loadgen.phases import Phase
from loadgen.plan import Plan, Target

MANY = 20_000


def shares(pick, numbers=range(MANY)):
    """Which part of the numbers drew each place."""
    return {place: count / len(numbers) for place, count in Counter(map(pick, numbers)).items()}


@pytest.mark.parametrize("seed", [0, 1, -7, 2**63])
def test_places_are_drawn_in_proportion_to_their_weights(seed):
    assert shares(lots([1, 3, 0, 4], seed, 5)) == pytest.approx({0: 0.125, 1: 0.375, 3: 0.5}, abs=0.015)


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=9).filter(any), st.integers(), st.integers(0, 2**62))
def test_only_what_has_a_weight_is_drawn_and_always_the_same(weights, seed, number):
    pick = lots(weights, seed, 1)

    assert weights[pick(number)] > 0
    assert lots(weights, seed, 1)(number) == pick(number)


def test_lots_of_other_salts_and_seeds_are_independent():
    one = lots([1, 1], 0, 1)
    for other in (lots([1, 1], 0, 2), lots([1, 1], 1, 1)):
        assert sum(one(number) == other(number) for number in range(MANY)) / MANY == pytest.approx(0.5, abs=0.015)


def test_numbers_in_a_row_do_not_draw_alike():
    pick = lots([1, 1], 3, 1)

    assert sum(pick(number) == pick(number + 1) for number in range(MANY)) / MANY == pytest.approx(0.5, abs=0.015)


def test_each_stretch_has_lots_of_its_own():
    pick = lots_by_stretch([0, 10, 10, 30], [lambda _: 0, lambda _: 1, lambda _: 2, lambda _: 3])

    assert [pick(number) for number in (0, 9, 10, 29, 30, 99)] == [0, 0, 2, 2, 3, 3]


USERS, GUESTS, BOTS = Loop(name="users", weight=3.0), Loop(name="guests"), Loop(name="bots", weight=4.0)


def test_a_plan_of_one_session_and_one_target_draws_nothing():
    plan = Plan()

    assert {plan.target_of(number) for number in range(99)} == {0}
    assert {plan.behaviour_of(number) for number in range(99)} == {0}


def test_users_have_the_plans_sessions_and_targets_by_weight():
    plan = Plan(sessions=(USERS, GUESTS, BOTS), targets=(Target(url="ws://a/"), Target(url="ws://b/", weight=3.0)))

    assert shares(plan.behaviour_of) == pytest.approx({0: 0.375, 1: 0.125, 2: 0.5}, abs=0.015)
    assert shares(plan.target_of) == pytest.approx({0: 0.25, 1: 0.75}, abs=0.015)
    both = Counter((plan.behaviour_of(number), plan.target_of(number)) for number in range(2000))
    assert both[2, 1] / 2000 == pytest.approx(0.375, abs=0.05)


def test_a_phase_may_have_a_mix_of_its_own():
    phases = (
        Phase(rate=1, max=MANY, sessions={"bots": 1.0}),
        Phase(duration=5.0, sessions={"users": 1.0}),
        Phase(rate=1, max=MANY),
        Phase(rate=1, max=MANY, sessions={"guests": 1.0, "users": 1.0}),
    )
    pick = Plan(phases=phases, sessions=(USERS, GUESTS, BOTS)).behaviour_of

    assert shares(pick) == {2: 1.0}
    assert shares(pick, range(MANY, 2 * MANY)) == pytest.approx({0: 0.375, 1: 0.125, 2: 0.5}, abs=0.015)
    assert shares(pick, range(2 * MANY, 3 * MANY)) == pytest.approx({0: 0.5, 1: 0.5}, abs=0.015)
