"""A session's connection against a real server.

The tests are about its messages, its pings, and its end.
"""

from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve

from loadgen.plan.plan import Plan
from loadgen.sessions.errors import ConnectionEnded
from loadgen.sessions.websocket import MAX_BYTES
from tests.unit.loads import Load


@asynccontextmanager
async def load(session):
    """A session under way against a server that obeys.

    Its orders are the messages `close`, `cut off` and `flood`.
    """

    async def obey(connection):
        async for message in connection:
            if message == "close":
                await connection.send("last words")
                await connection.close(4001)
            elif message == "cut off":
                connection.transport.abort()
            elif message == "flood":
                await connection.send(bytes(MAX_BYTES + 1))
            else:
                await connection.send(message)

    async with serve(obey, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        plan = Plan(rate=500.0, max=1, hold=0.0)
        running = Load(plan, port, source="127.0.9.9", ports=range(24_500, 24_520), session=session)
        try:
            yield running
        finally:
            await running.end()


async def test_messages_that_came_before_the_end_are_received_after_it():
    got = []

    async def session(user):
        ws = await user.connect()
        await ws.send("close")
        with pytest.raises(ConnectionEnded, match="server_4001"):
            await user.think(30)
        assert not ws.open
        got.append(await ws.receive())
        for refused in (ws.receive(), ws.ping(), ws.send("x")):
            with pytest.raises(ConnectionEnded, match="server_4001"):
                await refused
        await ws.close()  # harmless
        got.append("closed")

    async with load(session) as running:
        assert (await running.over()).closed == {"server_4001": 1}
        assert got == ["last words", "closed"]


async def test_a_close_that_the_session_waits_for_is_the_end_that_it_asked_for():
    got = []

    async def session(user):
        ws = await user.connect()
        with pytest.raises(TimeoutError):
            await ws.wait_closed(timeout=0.05)
        await ws.send("close")
        await ws.wait_closed(timeout=30)
        got.append(await ws.receive())
        with pytest.raises(ConnectionEnded, match="done"):
            await ws.wait_closed()

    async with load(session) as running:
        assert (await running.over()).closed == {"done": 1}
        assert got == ["last words"]


async def test_a_session_that_waits_for_a_close_does_not_ask_for_another_end():
    got = []

    async def session(user):
        ws = await user.connect()
        await ws.send("cut off")
        with pytest.raises(ConnectionEnded, match=r"server_eof|reset"):
            await ws.wait_closed(timeout=30)
        got.append("cut off")

    async with load(session) as running:
        (reason,) = (await running.over()).closed
        assert reason in ("server_eof", "reset")
        assert got == ["cut off"]


async def test_a_message_that_is_too_big_closes_the_connection():
    async def session(user):
        ws = await user.connect()
        await ws.send("flood")
        await ws.receive()

    async with load(session) as running:
        assert (await running.over()).closed == {"message_too_big": 1}


async def test_pings_and_messages_do_not_wait_for_each_other():
    got = []

    async def session(user):
        ws = await user.connect()
        await ws.send("first")
        assert await ws.ping(timeout=5) > 0
        got.append(await ws.receive(timeout=5))
        await ws.close()

    async with load(session) as running:
        assert (await running.over()).closed == {"done": 1}
        assert got == ["first"]
        assert running.tally.ping_rtt.total == running.tally.pongs == 1


async def test_the_headers_of_the_101_are_in_lower_case():
    async def session(user):
        ws = await user.connect()
        assert ws.headers["upgrade"] == "websocket"
        assert ws.subprotocol is None
        await ws.close()

    async with load(session) as running:
        assert (await running.over()).closed == {"done": 1}
