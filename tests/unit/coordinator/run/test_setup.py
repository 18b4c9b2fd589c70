"""Setup and teardown of a run: which agents call them, and what came of it."""

import pytest

from coordinator.run.setup import ANSWER_TIME, RunSetup
from loadgen.plan.setup import MAX_DATA, SetupSpec
from loadgen.wire import Errand, ErrandResult

SPEC = SetupSpec(file="prepare.py", teardown="teardown", timeout=60.0)


def set_up(spec=SPEC):
    """Returns a setup that agent a has called."""
    setup = RunSetup(spec)
    assert setup.give(["a", "b"], 0.0)
    assert setup.take("a", ErrandResult(1, b"[1]"))
    return setup


def test_a_plan_without_setup_has_nothing_to_call():
    setup = RunSetup(None)

    assert (setup.stage, setup.under_way, setup.to_come, setup.data) == ("over", False, False, b"")
    assert not setup.give(["a"], 0.0)
    assert not setup.begin_teardown()


def test_one_agent_calls_setup_and_its_result_is_kept():
    setup = RunSetup(SPEC)

    assert setup.give(["a", "b"], 0.0)
    assert not setup.give(["a", "b"], 1.0)
    assert (setup.errand_of("a"), setup.errand_of("b")) == (Errand(1, "setup"), None)
    assert (setup.under_way, setup.to_come) == (True, False)
    assert not setup.take("b", ErrandResult(1, b"[2]"))
    assert not setup.take("a", ErrandResult(7, b"[2]"))
    assert setup.take("a", ErrandResult(1, b"[1]"))
    assert (setup.stage, setup.data, setup.under_way, setup.to_come) == (
        "load",
        b"[1]",
        False,
        True,
    )
    assert not setup.take("a", ErrandResult(1, b"[2]"))
    assert not setup.give(["a"], 2.0)


def test_another_agent_begins_anew_when_the_first_is_lost():
    setup = RunSetup(SPEC)
    setup.give(["a", "b"], 0.0)

    assert setup.give(["b"], 1.0)
    assert (setup.errand_of("a"), setup.errand_of("b")) == (None, Errand(2, "setup"))
    assert not setup.give([], 2.0)  # and waits for one that can be reached
    assert not setup.under_way
    assert setup.give(["c"], 3.0)
    assert setup.take("c", ErrandResult(3, b"null"))
    assert setup.stage == "load"


def test_a_setup_that_fails_leaves_nothing_to_call():
    setup = RunSetup(SPEC)
    setup.give(["a"], 0.0)

    assert setup.take("a", ErrandResult(1, problem="prepare.py:2: KeyError:\n'x'"))
    assert (setup.stage, setup.problem) == ("over", "prepare.py:2: KeyError: 'x'")
    assert (setup.teardown_problem, setup.to_come) == ("", False)
    assert not setup.begin_teardown()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "the agent sent what is no JSON: "),
        (b"{", "the agent sent what is no JSON: "),
        (b'"\xff"', "the agent sent what is no JSON: "),
        (b"[" * 100_000, "the agent sent what is no JSON: "),
        (b"1" * (MAX_DATA + 1), "the agent sent 1,048,577 bytes, and 1,048,576 may be given"),
    ],
)
def test_a_result_that_agents_could_not_read_is_a_problem(data, problem):
    setup = RunSetup(SPEC)
    setup.give(["a"], 0.0)

    assert setup.take("a", ErrandResult(1, data))
    assert setup.problem.startswith(problem)


def test_an_agent_that_says_nothing_has_failed_after_the_timeout():
    setup = RunSetup(SPEC)
    setup.give(["a"], 0.0)

    assert not setup.give(["a"], 60.0 + ANSWER_TIME)
    assert setup.under_way
    assert not setup.give(["a"], 60.1 + ANSWER_TIME)
    assert setup.problem == "the agent did not say what came of it within 30 s"


def test_the_agent_that_has_set_up_calls_teardown_with_the_data():
    setup = set_up()

    assert setup.begin_teardown()
    assert setup.begin_teardown()
    assert setup.to_come
    assert setup.give(["b", "a"], 9.0)
    assert setup.errand_of("a") == Errand(2, "teardown", b"[1]")
    assert setup.take("a", ErrandResult(2))
    assert (setup.stage, setup.teardown_problem, setup.to_come) == ("over", "", False)


def test_another_agent_calls_teardown_where_that_one_is_gone():
    setup = set_up()
    setup.begin_teardown()

    assert setup.give(["b"], 9.0)
    assert setup.take("b", ErrandResult(2, problem="it broke"))
    assert (setup.stage, setup.teardown_problem, setup.problem) == ("over", "it broke", "")


def test_a_teardown_that_no_agent_can_call_has_failed():
    setup = set_up()
    setup.begin_teardown()

    assert not setup.give([], 9.0)
    assert setup.teardown_problem == "no agent is left that could call it"
    assert setup.stage == "over"


def test_the_operator_need_not_wait_for_a_teardown():
    setup = set_up()
    setup.begin_teardown()
    setup.give(["a"], 9.0)
    setup.skip()

    assert (setup.errand_of("a"), setup.stage) == (None, "over")
    assert setup.teardown_problem == "the operator did not wait for it"


def test_a_setup_without_teardown_leaves_nothing_to_call():
    setup = set_up(SetupSpec(file="prepare.py", teardown=""))

    assert not setup.to_come
    assert not setup.begin_teardown()
    assert setup.stage == "over"
