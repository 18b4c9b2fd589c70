"""Connections that sessions and tasks wait for."""

import asyncio

import pytest
from websockets.frames import Opcode

from loadgen.sessions.errors import ConnectionEnded
from loadgen.sessions.inbox import MAX_UNREAD_BYTES, UNREAD
from tests.unit.loadgen.sessions.obeying_server import CLOSE_1001, LAST, by_hand, load
from tests.unit.wire_ends import until


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


async def test_send_waits_while_the_server_takes_nothing_and_goes_on_when_it_does():
    sent = []

    async def session(user):
        ws = await user.connect()
        for number in range(100):
            await ws.send(bytes(1 << 20))
            sent.append(number)
        await ws.close()

    async with by_hand(session) as (running, far):
        far.protocol.max_message_size = None
        await until(lambda: running.tally.bytes_sent > 1 << 16)
        await asyncio.sleep(0.05)
        before = len(sent)
        assert before < 50
        assert running.tally.messages_sent + 1 >= before
        frames = [await far.frame() for _ in range(101)]
        assert {len(found.data) for found in frames[:100]} == {1 << 20}
        assert frames[100].opcode is Opcode.CLOSE
        await far.flush()
        far.sock.close()
        assert (await running.over()).closed == {"done": 1}
        assert (running.tally.messages_sent, running.tally.messages_unsent) == (100, 0)


@pytest.mark.parametrize("end", [None, CLOSE_1001])
async def test_an_end_while_send_waits_is_raised_in_it(end):
    raised = []

    async def session(user):
        ws = await user.connect()
        try:
            while True:
                await ws.send(bytes(1 << 20))
        except ConnectionEnded as error:
            raised.append(str(error))

    async with by_hand(session) as (running, far):
        await until(lambda: running.tally.bytes_sent > 1 << 16)
        if end is None:
            far.sock.close()
            reason = "reset"
        else:
            await far.send(end)
            reason = "server_1001"
            await until(lambda: raised == [reason])
            far.sock.close()
        assert (await running.over()).closed == {reason: 1}
        assert raised == [reason]


@pytest.mark.parametrize("wait", ["receive", "ping"])
async def test_the_servers_close_ends_a_wait_at_once_and_no_later_message_counts(wait):
    story = []

    async def session(user):
        ws = await user.connect()
        await user.think(0.02)
        if wait == "receive":
            story.append(await ws.receive())
        with pytest.raises(ConnectionEnded, match="server_1001"):
            await getattr(ws, wait)()
        with pytest.raises(ConnectionEnded, match="server_1001"):
            await ws.send("more")
        story.append((ws.open, ws.close_code, ws.close_reason))

    async with by_hand(session) as (running, far):
        if wait == "ping":
            await far.frame()
        await far.send(LAST + b"\x88\x07\x03\xe9later" + LAST)
        await until(lambda: story[-1:] == [(False, 1001, "later")])
        far.sock.close()
        assert (await running.over()).closed == {"server_1001": 1}
        assert running.tally.messages_received == 1
        assert story[0] == "last" or wait == "ping"


async def test_messages_beyond_the_bytes_of_an_inbox_are_counted():
    async def session(user):
        ws = await user.connect()
        while user.recorder.tally.messages_received < 3:
            await user.think(0.02)
        assert len(await ws.receive()) == MAX_UNREAD_BYTES - 1
        assert ws.inbox is None
        await ws.close()

    async with by_hand(session) as (running, far):
        for size in (10, 10, MAX_UNREAD_BYTES - 1):
            await far.send_frame(Opcode.BINARY, bytes(size))
        await far.frame()
        await far.flush()
        far.sock.close()
        await running.over()
        assert running.tally.counters == {UNREAD: 2}
