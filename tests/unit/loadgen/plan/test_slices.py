"""The slices of a run, and the parts of it that they make."""

import pytest

from loadgen.plan.plan import Plan, Target
from loadgen.plan.script import Connect
from loadgen.plan.sessions import Loop, Script
from loadgen.plan.slices import MAX_SLICES, NOT_SPLIT, slices_of

ONE, TWO = "ws://one/", "ws://two/?token=s3cret"


def plan(sessions=1, targets=1):
    """Returns a plan with a number of sessions and targets."""
    return Plan(
        sessions=tuple(Loop(name=f"s{number}") for number in range(sessions)),
        targets=tuple(Target(url=f"ws://t{number}/") for number in range(targets)),
    )


@pytest.mark.parametrize("single", [Plan(), plan()])
def test_one_session_and_one_target_are_not_split(single):
    slices = slices_of(single)

    assert slices == NOT_SPLIT
    assert (slices.number, slices.parts, slices.parts_of(0)) == (0, (), ())
    assert (slices.place(0, 0), slices.session_of(0)) == (0, "")


def test_each_session_with_each_target_is_a_slice():
    slices = slices_of(plan(sessions=2, targets=3))

    assert slices.number == 6
    assert slices.parts == ("session.s0", "session.s1", *(f"target.ws://t{n}/" for n in range(3)))
    places = [slices.place(session, target) for session in range(2) for target in range(3)]
    assert places == list(range(6))
    assert slices.parts_of(5) == ("session.s1", "target.ws://t2/")
    assert [slices.session_of(place) for place in places] == ["s0"] * 3 + ["s1"] * 3


@pytest.mark.parametrize("place", [-1, 6, 2**40])
def test_a_place_that_an_agent_makes_up_is_in_no_part(place):
    assert slices_of(plan(sessions=2, targets=3)).parts_of(place) == ()


def test_sessions_alone_and_targets_alone_are_split():
    by_session, by_target = slices_of(plan(sessions=2)), slices_of(plan(targets=2))

    assert by_session.parts == ("session.s0", "session.s1")
    assert (by_session.place(1, 0), by_session.parts_of(1)) == (1, ("session.s1",))
    assert by_target.parts == ("target.ws://t0/", "target.ws://t1/")
    assert by_target.place(0, 1) == 1
    assert by_target.session_of(1) == ""


def test_targets_are_all_urls_of_the_plan_as_they_are_shown():
    steps = (Connect(), Connect(url=TWO))
    slices = slices_of(Plan(target=ONE, sessions=(Script(name="both", steps=steps),)))

    assert slices.sessions == ()
    assert slices.targets == tuple(
        Plan(targets=(Target(url=ONE), Target(url=TWO))).shown_urls.values()
    )
    assert "s3cret" not in str(slices)


def test_where_slices_would_be_too_many_results_are_split_by_session_alone():
    slices = slices_of(plan(sessions=5, targets=MAX_SLICES // 4))

    assert slices.number == 5
    assert slices.place(4, 12) == 4
    assert slices.note == (
        "results are split by session, and not by target: 5 sessions and 16 targets are more than"
        " the 64 slices that a run has"
    )
    assert slices_of(plan(sessions=4, targets=MAX_SLICES // 4)).note == ""


@pytest.mark.parametrize(
    ("many", "several"),
    [
        (plan(sessions=MAX_SLICES + 1), "65 sessions"),
        (plan(sessions=MAX_SLICES + 1, targets=2), "65 sessions"),
        (plan(targets=MAX_SLICES + 1), "65 targets"),
    ],
)
def test_more_sessions_or_targets_than_slices_are_not_split(many, several):
    slices = slices_of(many)

    assert slices.number == 0
    assert slices.note == (f"results are not split: {several} are more than the 64 slices of a run")
