"""Users of a session in Python on one worker's wheel."""

import os
from time import monotonic

import pytest

from loadgen.plan.feeder import Feeder
from loadgen.plan.feeder_file import with_rows
from loadgen.plan.plan import Plan
from loadgen.sessions.rows import file_of, rows_of
from loadgen.sessions.session_scenario import SessionScenario
from loadgen.sessions.user_state import UserState
from tests.unit.loads import idle_population
from tests.unit.timing import MS


def scenario(session, start):
    """A scenario of users that connect to nothing."""
    return SessionScenario(
        idle_population(), start, pytest.fail, session, name="mine", seed=7, agent="a", routes=()
    )


async def test_each_user_is_woken_by_itself_when_its_think_time_is_over():
    woken = []

    async def session(user):
        await user.think(20 * MS * (1 + user.number))
        woken.append(user.number)

    start = monotonic()
    shared = scenario(session, start)
    for number in (2, 0, 1):
        shared.start_user(number, start)
    (*thinking,) = shared.population.idle
    assert {user.state for user in thinking} == {UserState.THINKING}

    shared.turn(monotonic() + 10.0)

    assert woken == [0, 1, 2]
    assert not shared.population.idle
    assert shared.recorder.tally.sessions_done == 3


async def test_users_of_a_scenario_have_its_agent_and_numbers_of_their_own_from_its_seed():
    drawn = {}

    async def session(user):
        drawn[user.number] = user.agent, user.random.random()

    for _ in range(2):
        shared = scenario(session, monotonic())
        shared.start_user(1, 0.0)
        shared.start_user(2, 0.0)
        first = drawn.setdefault("first", {1: drawn[1], 2: drawn[2]})

        assert {number: drawn[number] for number in (1, 2)} == first

    assert drawn[1][0] == "a"
    assert drawn[1][1] != drawn[2][1]


async def test_a_user_without_a_row_ends_before_its_session_begins():
    started = []

    async def session(user):
        started.append(dict(user.row))

    shared = scenario(session, monotonic())
    users = with_rows(Feeder(rows=({"id": "u0"},), at_end="stop"), None)
    descriptor = file_of([users.table])
    shared.rows = rows_of(Plan(feeders=(users,)), descriptor)["loop"]
    for number in range(3):
        shared.start_user(number, 0.0)
    os.close(descriptor)

    assert started == [{"id": "u0"}]
    assert shared.recorder.tally.failed == {"not_connected": 1, "no_row": 2}
    assert shared.recorder.tally.sessions_failed == 2
    assert shared.recorder.take_samples() == {"no_row": "user 1: feeder 'users' has no row left\n"}


async def test_a_session_without_a_feeder_that_asks_for_a_row_fails():
    async def session(user):
        user.row["id"]

    shared = scenario(session, monotonic())
    shared.start_user(0, 0.0)

    assert shared.recorder.tally.failed == {"error_RuntimeError": 1}
    (sample,) = shared.recorder.take_samples().values()
    assert "user.row needs a plan with [[feeders]] for the session 'mine'" in sample
