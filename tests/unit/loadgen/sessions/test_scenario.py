"""The parts that all users of a scenario share."""

from types import SimpleNamespace

import pytest

from loadgen.net.connection import Connection
from loadgen.net.throttle import Throttle
from loadgen.sessions.scenario import Scenario
from tests.unit.loads import idle_population
from tests.unit.wire_ends import TERMS, Diary


def scenario(**changes):
    """A scenario whose users connect to nothing."""
    return Scenario(idle_population(), 100.0, pytest.fail, **changes)


def test_connections_without_a_limit_have_no_throttle():
    assert scenario().wrap() is None
    assert scenario(read_rate=5.0).wrap() is not None


def test_connections_of_one_rate_share_what_wraps_them():
    """So a route prepares their terms once."""
    shared = scenario(read_rate=1000.0)

    assert shared.wrap() is shared.wrap(1000.0)
    assert shared.wrap(2000.0) is not shared.wrap()


def test_a_throttle_waits_on_the_scenarios_wheel():
    shared = scenario()
    connection = Connection(shared.recorder, TERMS, Diary())
    throttle = shared.wrap(1000.0)(connection)
    assert isinstance(throttle, Throttle)

    shared.wake_at(throttle, 100.1)
    assert [item for _, items in shared.wheel.turn(100.2) for item in items] == [throttle]


def test_a_url_that_is_not_in_the_plan_is_named_with_those_that_are():
    route = SimpleNamespace(url="ws://a/")

    assert scenario(routes=(route,)).route("ws://a/") is route
    with pytest.raises(ValueError, match=r"ws://b/ is not one of the plan's targets: ws://a/"):
        scenario(routes=(route,)).route("ws://b/")


def test_a_session_that_blocks_its_worker_is_counted_and_named():
    shared = scenario(name="greedy")
    shared.count_blocked(7, 1.25)

    assert shared.recorder.tally.counters == {"greedy_blocked_its_worker": 1}
    assert shared.recorder.take_remarks() == (
        "session greedy of user 7 blocked its worker for 1.2 s",
    )
