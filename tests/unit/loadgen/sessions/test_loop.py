"""The built-in loop: its think times and ends, against a real server."""

from contextlib import asynccontextmanager
from math import inf
from time import monotonic

import pytest
from websockets.asyncio.server import serve

from loadgen.plan.plan import Plan
from loadgen.sessions.loop import LoopScenario, LoopUser
from loadgen.timers import TICK
from tests.unit.loads import Load, idle_population
from tests.unit.wire_ends import until


class Server:
    """A server that remembers its connections."""

    def __init__(self) -> None:
        self.connections = []

    async def hold(self, connection):
        self.connections.append(connection)
        async for _ in connection:
            pass


@asynccontextmanager
async def load(grid=(TICK, 0.0), **changes):
    """A loop under way against a fresh server."""
    far = Server()
    async with serve(far.hold, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        plan = Plan(**{"rate": 500.0, "max": 5, "hold": 0.0} | changes)
        port = server.sockets[0].getsockname()[1]
        ports = range(24_430, 24_480)
        running = Load(plan, port, source="127.0.9.9", ports=ports, grid=grid)
        try:
            yield running, far
        finally:
            await running.end()


@pytest.mark.parametrize("think", [0.003, 0.01, 0.03, 0.05])
async def test_a_think_time_is_kept_on_average_however_short_it_is(think):
    async with load(max=1, think=think, loops=10**6) as (running, _):
        await until(lambda: running.tally.pings >= 50)
        (connection,) = running.population.connections
        now = monotonic()
        running.engine.tick(now)
        assert running.tally.pings == 1 + int((now - connection.first_ping_due) / think)


async def test_first_pings_are_due_on_the_grid_of_their_worker():
    async with load(grid=(0.05, 0.02), think=0.13) as (running, _):
        await until(lambda: running.ledger.open == 5)
        for connection in running.population.connections:
            turns = (connection.first_ping_due - running.start - 0.02) / 0.05
            assert turns == pytest.approx(round(turns), abs=1e-3)


async def test_a_turn_that_comes_late_keeps_users_in_the_order_of_their_pings():
    """Users that arrive while turns are late think longer than the others."""
    async with load(max=3, rate=100.0, think=0.2, loops=10**6) as (running, _):
        await until(lambda: running.ledger.open == 3)
        for _ in range(4):
            now = monotonic() + 0.3
            running.scenario.turn(now)
            due = [one.first_ping_due + one.pinged * 0.2 for one in running.population.connections]
            assert min(due) == running.scenario.next_due(inf) > now


async def test_a_loop_sends_its_pings_and_is_done():
    async with load(think=0.06, loops=4) as (running, _):
        assert (await running.over()).closed == {"done": 5}
        assert running.tally.pings == running.tally.pongs == 20
        assert running.tally.drained_unanswered == 0
        assert running.scenario.next_due(inf) == inf


async def test_the_end_of_its_connection_ends_a_user_while_it_thinks():
    async with load(think=30.0) as (running, far):
        await until(lambda: running.ledger.open == 5)
        for connection in far.connections:
            await connection.close(1001)
        assert (await running.over()).closed == {"server_1001": 5}
        assert running.tally.sessions_done == 5


async def test_users_close_in_good_order_or_abort_when_they_are_asked_to():
    async with load(max=2, think=30.0) as (running, far):
        await until(lambda: running.ledger.open == 2)
        first, second = (connection.owner for connection in list(running.population.connections))
        assert isinstance(first, LoopUser)
        first.close_all("churn")
        second.abort_all("storm")
        assert (await running.over()).closed == {"churn": 1, "storm": 1}
        first.close_all("churn")
        second.abort_all("storm")  # both harmless after the end
        await until(lambda: {far.close_code for far in far.connections} == {1000, 1006})


async def test_a_session_that_raises_is_a_bug_and_is_raised():
    def session(user):
        yield from ()
        raise LookupError

    scenario = LoopScenario(idle_population(), monotonic(), pytest.fail, session, 1.0, 1)
    with pytest.raises(LookupError):
        scenario.start_user(0, monotonic())
