"""Automatic replies, by themselves and on connections to a real server."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve

from loadgen.net.transport import HIGH_WATER
from loadgen.plan.plan import Plan
from loadgen.plan.reply import AutoReply
from loadgen.sessions.replies import Replies, answering
from loadgen.sessions.websocket import WebSocket
from tests.unit.loads import Load
from tests.unit.wire_ends import until

REPLIES = (
    AutoReply(match="^2(?P<probe>probe)?$", send="3%%probe%%"),
    AutoReply(json={"type": "ping"}, send='{"pong":"%%_data.id%%","n":%%n%%}'),
    AutoReply(json={"ack": True}, send="%%items%%"),
    AutoReply(match="^c0", form="hex", hex="d0 00"),
)


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("2", "3"),
        ("2probe", "3probe"),
        ("22", None),
        ('{"type":"ping","n":1.5,"data":{"id":"x"}}', '{"pong":"x","n":1.5}'),
        ('{"type":"ping","n":null,"data":{"id":"a\\"b"}}', '{"pong":"a\\"b","n":null}'),
        ('{"type":"ping","data":{"id":"x"}}', None),  # there is nothing to put in for n
        ('{"type":"pong","n":1,"data":{"id":"x"}}', None),
        ('{"ack":true,"items":[1,{"a":2}]}', '[1,{"a":2}]'),
        ('{"ack":1,"items":[]}', None),  # true is not 1
        ('{"type":"ping"', None),
        ("[" * 5000, None),
    ],
)
def test_the_first_reply_that_fits_is_filled_with_parts_of_the_message(message, answer):
    assert Replies(REPLIES).to(message) == answer


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (b"\xc0\x00", b"\xd0\x00"),
        (b"2", None),  # a text is wanted
        ("2", b"three"),
        ('{"a":1}', b"\x01"),
    ],
)
def test_bytes_are_matched_and_sent_as_digits(message, answer):
    replies = (
        AutoReply(match="^c0", form="hex", hex="d0 00"),
        AutoReply(match="^2", base64="dGhyZWU="),
        AutoReply(json={"a": 1}, hex="01"),
    )

    assert Replies(replies).to(message) == answer


def test_a_kind_of_connections_has_one_class_that_answers():
    assert answering(WebSocket) is answering(WebSocket)
    assert issubclass(answering(WebSocket), WebSocket)


@asynccontextmanager
async def load(session=None, *, send=("2", "news", "2probe", b"\xc0")):
    """One user of a server that sends some messages; gives it and its answers."""
    answers = []

    async def beat(connection):
        for message in send:
            await connection.send(message)
        async for message in connection:
            answers.append(message)

    async with serve(beat, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        plan = Plan(rate=500.0, max=1, hold=30.0, think=0.05)
        running = Load(
            plan,
            port,
            source="127.0.9.10",
            ports=range(24_520, 24_540),
            session=session,
            replies=REPLIES,
        )
        try:
            yield running, answers
        finally:
            await running.end()


async def test_the_built_in_loop_answers_beside_its_pings():
    async with load() as (running, answers):
        await until(lambda: running.tally.pongs >= 2 and len(answers) == 3)
        tally = running.tally

    assert answers == ["3", "3probe", b"\xd0\x00"]
    assert (tally.replies, tally.messages_received, tally.messages_sent) == (3, 4, 3)


async def test_a_session_that_thinks_answers_and_receives_only_the_rest():
    got = []

    async def session(user):
        ws = await user.connect()
        await user.think(0.1)
        got.append(await ws.receive())
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.05)

    async with load(session) as (running, answers):
        await running.over()

    assert (answers, got) == (["3", "3probe", b"\xd0\x00"], ["news"])


async def test_a_server_that_takes_nothing_gets_no_more_replies():
    held = asyncio.Event()

    async def deaf(connection):
        connection.transport.pause_reading()
        for _ in range(4000):
            await connection.send("2")
        await held.wait()
        connection.transport.abort()

    async with serve(deaf, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        plan = Plan(rate=500.0, max=1, hold=30.0)
        running = Load(
            plan,
            port,
            source="127.0.9.10",
            ports=range(24_540, 24_560),
            session=flood,
            replies=REPLIES,
        )
        try:
            await until(lambda: running.tally.replies_unsent > 0)
        finally:
            held.set()
            await running.end()


async def flood(user):
    """Fills what the kernel holds for a server that reads nothing, and thinks."""
    ws = await user.connect()
    while not ws.transport.waiting:
        ws.send_soon(bytes(1 << 19))
    ws.send_soon(bytes(HIGH_WATER + 1))
    await user.think(30)
