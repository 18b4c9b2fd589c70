"""Sessions as they are driven: how they wait, go on and end."""

import asyncio
import gc
import socket
import time
from contextlib import ExitStack, contextmanager
from time import monotonic

import pytest

from loadgen.sessions.driver import BLOCKED_AFTER
from loadgen.sessions.errors import ConnectFailed, ConnectionEnded
from loadgen.sessions.user import User
from loadgen.sessions.websocket import WebSocket
from loadgen.timers import Wheel
from tests.processes import refusing_port
from tests.unit.loadgen.sessions.echo_server import load
from tests.unit.timing import MS
from tests.unit.wire_ends import until


async def test_a_session_that_awaits_a_future_goes_on_with_its_result():
    future, got = asyncio.get_running_loop().create_future(), []

    async def session(user):
        await user.connect()
        got.append(await future)

    async with load(session) as (running, _):
        await until(lambda: running.ledger.open == 1)
        assert got == []
        future.set_result("the answer")
        assert (await running.over()).closed == {"done": 1}
        assert got == ["the answer"]


async def test_a_future_that_fails_raises_in_the_session():
    future, got = asyncio.get_running_loop().create_future(), []

    async def session(user):
        await user.connect()
        try:
            await future
        except LookupError as error:
            got.append(str(error))

    async with load(session) as (running, _):
        await until(lambda: running.ledger.open == 1)
        future.set_exception(LookupError("not here"))
        assert (await running.over()).closed == {"done": 1}
        assert got == ["not here"]


async def test_one_future_resumes_all_users_that_await_it():
    future, got = asyncio.get_running_loop().create_future(), []

    async def session(user):
        await user.connect()
        got.append((user.number, await future))

    async with load(session, max=5) as (running, _):
        await until(lambda: running.ledger.open == 5)
        future.set_result("go")
        assert (await running.over()).closed == {"done": 5}
        assert sorted(got) == [(number, "go") for number in range(5)]


async def test_a_deadline_that_was_met_interrupts_nothing_later():
    async def session(user):
        ws = await user.connect()
        await ws.send("quick")
        await ws.receive(timeout=60 * MS)
        begin = monotonic()
        await user.think(200 * MS)
        assert monotonic() - begin >= 200 * MS
        await ws.close()

    async with load(session, max=5) as (running, _):
        assert (await running.over()).closed == {"done": 5}


async def test_an_exception_ends_its_session_alone_and_a_sample_is_kept():
    async def session(user):
        await user.connect()
        if user.number % 2:
            raise KeyError("nothing under this name")

    async with load(session, max=4) as (running, server):
        assert (await running.over()).closed == {"done": 2, "error_KeyError": 2}
        assert "nothing under this name" in running.recorder.samples["error_KeyError"]
        assert (running.tally.sessions_done, running.tally.sessions_failed) == (2, 2)
        await until(lambda: server.codes == [1000] * 4)


@pytest.mark.parametrize("end", [SystemExit, asyncio.CancelledError, KeyboardInterrupt])
async def test_no_exception_reaches_the_worker(end):
    async def session(user):
        await user.connect()
        raise end

    async with load(session, max=2) as (running, _):
        assert (await running.over()).closed == {f"error_{end.__name__}": 2}


async def test_a_session_that_raises_in_a_drain_has_failed_and_the_others_are_done():
    async def session(user):
        await user.connect()
        try:
            await user.think(600)
        finally:
            if user.number:
                raise OSError

    async with load(session, max=3) as (running, _):
        await until(lambda: running.ledger.open == 3)
        running.engine.drain(monotonic())
        assert (await running.over()).closed == {"drained": 1, "error_OSError": 2}
        assert (running.tally.sessions_done, running.tally.sessions_failed) == (1, 2)


async def test_a_user_that_never_connects_is_a_failure():
    async def session(user):
        if user.number:
            return
        raise ValueError

    async with load(session, max=3) as (running, _):
        assert (await running.over()).failed == {"error_ValueError": 1, "not_connected": 2}
        assert (running.tally.sessions_done, running.tally.sessions_failed) == (2, 1)


async def test_a_user_that_waits_before_it_connects_counts_as_connecting():
    async def session(user):
        await user.think(30)

    async with load(session, max=3) as (running, _):
        await until(lambda: running.ledger.connecting == 3)
        assert running.ledger.breaches(running.engine.held()) == []
        running.engine.drain(monotonic())
        assert (await running.over()).failed == {"drained": 3}


async def test_a_session_that_tries_for_ever_can_still_be_drained():
    async def session(user):
        while True:
            try:
                await user.connect()
                await user.think(30)
            except (ConnectFailed, ConnectionEnded):
                user.count("again")

    async with load(session, max=5, port=refusing_port()) as (running, _):
        await until(lambda: running.tally.counters.get("again", 0) > 20)
        running.engine.drain(monotonic())
        await running.over()


async def test_an_object_that_asyncio_can_not_await_fails_its_session():
    class Strange:
        def __await__(self):
            yield "something"

    async def session(user):
        await user.connect()
        await Strange()

    async with load(session) as (running, _):
        assert (await running.over()).closed == {"error_TypeError": 1}


async def test_the_end_of_its_connection_interrupts_a_session_that_waits_for_it_or_thinks():
    recorded = []

    async def session(user):
        ws = await user.connect()
        try:
            await (user.think, lambda _: ws.receive(), lambda seconds: ws.receive(timeout=seconds))[
                user.number
            ](30)
        except ConnectionEnded as end:
            recorded.append(str(end))
            raise

    async with load(session, max=3) as (running, server):
        await until(lambda: running.ledger.open == 3)
        for connection in server.connections:
            await connection.close(1001)
        assert (await running.over()).closed == {"server_1001": 3}
        assert recorded == ["server_1001"] * 3


async def test_the_end_of_its_connection_does_not_end_a_foreign_await_and_is_raised_afterwards():
    future, recorded = asyncio.get_running_loop().create_future(), []

    async def session(user):
        ws = await user.connect()
        await ws.send("kept")
        recorded.append(await future)
        recorded.append(await ws.receive())
        try:
            await ws.receive()
        except ConnectionEnded as end:
            recorded.append(str(end))

    async with load(session) as (running, server):
        await until(lambda: running.tally.messages_received == 1)
        await server.connections[0].close(1001)
        await until(lambda: running.ledger.closed == {"server_1001": 1})
        future.set_result("answer")
        await running.over()
        assert recorded == ["answer", "kept", "server_1001"]


async def test_a_session_may_outlive_its_connection():
    """The session catches the end and goes on; the connection is counted once."""
    afterwards = []

    async def session(user):
        await user.connect()
        try:
            await user.think(30)
        except ConnectionEnded:
            afterwards.append(user.number)

    async with load(session) as (running, server):
        await until(lambda: running.ledger.open == 1)
        await server.connections[0].close(1000)
        assert (await running.over()).closed == {"server_1000": 1}
        assert afterwards == [0]


async def test_a_session_that_returns_closes_its_connection_in_good_order():
    async def session(user):
        await user.connect()

    async with load(session, max=3) as (running, server):
        ledger = await running.over()
        assert (ledger.opened, ledger.closed) == (3, {"done": 3})
        await until(lambda: server.codes == [1000] * 3)


async def test_a_drain_ends_sessions_where_they_wait_and_their_finally_is_done():
    cleaned = []

    async def session(user):
        ws = await user.connect()
        try:
            await (user.think, lambda _: ws.receive(), asyncio.sleep)[user.number](30)
        finally:
            cleaned.append(user.number)

    async with load(session, max=3) as (running, _):
        await until(lambda: running.ledger.open == 3)
        running.engine.drain(monotonic())
        assert (await running.over()).closed == {"drained": 3}
        assert sorted(cleaned) == [0, 1, 2]


async def test_sessions_that_are_over_leave_nothing_behind_although_the_collector_is_off():
    async def session(user):
        ws = await user.connect()
        await ws.send("x")
        await ws.receive(timeout=30)
        await user.think(20 * MS)
        if user.number % 2:
            raise LookupError

    gc.collect()
    gc.disable()
    try:
        async with load(session, max=20) as (running, _):
            await running.over()
            # The wheel still holds places for deadlines that were met; they pass with time.
            running.scenario.wheel = Wheel()
        async with load(session, max=20, port=refusing_port()) as (running, _):
            await running.over()
        running = None
        await asyncio.sleep(0.05)
        assert [thing for thing in gc.get_objects() if isinstance(thing, User | WebSocket)] == []
    finally:
        gc.enable()


async def test_a_session_that_blocks_its_worker_is_counted_and_named():
    async def session(user):
        await user.connect()
        time.sleep(BLOCKED_AFTER + 0.1)  # noqa: ASYNC251 -- the fault that is tested

    async with load(session) as (running, _):
        await running.over()
        assert running.tally.counters == {"mine_blocked_its_worker": 1}
        assert (
            "session mine of user 0 blocked its worker for 0.6 s" in running.recorder.take_remarks()
        )


@contextmanager
def full_backlog():
    """A port to which connects stay under way: the kernel drops their SYNs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with ExitStack() as stack:
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.1", port))
            yield port


async def test_a_user_that_is_drained_while_it_connects_has_one_session_that_is_done():
    async def session(user):
        await user.connect()

    with full_backlog() as port:
        async with load(session, port=port) as (running, _):
            await until(lambda: len(running.engine.connections) == 1)
            running.engine.stop(monotonic())
            ledger = await running.over()

            assert ledger.failed == {"timeout": 1} or ledger.failed == {"drained": 1}
            assert running.tally.sessions_done == running.tally.sessions_started == 1
