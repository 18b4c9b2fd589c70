"""Changes of a plan while it runs.

The users that are due before stay, and those that come after follow the law.
"""

from itertools import pairwise
from math import exp, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.shares import Share
from loadgen.plan.steer import PlanChange, steered

WHOLE = Share()
PHASED = Plan(
    phases=(
        Phase(name="ramp", rate=0, rate_to=20, duration=10.0),
        Phase(name="hold", duration=5.0, storm=0.5, jitter=1.0),
        Phase(name="again", rate=5, max=10),
    )
)


def steer(plan, *wishes):
    """Returns the schedule after wishes: a time, and what is asked from then on."""
    schedule = steered(plan, ())
    for at, wish in wishes:
        schedule = schedule.steered(PlanChange(at, schedule.next_after(at), **wish))
    return schedule


def dues(schedule, share=WHOLE):
    return list(schedule.dues(share))


def times(schedule):
    return [due for _, due in dues(schedule)]


@pytest.mark.parametrize("arrival", ["uniform", "poisson"])
def test_without_a_change_the_schedule_is_the_plans(arrival):
    plain = Plan(rate=10.0, max=50, arrival=arrival)
    phased = Plan(phases=PHASED.phases, arrival=arrival)

    for plan in (plain, phased):
        assert dues(steered(plan, ())) == dues(plan.schedule)
        assert steered(plan, ()).end() == plan.schedule.end()
        assert steered(plan, ()).total == plan.total


def test_a_new_rate_holds_from_its_time_on_and_all_still_arrive():
    schedule = steer(Plan(rate=10.0, max=100), (2.45, {"rate": 20.0}))
    found = times(schedule)

    assert schedule.total == len(found) == 100
    assert found[:25] == times(Plan(rate=10.0, max=25).schedule)
    # Half of a distance had passed at the old rate, the other half passes at the new one.
    assert found[25:] == pytest.approx([2.475 + place / 20 for place in range(75)])
    assert schedule.end() == pytest.approx(2.475 + 74 / 20)


@given(
    st.floats(0.5, 50),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0.5, 50)), max_size=5),
)
def test_number_k_is_due_when_the_rates_have_brought_k(rate, changes):
    """However often the rate changes, no arrival is added or left out."""
    wishes, at = [], 0.0
    for after, new in changes:
        at += after
        wishes.append((at, {"rate": new}))
    found = times(steer(Plan(rate=rate, max=100), *wishes))

    rates = [(0.0, rate), *((at, wish["rate"]) for at, wish in wishes)]
    ends = [*(at for at, _ in rates[1:]), float("inf")]
    for number, due in enumerate(found):
        brought = sum(
            of * max(0.0, min(due, end) - begin)
            for (begin, of), end in zip(rates, ends, strict=True)
        )
        assert brought == pytest.approx(number, abs=1e-6)
    assert len(found) == 100


def test_random_gaps_before_a_change_stay_and_those_after_it_have_the_new_rate():
    plan = Plan(rate=100.0, max=20_000, arrival="poisson", seed=3)
    schedule = steer(plan, (50.0, {"rate": 1000.0}))
    before = [due for due in times(plan.schedule) if due < 50.0]
    found = times(schedule)

    assert len(found) == 20_000
    assert found[: len(before)] == before
    assert found[len(before)] >= 50.0
    gaps = sorted(after - earlier for earlier, after in pairwise([50.0, *found[len(before) :]]))
    parts = [1.0 - exp(-1000.0 * gap) for gap in gaps]
    # Kolmogorov and Smirnov: below 1.63/√n in 99 % of the cases, here with a fixed seed.
    farthest = max(abs(part - (rank + 0.5) / len(parts)) for rank, part in enumerate(parts))
    assert farthest < 1.63 / sqrt(len(parts))
    assert schedule.end() == found[-1]


@pytest.mark.parametrize("arrival", ["uniform", "poisson"])
def test_a_second_change_has_random_times_of_its_own(arrival):
    plan = Plan(rate=100.0, max=1000, arrival=arrival, seed=3)
    schedule = steer(plan, (2.0, {"rate": 50.0}), (4.0, {"rate": 200.0}), (4.0, {"rate": 100.0}))
    found = times(schedule)

    assert len(found) == 1000
    assert all(after >= before for before, after in pairwise(found))
    assert sum(due < 4.0 for due in found) == pytest.approx(300, abs=50)


def test_max_falls_to_what_is_due_by_then():
    plan = Plan(rate=10.0, max=100)

    assert times(steer(plan, (3.0, {"max": 40}))) == pytest.approx(
        times(Plan(rate=10.0, max=40).schedule)
    )
    over = steer(plan, (3.0, {"max": 10}))
    assert over.total == 30
    assert over.end() == 3.0
    assert times(over) == times(Plan(rate=10.0, max=30).schedule)


def test_max_rises_while_users_arrive_and_after_the_last_one():
    plan = Plan(rate=10.0, max=20)

    assert times(steer(plan, (1.0, {"max": 30}))) == pytest.approx(
        times(Plan(rate=10.0, max=30).schedule)
    )
    later = steer(plan, (60.0, {"max": 30}))
    assert times(later)[20:] == pytest.approx([60.0 + place / 10 for place in range(10)])
    assert (later.total, later.end()) == (30, pytest.approx(60.9))


def test_after_max_has_fallen_it_may_rise_again():
    schedule = steer(Plan(rate=10.0, max=100), (1.0, {"max": 5}), (20.0, {"max": 15}))

    assert schedule.total == 15
    assert times(schedule)[10:] == pytest.approx([20.0 + place / 10 for place in range(5)])


def test_a_new_rate_ends_a_ramp_and_holds_until_its_phase_is_over():
    schedule = steer(PHASED, (5.0, {"rate": 4.0}))
    found = times(schedule)

    assert found[:25] == times(PHASED.schedule)[:25]  # 0, 1, … of the first half of the ramp
    assert found[25:45] == pytest.approx([5.0 + place / 4 for place in range(20)])
    assert found[45:] == pytest.approx([15.0 + place / 5 for place in range(10)])
    assert [piece.place for piece in schedule.arrivals] == [0, 0, 1, 2]
    assert schedule.total == 55
    assert schedule.end() == PHASED.schedule.end()


def test_a_phase_without_arrivals_may_get_a_rate_and_has_its_storm_once():
    schedule = steer(PHASED, (12.0, {"rate": 2.0}))

    assert times(schedule)[100:106] == pytest.approx([12.0 + place / 2 for place in range(6)])
    assert [(phase.storm, phase.jitter) for phase, _ in schedule.phases_with_spans] == [
        (0.0, 0.0),
        (0.5, 1.0),
        (0.0, 0.0),
        (0.0, 0.0),
    ]


def test_a_phase_with_a_number_is_over_sooner_at_a_higher_rate():
    schedule = steer(
        Plan(phases=(Phase(rate=1, max=10), Phase(rate=1, max=2))), (3.5, {"rate": 10.0})
    )

    assert times(schedule)[:4] == [0.0, 1.0, 2.0, 3.0]
    assert times(schedule)[4:10] == pytest.approx([3.55 + place / 10 for place in range(6)])
    assert times(schedule)[10:] == pytest.approx([4.1, 5.1])


def test_a_capped_phase_brings_no_more_at_another_rate():
    plan = Plan(phases=(Phase(rate=10, duration=10.0, max=30),))

    assert steer(plan, (1.0, {"rate": 100.0})).total == 30
    assert steer(plan, (1.0, {"rate": 1.0})).total == 19
    assert steer(plan, (5.0, {"rate": 1.0})).total == 30
    assert steer(plan, (1.0, {"rate": 1.0}), (2.0, {"rate": 100.0})).total == 30


def test_a_phase_begins_at_once_and_those_before_it_are_left_out():
    schedule = steer(PHASED, (5.0, {"phase": 2}))
    found = times(schedule)

    assert found[:25] == times(PHASED.schedule)[:25]
    assert found[25:] == pytest.approx([5.0 + place / 5 for place in range(10)])
    assert (schedule.total, schedule.end()) == (35, 7.0)


def test_random_arrivals_of_a_phase_stay_before_a_change_and_are_as_many_as_asked_after_it():
    plan = Plan(phases=(Phase(rate=100, duration=10.0), Phase(rate=10, max=5)), arrival="poisson")
    schedule = steer(plan, (5.0, {"rate": 1000.0}))
    before = [due for due in times(plan.schedule) if due < 5.0]
    found = times(schedule)

    assert found[: len(before)] == before
    assert len(found) == len(before) + 5000 + 5
    assert 5.0 <= found[len(before)] <= found[-6] < 10.0


@given(
    st.sampled_from(["uniform", "poisson"]),
    st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any),
    st.floats(0, 9),
    st.one_of(
        st.builds(lambda rate: {"rate": rate}, st.floats(0.5, 50)),
        st.builds(lambda most: {"max": most}, st.integers(1, 100)),
    ),
)
def test_shares_add_up_whatever_the_fleet(arrival, weights, at, wish):
    schedule = steer(Plan(rate=10.0, max=60, arrival=arrival), (at, wish))
    whole = dues(schedule)

    assert [number for number, _ in whole] == list(range(schedule.total))
    parts = [due for share in WHOLE.split(weights) for due in dues(schedule, share)]
    assert sorted(parts) == whole


def test_the_numbers_from_a_change_on_can_be_had_alone():
    schedule = steer(Plan(rate=10.0, max=20), (1.0, {"rate": 5.0}))

    assert list(schedule.dues(WHOLE, first=10)) == dues(schedule)[10:]


def test_churn_goes_on_at_a_new_rate():
    plan = Plan(phases=(Phase(rate=10, duration=10.0, churn=3.0, keep=True),))
    schedule = steer(plan, (4.0, {"rate": 1.0}))

    assert [
        (phase.churn, phase.keep, span.begin, span.end)
        for phase, span in schedule.phases_with_spans
    ] == [(3.0, True, 0.0, 4.0), (3.0, True, 4.0, 10.0)]


def test_after_the_last_phase_a_rate_changes_nothing():
    assert dues(steer(PHASED, (60.0, {"rate": 5.0}))) == dues(PHASED.schedule)


def test_a_phase_may_begin_once_the_one_before_has_its_number():
    plan = Plan(phases=(Phase(rate=1, max=3),))
    schedule = steer(plan, (2.5, {"rate": 2.0}))

    assert times(schedule) == [0.0, 1.0, 2.0]


def test_the_changes_of_a_plan_follow_each_other():
    changes = [PlanChange(1.0, 10, rate=5.0), PlanChange(2.0, 15, rate=10.0)]
    plan = Plan(rate=10.0, max=100)

    assert dues(steered(plan, changes)) == dues(
        steer(plan, (1.0, {"rate": 5.0}), (2.0, {"rate": 10.0}))
    )
