"""Steering: the wishes that a run fulfils while it goes on, and what follows."""

import pytest

from coordinator.run.progress import STEERED_IN
from coordinator.run.run import Run
from coordinator.run.steering import (
    AskedChange,
    Room,
    Wish,
    WishError,
    change_of,
    check_count,
    wording,
)
from loadgen.plan.feeder import Feeder
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import Loop
from loadgen.plan.steer import MAX_CHANGES, PlanChange, steered
from tests.unit.coordinator.fleet import (
    PLAN,
    started,
    steer,
)

PHASED = Plan(
    phases=(
        Phase(name="warm", rate=10, duration=10.0),
        Phase(name="peak", rate=100, duration=10.0),
        Phase(rate=10, max=50),
    )
)


def change(plan, at, room=None, **wish):
    """Returns the change that fulfils a wish of a run that was not changed before."""
    return change_of(Wish(**wish), plan, steered(plan, ()), at, room or Room(10_000))


def test_a_rate_and_a_max_hold_from_the_first_user_that_is_due_then():
    assert change(PLAN, 2.0, rate=50.0) == PlanChange(2.0, 200, rate=50.0)
    assert change(PLAN, 2.0, max=500) == PlanChange(2.0, 200, max=500)
    assert change(PLAN, 60.0, max=2000) == PlanChange(60.0, 1000, max=2000)


def test_a_phase_is_the_next_one_or_a_later_one_by_its_name():
    assert change(PHASED, 2.0, phase="") == PlanChange(2.0, 20, phase=1)
    assert change(PHASED, 2.0, phase="phase 3") == PlanChange(2.0, 20, phase=2)


GATED = Plan(phases=(Phase(rate=10, max=20, wait=True), Phase(rate=10, max=20)))


MIXED = Plan(
    sessions=(Loop(name="a"), Loop(name="b")),
    phases=(Phase(rate=10, max=20, sessions={"a": 1.0}),),
)


FED = Plan(
    rate=10.0,
    max=20,
    feeders=(Feeder(name="users", columns=("id",), count=25, table=b"", mode="unique"),),
)


@pytest.mark.parametrize(
    ("plan", "at", "wish", "words"),
    [
        (GATED, 1.0, {"rate": 5.0}, ["`wait`", "pause, resume or drain"]),
        (MIXED, 1.0, {"rate": 5.0}, ["`sessions`", "pause, resume or drain"]),
        (PLAN, 10.0, {"rate": 5.0}, ["all 1,000 connections", "raise max"]),
        (PHASED, 26.0, {"rate": 5.0}, ["the last phase is over"]),
        (PHASED, 1.0, {"max": 5}, ["phases of this plan", "change the rate"]),
        (PLAN, 1.0, {"phase": ""}, ["no phases", "rate or max"]),
        (PHASED, 21.0, {"phase": ""}, ["'phase 3' is the last", "drain"]),
        (PHASED, 11.0, {"phase": "warm"}, ["'warm' runs or is over", "'phase 3'"]),
        (PHASED, 1.0, {"phase": "peek"}, ["no phase 'peek'", "did you mean 'peak'?"]),
        (PLAN, 1.0, {"max": 10_001}, ["max 10,001", "hold 10,000", "--max-connections"]),
        (PHASED, 1.0, {"rate": 2000.0}, ["rate 2,000/s brings 19,060", "hold 10,000"]),
        (FED, 1.0, {"max": 26}, ["'users' has 25 rows", "at_end"]),
    ],
)
def test_what_a_plan_or_its_agents_can_not_do_is_answered_with_what_they_can(plan, at, wish, words):
    with pytest.raises(WishError) as caught:
        change(plan, at, **wish)
    assert [word for word in words if word not in str(caught.value)] == []


def test_users_that_come_and_go_may_be_more_than_the_agents_hold_at_a_time():
    chat = Plan(rate=10.0, max=20, loops=10, think=1.0)

    assert change(chat, 1.0, Room(100), max=100_000).max == 100_000
    with pytest.raises(WishError, match="the agents hold 100 at a time"):
        change(chat, 1.0, Room(100), max=100_001)


def test_no_user_is_added_once_an_agent_is_gone():
    with pytest.raises(WishError, match="agent b is lost or has finished"):
        change(PLAN, 1.0, Room(10_000, "b"), max=1001)
    assert change(PLAN, 1.0, Room(10_000, "b"), max=500).max == 500


def test_rows_that_are_enough_stand_in_the_way_of_no_change():
    assert change(FED, 1.0, max=25).max == 25


def test_a_run_takes_a_number_of_changes_at_most():
    check_count([PlanChange(1.0, 1, rate=1.0)] * (MAX_CHANGES - 1))
    with pytest.raises(WishError, match="1,000 changes"):
        check_count([PlanChange(1.0, 1, rate=1.0)] * MAX_CHANGES)


def test_a_change_is_worded_for_people():
    names = PHASED.phase_names

    assert wording(PlanChange(1.0, 1, rate=1234.5), names) == "rate 1,234.5/s"
    assert wording(PlanChange(1.0, 1, max=2000), names) == "max 2,000"
    assert wording(PlanChange(1.0, 1, phase=1), names) == "phase peak"
    asked = AskedChange("max 2,000", 12.4, 2000, PlanChange(1.0, 1, max=2000))
    assert str(asked) == "max 2,000 from second 12, 2,000 planned"
    asked.second = None
    assert str(asked) == "max 2,000 once arrivals go on, 2,000 planned"


def test_a_plan_that_is_fixed_is_not_changed():
    run = Run(PLAN, 1)
    run.steering.fixed = "a calibration keeps to its own plan"
    started(run, ["a"])

    with pytest.raises(WishError, match="own plan; pause, resume or drain"):
        steer(run, 1.0, rate=50.0)
    assert run.steering.asked() == []


def test_a_change_in_a_pause_holds_once_arrivals_go_on():
    run = Run(PLAN, 1)
    started(run, ["a"])
    run.pause(run.start + 2.0)
    steer(run, 4.0, rate=50.0)
    (asked,) = run.steering.asked()
    assert (asked.second, asked.change.at) == (None, 2.0 + STEERED_IN)

    run.resume(run.start + 6.0)

    assert run.steering.asked()[0].second == pytest.approx(6.0 + 1.5 + STEERED_IN)


def test_a_wish_before_the_start_is_not_refused_for_what_it_changes():
    run = Run(PLAN, 1)

    run.steering.check(Wish(phase="no such phase"), None)
    assert run.steering.asked() == []
