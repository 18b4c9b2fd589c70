"""Where a run stands among its phases, and at which rate."""

import pytest

from coordinator.stages import Stage, mean_rate, rate_at, stage_at, stages_of
from loadgen.phases import Phase
from loadgen.plan import Plan

PLAN = Plan(
    phases=(
        Phase(name="ramp", rate=0, rate_to=10, duration=10.0),
        Phase(duration=5.0, wait=True),
        Phase(name="again", rate=4, max=8),
    )
)
SPANS = PLAN.schedule.spans


def test_what_is_behind_a_shut_gate_has_no_times_yet():
    assert stages_of(PLAN, SPANS, (), {}) == [
        Stage("ramp", 0.0, 10.0, 50),
        Stage("phase 2", 10.0, None, 0),
        Stage("again", None, None, 8),
    ]


def test_a_phase_that_waits_lasts_until_the_gate_opens():
    assert stages_of(PLAN, SPANS, (100.0,), {}) == [
        Stage("ramp", 0.0, 10.0, 50),
        Stage("phase 2", 10.0, 100.0, 0),
        Stage("again", 100.0, 102.0, 8),
    ]


def test_each_seconds_launches_belong_to_the_phase_that_it_lies_in():
    launched = {0: 1, 9: 2, 10: 4, 99: 8, 100: 16, 101: 32, 102: 64}

    assert [stage.launched for stage in stages_of(PLAN, SPANS, (100.0,), launched)] == [3, 12, 112]


def test_phases_share_a_second_in_proportion_to_who_is_due_in_each():
    """In the last half second of the first 100 are due, in the first half of the second 300."""
    plan = Plan(phases=(Phase(rate=200, duration=1.5), Phase(rate=600, duration=1.0), Phase(duration=9.0)))
    spans = plan.schedule.spans

    assert [stage.launched for stage in stages_of(plan, spans, (), {0: 200, 1: 400, 2: 300})] == [300, 600, 0]
    assert [stage.launched for stage in stages_of(plan, spans, (), {1: 41})] == [10, 31, 0]
    assert [stage.launched for stage in stages_of(plan, spans, (), {7: 5, 99: 1})] == [0, 0, 6]


def test_a_plan_without_phases_has_one():
    plan = Plan(rate=10, max=20)

    assert stages_of(plan, plan.schedule.spans, (), {0: 10, 1: 10}) == [Stage("arrivals", 0.0, 1.9, 20, 20)]
    assert [stage_at(plan, plan.schedule.spans, (), age) for age in (-1.0, 0.0, 1.8, 1.9)] == ["arrivals"] * 3 + [
        "hold"
    ]


@pytest.mark.parametrize(
    ("age", "name", "rate"),
    [
        (-0.5, "ramp", 0.0),
        (0.0, "ramp", 0.0),
        (5.0, "ramp", 5.0),
        (10.0, "phase 2", 0.0),
        (15.0, "waiting for sessions to end", 0.0),
        (99.0, "waiting for sessions to end", 0.0),
        (100.0, "again", 4.0),
        (101.9, "again", 4.0),
        (102.0, "hold", 0.0),
    ],
)
def test_the_phase_and_its_rate_follow_from_the_age(age, name, rate):
    assert stage_at(PLAN, SPANS, (100.0,), age) == name
    assert rate_at(PLAN, SPANS, (100.0,), age) == pytest.approx(rate)


def test_the_rate_asked_for_is_that_of_the_time_in_which_there_are_arrivals():
    assert mean_rate(PLAN, SPANS) == pytest.approx(58 / 12, abs=0.05)
    assert mean_rate(Plan(rate=7.0), Plan(rate=7.0).schedule.spans) == 7.0
