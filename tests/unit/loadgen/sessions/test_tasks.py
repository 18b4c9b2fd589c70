"""Tasks that sessions start, against the websockets library's server."""

import asyncio
import gc
from time import monotonic

import pytest

from loadgen.sessions.errors import ConnectFailed, ConnectionEnded
from loadgen.sessions.tasks import SessionTask, UserTasks, cause_of
from loadgen.sessions.user import User
from loadgen.sessions.waits import Awaited
from loadgen.sessions.websocket import WebSocket
from tests.unit.loadgen.sessions.echo_server import ended, load
from tests.unit.timing import MS
from tests.unit.wire_ends import until


async def test_messages_of_two_connections_are_gathered():
    got = []

    async def session(user):
        a, b = await user.connect(), await user.connect()
        await a.send("a")
        await b.send("b")
        got.extend(await asyncio.gather(a.receive(), b.receive()))
        await a.close()
        await b.close()

    ledger, tally, _ = await ended(session)
    assert (got, ledger.closed, tally.sessions_done) == (["a", "b"], {"done": 2}, 1)


async def test_a_reader_in_a_task_of_its_own_counts_what_comes_back():
    async def reader(user, ws):
        while True:
            await ws.receive()
            user.count("echoes")

    async def session(user):
        ws = await user.connect()
        task = asyncio.create_task(reader(user, ws))
        for turn in range(3):
            await ws.send(f"hello {turn}")
            await user.think(0.1)
        task.cancel()
        await ws.close()

    ledger, tally, _ = await ended(session)
    assert (ledger.closed, tally.counters) == ({"done": 1}, {"echoes": 3})


async def test_everything_that_waits_works_in_a_task():
    got = []

    async def story(user):
        ws = await user.connect(timeout=5)
        for way in (asyncio.create_task, asyncio.ensure_future):
            await way(user.think(0.01))
            await way(ws.send("x"))
            got.append(await way(ws.receive(timeout=5)))
            assert 0 < await way(ws.ping(timeout=5)) < 5
        await ws.send("x")
        got.append(await asyncio.wait_for(ws.receive(), 5))
        await ws.send("y")
        got.append(await ws.receive_until("y".__eq__, timeout=5))
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ws.receive()
        await user.think.uniform(0.001, 0.002)
        await ws.close()
        with pytest.raises(ConnectionEnded, match="done"):
            await ws.receive()

    async def session(user):
        async with asyncio.TaskGroup() as group:
            group.create_task(story(user))

    ledger, tally, samples = await ended(session)
    assert (got, ledger.closed, samples) == (["x", "x", "x", "y"], {"done": 1}, {})
    assert tally.pings == tally.pongs == 2


async def test_a_connect_that_a_task_gives_up_is_one_that_timed_out():
    async def session(user):
        with pytest.raises(ConnectFailed, match="http_503"):
            await asyncio.create_task(user.connect())
        task = asyncio.create_task(user.connect())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    ledger, _, _ = await ended(session, refuse=True)
    assert ledger.failed == {"http_503": 1, "timeout": 1}


async def test_tasks_meet():
    async def session(user):
        ws = await user.connect()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(user.meet(2), 0.01)
        await asyncio.create_task(user.meet(2))
        await ws.close()

    async with load(session, max=2) as (running, _):
        await until(lambda: running.tally.counters.get("meet_2") == 4)
        running.population.met(2)
        assert (await running.over()).closed == {"done": 2}


async def test_messages_go_to_those_who_wait_in_the_order_of_asking():
    got = []

    async def take(name, ws):
        got.append((name, await ws.receive()))

    async def session(user):
        ws = await user.connect()
        tasks = [asyncio.create_task(take(name, ws)) for name in "abc"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        for number in range(3):
            await ws.send(str(number))
        await take("session", ws)
        await ws.close()

    ledger, _, _ = await ended(session)
    assert ledger.closed == {"done": 1}
    assert got == [("a", "0"), ("c", "1"), ("session", "2")]


async def test_a_message_of_a_task_that_is_cancelled_goes_to_the_next():
    got = []

    async def session(user):
        ws = await user.connect()
        first, second = asyncio.create_task(ws.receive()), asyncio.create_task(ws.receive())
        await asyncio.sleep(0)
        ws.happened(Awaited.MESSAGE, "0")
        first.cancel()
        got.append(await second)
        third = asyncio.create_task(ws.receive())
        await asyncio.sleep(0)
        ws.happened(Awaited.MESSAGE, "1")
        third.cancel()
        await asyncio.wait([third])
        got.append(await ws.receive())
        await ws.close()

    ledger, _, _ = await ended(session)
    assert (got, ledger.closed) == (["0", "1"], {"done": 1})


async def test_session_and_tasks_ping_at_once():
    async def session(user):
        ws = await user.connect()
        tasks = [asyncio.create_task(ws.ping(timeout=5)) for _ in range(3)]
        times = [await ws.ping(timeout=5), *await asyncio.gather(*tasks)]
        assert all(0 < time < 5 for time in times)
        await ws.close()

    ledger, tally, _ = await ended(session)
    assert (ledger.closed, tally.pings, tally.pongs) == ({"done": 1}, 4, 4)


async def test_the_end_of_the_connection_reaches_every_task():
    ends = []

    async def note(name, awaits):
        try:
            await awaits
            ends.append(name)
        except ConnectionEnded as end:
            ends.append(f"{name} {end}")

    async def session(user):
        ws = await user.connect()
        async with asyncio.TaskGroup() as group:
            group.create_task(note("receive", ws.receive()))
            group.create_task(note("think", user.think(60)))
            group.create_task(note("closed", ws.wait_closed()))

    async with load(session) as (running, server):
        await until(lambda: running.ledger.open == 1)
        await server.connections[0].close(1000)
        assert (await running.over()).closed == {"done": 1}
    assert sorted(ends) == ["closed", "receive done", "think done"]


async def test_tasks_are_cancelled_when_the_session_ends_and_their_finally_blocks_run():
    told = []

    async def nested(ws):
        try:
            await ws.receive()
        finally:
            await ws.send("bye")
            told.append(await asyncio.wait_for(ws.receive(), 5))

    async def outer(ws):
        asyncio.create_task(nested(ws))  # noqa: RUF006 -- it belongs to the session
        await asyncio.sleep(60)

    async def session(user):
        ws = await user.connect()
        user.vars["task"] = asyncio.create_task(outer(ws))
        asyncio.create_task(outer(ws))  # noqa: RUF006 -- it never runs
        await user.think(0.05)
        asyncio.create_task(outer(ws))  # noqa: RUF006 -- it never runs

    ledger, tally, samples = await ended(session)
    assert (told, ledger.closed, samples) == (["bye", "bye"], {"done": 1}, {})
    assert tally.sessions_done == 1


@pytest.mark.parametrize("keep", [True, False])
async def test_an_exception_that_is_not_retrieved_ends_the_session(keep):
    async def reader(ws):
        await ws.receive()
        raise LookupError("the author's line")

    async def session(user):
        ws = await user.connect()
        task = asyncio.create_task(reader(ws))
        await ws.send("x")
        await user.think(0.05)
        if not keep:
            del task
            await user.think(60)

    ledger, tally, samples = await ended(session)
    assert (ledger.closed, tally.sessions_failed) == ({"error_LookupError": 1}, 1)
    assert 'raise LookupError("the author\'s line")' in samples["error_LookupError"]


async def test_an_exception_that_is_retrieved_does_not():
    async def fails():
        raise LookupError

    async def session(user):
        ws = await user.connect()
        task = asyncio.create_task(fails())
        await user.think(0.01)
        with pytest.raises(LookupError):
            await task
        assert isinstance((await asyncio.gather(fails(), return_exceptions=True))[0], LookupError)
        await ws.close()

    ledger, tally, _ = await ended(session)
    assert (ledger.closed, tally.sessions_done) == ({"done": 1}, 1)


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
async def test_a_task_that_wants_to_end_the_process_ends_its_session(end):
    async def leave():
        raise end

    async def session(user):
        await user.connect()
        await asyncio.create_task(leave())

    ledger, _, samples = await ended(session)
    assert ledger.closed == {f"error_{end.__name__}": 1}
    assert "raise end" in samples[f"error_{end.__name__}"]


async def test_the_end_of_a_connection_that_the_session_closed_fails_no_reader():
    async def reader(ws):
        while True:
            await ws.receive()

    async def session(user):
        ws = await user.connect()
        user.vars["reader"] = asyncio.create_task(reader(ws))
        await ws.close()
        await asyncio.sleep(0.01)

    ledger, tally, _ = await ended(session)
    assert (ledger.closed, tally.sessions_done) == ({"done": 1}, 1)


@pytest.mark.parametrize("error", [LookupError, ConnectionEnded])
async def test_of_a_group_of_exceptions_the_one_counts_that_says_most(error):
    async def fails(error):
        raise error("why")

    async def session(user):
        await user.connect()
        async with asyncio.TaskGroup() as group:
            group.create_task(fails(ConnectionEnded))
            group.create_task(fails(error))

    ledger, tally, _ = await ended(session)
    assert ledger.closed == {"done" if error is ConnectionEnded else "error_LookupError": 1}
    assert tally.sessions_failed == 1
    assert isinstance(cause_of(error()), error)


@pytest.mark.parametrize("end", ["close_all", "abort_all"])
async def test_plan_and_operator_end_a_session_with_tasks_for_their_reason(end):
    async def waits(ws):
        try:
            await ws.receive()
        finally:
            await asyncio.sleep(0.01)

    async def session(user):
        ws = await user.connect()
        async with asyncio.TaskGroup() as group:
            group.create_task(waits(ws))

    async with load(session) as (running, _):
        await until(lambda: running.ledger.open == 1)
        await asyncio.sleep(10 * MS)
        (connection,) = running.population.connections
        getattr(connection.owner, end)("churn")
        getattr(connection.owner, end)("churn")
        assert (await running.over()).closed == {"churn": 1}
        assert running.tally.sessions_done == 1


async def test_a_session_in_a_group_is_drained_in_good_order():
    async def session(user):
        async with asyncio.TaskGroup() as group:
            group.create_task(user.think(60))
            group.create_task(user.think(60))

    async with load(session) as (running, _):
        await until(lambda: running.tally.sessions_started == 1)
        running.engine.drain(monotonic())
        assert (await running.over()).failed == {"drained": 1}


async def test_a_task_that_does_not_end_keeps_its_session_for_a_bounded_time(monkeypatch):
    monkeypatch.setattr("loadgen.sessions.driver.LEAVE_TIMEOUT", 10 * MS)
    freed = asyncio.Event()

    async def stays():
        while not freed.is_set():
            try:
                await freed.wait()
            except asyncio.CancelledError:
                continue

    async def session(user):
        await user.connect()
        asyncio.create_task(stays())  # noqa: RUF006 -- it belongs to the session
        await asyncio.sleep(0)

    async with load(session) as (running, _):
        assert (await running.over()).closed == {"done": 1}
        assert "1 of its tasks did not end" in running.recorder.take_remarks()[0]
        freed.set()


async def test_a_session_that_waits_although_it_is_cancelled_is_closed(monkeypatch):
    monkeypatch.setattr("loadgen.sessions.driver.LEAVE_TIMEOUT", 10 * MS)

    async def session(user):
        ws = await user.connect()
        await asyncio.create_task(user.think(0.001))
        try:
            await ws.receive()
        finally:
            await asyncio.sleep(60)

    async with load(session) as (running, _):
        await until(lambda: running.ledger.open == 1)
        await asyncio.sleep(20 * MS)
        running.engine.drain(monotonic())
        assert (await running.over()).closed == {"drained": 1}


async def test_a_task_that_a_library_starts_belongs_to_the_library(tmp_path, monkeypatch):
    monkeypatch.setattr("loadgen.sessions.tasks._LIBRARIES", (str(tmp_path),))
    source = "import asyncio\ndef pool(awaits): return asyncio.create_task(awaits)\n"
    namespace = {}
    exec(compile(source, str(tmp_path / "pool.py"), "exec"), namespace)
    tasks = []

    async def session(user):
        ws = await user.connect()
        tasks.append(namespace["pool"](asyncio.sleep(0.05, "done")))
        tasks.append(asyncio.create_task(asyncio.sleep(60)))
        await ws.close()

    await ended(session)
    assert [isinstance(task, SessionTask) for task in tasks] == [False, True]
    assert await tasks[0] == "done"
    assert tasks[1].cancelled()


async def test_other_errors_of_the_loop_are_logged_as_always(caplog):
    async def fails():
        raise LookupError("of no session")

    async def session(user):
        await (await user.connect()).close()

    await ended(session)
    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    del task
    assert "of no session" in caplog.text


async def test_a_user_with_tasks_leaves_nothing_behind_although_the_collector_is_off():
    async def reader(user, ws):
        while True:
            await ws.receive()
            user.count("echoes")

    async def session(user):
        ws = await user.connect()
        asyncio.create_task(reader(user, ws))  # noqa: RUF006 -- it belongs to the session
        await ws.send("x")
        await asyncio.gather(user.think(0.01), ws.ping())
        if user.number % 2:
            user.vars["task"] = asyncio.create_task(user.connect("bad\n"))
            await asyncio.sleep(0.01)

    gc.collect()
    gc.disable()
    try:
        async with load(session, max=6) as (running, _):
            assert (await running.over()).closed == {"done": 6}
        running = None
        await asyncio.sleep(0.05)
        kinds = User | WebSocket | UserTasks | SessionTask
        assert [thing for thing in gc.get_objects() if isinstance(thing, kinds)] == []
    finally:
        gc.enable()


async def test_a_handler_that_raises_ends_a_session_with_tasks():
    def fails(_):
        raise LookupError("in a handler")

    async def session(user):
        ws = await user.connect()
        ws.on_message(fails)
        async with asyncio.TaskGroup() as group:
            group.create_task(ws.receive())
            await ws.send("x")

    ledger, tally, samples = await ended(session)
    assert (ledger.closed, tally.sessions_failed) == ({"error_LookupError": 1}, 1)
    assert "in a handler" in samples["error_LookupError"]
