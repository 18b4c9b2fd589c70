"""The rows of users, read from the file in memory that an agent's workers share."""

import os

import pytest

from loadgen.plan.feeder import Feeder
from loadgen.plan.feeder_file import with_rows
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import Loop
from loadgen.sessions.rows import file_of, rows_of

USERS = tuple({"id": f"ü{number}", "note": "a\n\r\u2028b" * number} for number in range(5))
ROOMS = tuple({"room": number} for number in range(3))
SESSIONS = (Loop(name="a"), Loop(name="b"), Loop(name="c"))


@pytest.fixture
def shared():
    """The rows of two feeders, as a worker reads them."""
    users = with_rows(Feeder(rows=USERS, at_end="stop", sessions=("a", "b")), None)
    rooms = with_rows(Feeder(name="rooms", rows=ROOMS, mode="shared", sessions=("b",)), None)
    plan = Plan(sessions=SESSIONS, feeders=(users, rooms))
    descriptor = file_of([users.table, rooms.table])
    yield rows_of(plan.for_agents, descriptor), plan
    os.close(descriptor)


def test_each_session_has_the_rows_of_its_feeders(shared):
    rows, plan = shared
    of_b = plan.places_of(plan.feeders[1])

    assert rows.keys() == {"a", "b"}
    assert rows["a"][0] == USERS[0]
    fed = [number for number in range(12) if plan.session_of(number) == 1][:4]
    for number in fed:
        place = plan.places_of(plan.feeders[0])(number)
        own = USERS[place] if place is not None else {}
        assert rows["b"][number] == {**own, **ROOMS[of_b(number)]}


def test_rows_are_read_only(shared):
    rows, _ = shared
    with pytest.raises(TypeError):
        rows["a"][0]["id"] = "other"


def test_the_feeder_that_has_no_row_for_a_user_is_named(shared):
    rows, _ = shared

    assert rows["b"].dry_for(0) == ""
    assert rows["b"].dry_for(1000) == "users"


def test_a_plan_without_feeders_has_no_rows():
    assert rows_of(Plan()) == {}
