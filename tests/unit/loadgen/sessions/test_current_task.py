"""Users as asyncio's current task, for libraries that ask for it."""

import asyncio
from contextlib import suppress

import pytest

from tests.unit.loadgen.sessions.echo_server import ended, load
from tests.unit.loads import idle_user


async def test_any_awaitable_of_asyncio_works():
    done = []

    async def elsewhere():
        await asyncio.sleep(0)
        return "result"

    async def session(user):
        await user.connect()
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        done.append(await asyncio.wait_for(elsewhere(), 5))
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(30)
        except TimeoutError:
            done.append("timeout")
        try:
            async with asyncio.timeout(0.01):
                await user.think(30)
        except TimeoutError:
            done.append("timeout")
        done.append(sorted(await asyncio.gather(elsewhere(), elsewhere())))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(elsewhere())
        done.append(task.result())
        await asyncio.to_thread(done.append, "thread")

    async with load(session) as (running, _):
        assert (await running.over()).closed == {"done": 1}
        assert done == ["result", "timeout", "timeout", ["result", "result"], "result", "thread"]


async def test_a_timeout_around_a_group_cancels_its_tasks_and_the_session_goes_on():
    cancelled = []

    async def waits(ws):
        try:
            await ws.receive()
        except asyncio.CancelledError:
            cancelled.append(ws)
            raise

    async def session(user):
        ws = await user.connect()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02), asyncio.TaskGroup() as group:
                group.create_task(waits(ws))
                await user.think(60)
            cancelled.clear()
        assert asyncio.current_task().cancelling() == 0
        await ws.send("x")
        assert await ws.receive(timeout=5) == "x"
        await ws.close()

    ledger, _, _ = await ended(session)
    assert (ledger.closed, len(cancelled)) == ({"done": 1}, 1)


async def test_a_cancel_that_is_taken_back_in_time_raises_nothing():
    async def session(user):
        ws = await user.connect()
        me = asyncio.current_task()
        assert me.cancel()
        assert me.uncancel() == 0
        await user.think(0.01)
        me.cancel()
        me.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(60)
        assert (me.uncancel(), me.uncancel()) == (1, 0)
        await user.think(0.01)
        await ws.close()

    ledger, _, _ = await ended(session)
    assert ledger.closed == {"done": 1}
    assert not idle_user().cancel()
