"""The states of a run: every transition of the table, and no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.run.run import Run
from coordinator.run.states import TRANSITIONS
from tests.unit.coordinator.fleet import (
    PLAN,
    beat,
    posted,
    ready,
    seconds,
    started,
)

TABLE = {(before, after) for before, states in TRANSITIONS.items() for after in states}


def test_a_run_makes_every_transition_of_the_table_and_no_other():
    made = set()

    class Observed(Run):
        def _enter(self, state):
            made.add((self.state, state))
            super()._enter(state)

    Observed(PLAN, 1).drain(0.0)
    finished_early = Observed(PLAN, 1)
    beat(finished_early, started(finished_early, ["a"]), finished_early.start, finished=True)
    drained_first = Observed(PLAN, 1)
    agents = started(drained_first, ["a"])
    drained_first.drain(drained_first.start)
    beat(drained_first, agents, drained_first.start, finished=True)

    assert made == TABLE


ACTIONS = {
    "tick": lambda run, now: run.tick(now),
    "pause": lambda run, now: run.pause(now),
    "resume": lambda run, now: run.resume(now),
    "drain": lambda run, now: run.drain(now),
    "stop": lambda run, now: run.stop(now),
    "lose": lambda run, now: run.lose_agent("a", "it was killed"),
    "post": lambda run, now: posted(run, next(iter(run.agents.by_id)), ready(), now),
    "finish": lambda run, now: posted(
        run, next(iter(run.agents.by_id)), seconds(finished=True), now
    ),
}


@given(
    on_loss=st.sampled_from(["continue", "redistribute", "abort"]),
    actions=st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), st.floats(0.0, 60.0))),
)
def test_no_order_of_events_makes_another_transition(on_loss, actions):
    run = Run(PLAN, 1, on_loss=on_loss)
    started(run, ["a"])
    now = run.start
    for action, passed in actions:
        now += passed
        before = run.state
        ACTIONS[action](run, now)
        assert before == run.state or (before, run.state) in TABLE


def test_a_run_that_is_done_enters_no_other_state():
    run = Run(PLAN, 1)
    run.drain(0.0)

    with pytest.raises(AssertionError, match="done → running"):
        run._enter("running")
