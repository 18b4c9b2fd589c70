"""A session's connection against a real server.

The tests are about its messages, its pings, and its end.
"""

import asyncio
import socket
from contextlib import asynccontextmanager
from time import sleep

import pytest
from websockets.asyncio.server import serve
from websockets.frames import Opcode

from loadgen.plan.plan import Plan
from loadgen.sessions.errors import ConnectionEnded
from loadgen.sessions.websocket import MAX_BYTES
from tests.unit.loads import Load
from tests.unit.wire_ends import FarSide, until


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


async def test_a_session_reads_the_headers_of_the_101():
    async def session(user):
        ws = await user.connect()
        assert ws.headers["upgrade"] == ws.headers["Upgrade"] == "websocket"
        assert ws.headers.getall("upgrade") == ["websocket"]
        assert (ws.subprotocol, ws.cookies) == (None, {})
        await ws.close()

    async with load(session) as running:
        assert (await running.over()).closed == {"done": 1}


@asynccontextmanager
async def by_hand(session):
    """A session under way; the test answers its frames itself at the far end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        plan = Plan(rate=500.0, max=1, hold=0.0)
        port = listener.getsockname()[1]
        running = Load(plan, port, source="127.0.9.9", ports=range(24_500, 24_520), session=session)
        sock, _ = await asyncio.get_running_loop().sock_accept(listener)
        sock.setblocking(False)
        try:
            with sock:
                far = FarSide(sock)
                await far.upgrade()
                yield running, far
        finally:
            await running.end()


def settled(tally):
    """Returns what became of all pings: pongs, skipped and missing."""
    found = (tally.pongs, tally.pongs_skipped, tally.pongs_missing)
    assert sum(found) == tally.pings == tally.ping_rtt.total == tally.ping_rtt_sent.total
    return found


def pong(number):
    """Returns the payload of the pong to a ping."""
    return number.to_bytes(4, "big")


async def test_a_ping_after_a_think_time_is_due_at_its_end():
    """The session keeps its worker waiting, which is the generator's own lateness."""

    async def session(user):
        ws = await user.connect()
        await user.think(0.05)
        sleep(0.2)  # noqa: ASYNC251 -- blocks, as a session that computes does
        await ws.ping()
        await ws.ping()  # follows no think time

    async with load(session) as running:
        assert (await running.over()).closed == {"done": 1}
        assert settled(running.tally) == (2, 0, 0)
        late = (running.tally.ping_rtt.sum - running.tally.ping_rtt_sent.sum) / 1e6
        assert late == pytest.approx(0.2, rel=0.5)
        assert running.scenario.woken is None


async def test_a_ping_that_timed_out_may_still_be_answered():
    got = []

    async def session(user):
        ws = await user.connect()
        with pytest.raises(TimeoutError):
            await ws.ping(timeout=0.02)
        got.append(await ws.ping())
        got.append(await ws.receive())

    async with by_hand(session) as (running, far):
        await far.frame()
        await far.frame()
        for number in (2, 1, 1):
            await far.send_frame(Opcode.PONG, pong(number))
        await far.send_frame(Opcode.TEXT, b"after them")
        assert (await far.frame()).opcode is Opcode.CLOSE
        await far.flush()
        far.sock.close()
        await running.over()
        assert settled(running.tally) == (2, 0, 0)
        assert 0 < got[0] < running.tally.ping_rtt_sent.summary()["max"] / 1000
        assert got[1] == "after them"


async def test_a_ping_that_only_a_newer_pong_answers_is_skipped():
    async def session(user):
        ws = await user.connect()
        with pytest.raises(TimeoutError):
            await ws.ping(timeout=0.02)
        await ws.ping()

    async with by_hand(session) as (running, far):
        await far.frame()
        await far.frame()
        await far.send_frame(Opcode.PONG, pong(2))
        await far.frame()
        far.sock.close()
        await running.over()
        assert settled(running.tally) == (1, 1, 0)


async def test_an_overtaken_ping_is_skipped_when_it_is_too_old(monkeypatch):
    monkeypatch.setattr("loadgen.sessions.websocket.PONG_TIMEOUT", 0.0)
    skipped = []

    async def session(user):
        ws = await user.connect()
        with pytest.raises(TimeoutError):
            await ws.ping(timeout=0.02)
        await ws.ping()
        with pytest.raises(TimeoutError):
            await ws.ping(timeout=0.02)
        skipped.append(user.recorder.tally.pongs_skipped)

    async with by_hand(session) as (running, far):
        await far.frame()
        await far.frame()
        await far.send_frame(Opcode.PONG, pong(2))
        await far.frame()
        assert (await far.frame()).opcode is Opcode.CLOSE
        far.sock.close()
        await running.over()
        assert skipped == [1]
        assert settled(running.tally) == (1, 1, 1)


async def test_a_connection_waits_for_a_bounded_number_of_pongs(monkeypatch):
    monkeypatch.setattr("loadgen.sessions.websocket.MAX_OWED", 2)

    async def session(user):
        ws = await user.connect()
        for _ in range(4):
            with pytest.raises(TimeoutError):
                await ws.ping(timeout=0.02)

    async with by_hand(session) as (running, far):
        while (await far.frame()).opcode is Opcode.PING:
            pass
        assert running.tally.pongs_missing == 2
        await far.send_frame(Opcode.PONG, pong(2))  # is given up already
        await far.send_frame(Opcode.PONG, pong(3))
        await far.send_frame(Opcode.PONG, pong(9))  # was never sent
        far.sock.close()
        await running.over()
        assert settled(running.tally) == (1, 0, 3)


async def test_a_text_of_appwrite_answers_no_ping_of_a_session():
    got = []

    async def session(user):
        ws = await user.connect()
        with pytest.raises(TimeoutError):
            await ws.ping(timeout=0.02)
        await ws.send('{"type":"ping"}')
        got.append(await ws.receive())

    async with by_hand(session) as (running, far):
        await far.frame()
        await far.frame()
        await far.send_frame(Opcode.TEXT, b'{"type":"pong"}')
        await far.frame()
        far.sock.close()
        await running.over()
        assert got == ['{"type":"pong"}']
        assert settled(running.tally) == (0, 0, 1)


async def test_a_session_awaits_the_end_of_a_connection_that_the_server_closes():
    story = []

    async def session(user):
        ws = await user.connect()
        await ws.receive()
        await user.think(0.04)
        with pytest.raises(ConnectionEnded, match="server_1001"):
            await ws.ping()
        story.append("closing")
        await ws.close()
        story.append("ended")

    async with by_hand(session) as (running, far):
        await far.send_frame(Opcode.TEXT, b"hello")
        await far.send_frame(Opcode.CLOSE, b"\x03\xe9")
        await far.frame()
        await until(lambda: story == ["closing"])
        far.sock.close()
        assert (await running.over()).closed == {"server_1001": 1}
        assert story == ["closing", "ended"]
