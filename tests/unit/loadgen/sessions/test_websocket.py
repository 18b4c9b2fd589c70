"""A session's connection against a real server.

The tests are about its messages, its pings, and its end.
"""

import asyncio
import sys
from time import sleep

import pytest
from websockets.frames import Opcode

from loadgen.sessions.errors import ConnectionEnded
from loadgen.sessions.websocket import BURST, MAX_BYTES, MAX_WAITING
from tests.unit.loadgen.sessions.obeying_server import by_hand, load, pong, settled
from tests.unit.wire_ends import until


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


async def test_a_session_that_only_sends_lets_others_run():
    """It sends to a server that takes everything, and never thinks."""
    turns = []

    async def session(user):
        ws = await user.connect()
        while not turns:
            await ws.send("x")
        user.count("sent")
        await ws.close()

    async with load(session) as running:
        await until(lambda: running.ledger.open == 1)
        asyncio.get_running_loop().call_soon(turns.append, 1)
        assert (await running.over()).closed == {"done": 1}
        assert running.tally.counters["sent"] == 1
        assert running.tally.messages_sent * 1024 >= BURST


@pytest.mark.parametrize(
    ("message", "got"),
    [
        ("text – ü", "text – ü"),
        (b"bytes", b"bytes"),
        (bytearray(b"array"), b"array"),
        (memoryview(b"view of it")[::2], b"ve fi"),
        (["one ", "", "two"], "one two"),
        (iter([b"one ", bytearray(b"two")]), b"one two"),
    ],
)
async def test_a_message_may_be_text_bytes_a_buffer_or_parts(message, got):
    async def session(user):
        ws = await user.connect()
        await ws.send([])  # no part is no message
        await ws.send(message)
        assert await ws.receive(timeout=5) == got
        await ws.close()

    async with load(session) as running:
        assert (await running.over()).closed == {"done": 1}
        assert running.tally.messages_sent == 1


@pytest.mark.parametrize("message", [5, None, 1.5, {"a": "b"}, [1, 2], ["a", b"b"], object()])
async def test_other_messages_are_refused_and_nothing_is_sent(message):
    async def session(user):
        ws = await user.connect()
        with pytest.raises(TypeError):
            await ws.send(message)
        await ws.close()

    async with load(session) as running:
        assert (await running.over()).closed == {"done": 1}
        assert running.tally.messages_sent == 0


async def test_a_message_over_the_limit_fails_at_its_header():
    async def session(user):
        ws = await user.connect()
        with pytest.raises(ConnectionEnded, match="message_too_big"):
            await ws.receive()
        assert ws.close_code is None

    async with by_hand(session) as (running, far):
        await far.send(b"\x82\x7f" + (MAX_BYTES + 1).to_bytes(8, "big"))
        close = await far.frame()
        assert (close.opcode, close.data) == (Opcode.CLOSE, b"\x03\xf1")
        far.sock.close()
        assert (await running.over()).closed == {"message_too_big": 1}


async def test_a_rejection_has_its_name_at_once():
    story = []

    async def session(user):
        ws = await user.connect()
        assert (ws.close_code, ws.close_reason) == (None, None)
        await ws.receive()
        try:
            await ws.receive()
        except ConnectionEnded as error:
            story.append((str(error), ws.close_code, ws.close_reason))

    async with by_hand(session) as (running, far):
        text = b'{"type":"error","data":{"code":1008,"message":"no"}}'
        await far.send_frame(Opcode.TEXT, text)
        await far.send(b"\x88\x00")
        await until(lambda: story == [("rejected_1008", 1005, "")])
        far.sock.close()
        assert (await running.over()).closed == {"rejected_1008": 1}


async def test_code_and_reason_of_a_close_go_to_the_server_and_the_ledger_has_its_own():
    async def session(user):
        ws = await user.connect()
        for code, reason in ((1005, ""), (2999, ""), (1000, "x" * 124)):
            with pytest.raises(ValueError, match="close"):
                await ws.close(code, reason)
        assert ws.open
        await ws.close(3001, "bye – bye", ledger="bored")
        assert (ws.close_code, ws.close_reason) == (3001, "bye – bye")

    async with by_hand(session) as (running, far):
        close = await far.frame()
        assert close.data == b"\x0b\xb9" + "bye – bye".encode()
        await far.flush()
        far.sock.close()
        assert (await running.over()).closed == {"bored": 1}


async def test_a_close_without_an_answer_is_unclean():
    async def session(user):
        ws = await user.connect()
        await ws.close()
        user.count("closed")

    async with by_hand(session) as (running, far):
        await far.frame()
        far.sock.close()
        assert (await running.over()).closed == {"unclean_close": 1}
        assert running.tally.counters == {"closed": 1}
        assert running.tally.drained_unanswered == 1


async def test_a_handler_sees_every_message_and_takes_what_it_wants():
    seen, got = [], []

    async def session(user):
        ws = await user.connect()

        def take_pings(message):
            seen.append(message)
            if message == "ping":
                ws.send_soon("pong")
                return True
            return None

        ws.on_message(take_pings)
        await ws.send("ping")
        await ws.send("news")
        got.append(await ws.receive())
        got.append(await ws.receive())
        ws.on_message(None)
        await ws.send("ping")
        got.append(await ws.receive())

    async with load(session) as running:
        assert (await running.over()).closed == {"done": 1}

    assert seen == ["ping", "news", "pong"]
    assert got == ["news", "pong", "ping"]


async def fails(message):
    """No handler: it would have to be awaited."""


def wants_to_wait(message):
    return fails(message)


async def test_an_async_function_is_no_handler():
    async def session(user):
        ws = await user.connect()
        with pytest.raises(TypeError, match="takes a plain function, and fails is an `async def`"):
            ws.on_message(fails)

    async with load(session) as running:
        assert (await running.over()).closed == {"done": 1}


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (lambda message: {}[message], "KeyError"),
        (sys.exit, "SystemExit"),
        (wants_to_wait, "TypeError"),
        (lambda message, other: None, "TypeError"),
    ],
)
async def test_a_handler_that_raises_ends_its_session(handler, error):
    left = []

    async def session(user):
        ws = await user.connect()
        ws.on_message(handler)
        await ws.send("x")
        try:
            await user.think(30)
        finally:
            left.append(True)

    async with load(session) as running:
        assert (await running.over()).closed == {f"error_{error}": 1}
        assert running.tally.sessions_failed == 1
        assert error in running.recorder.samples[f"error_{error}"]
    assert left == [True]


async def test_send_soon_refuses_what_the_server_does_not_take():
    async def session(user):
        ws = await user.connect()
        while ws.transport.waiting <= MAX_WAITING:
            ws.send_soon(bytes(MAX_WAITING))
        with pytest.raises(BlockingIOError, match="does not take what was sent"):
            ws.send_soon("x")
        await ws.close()
        with pytest.raises(ConnectionEnded):
            ws.send_soon("x")

    async with load(session) as running:
        await until(lambda: running.tally.sessions_done == 1)


async def test_json_is_received_by_its_values():
    got = []

    async def session(user):
        ws = await user.connect()
        for text in ("no JSON", '{"type":"news"}', '{"type":"joined","data":{"id":7}}', "[1]", "x"):
            await ws.send(text)
        got.append(await ws.receive_json(timeout=5, type="joined", **{"data.id": 7}))
        got.append(await ws.receive_json(timeout=5))
        with pytest.raises(ValueError, match="malformed"):
            await ws.receive_json(timeout=5)
        for text in ("[2]", '{"a":{"b":true}}'):
            await ws.send(text)
        got.append(await ws.receive_until(**{"a.b": True}))
        with pytest.raises(TimeoutError):
            await ws.receive_json(0.01, type="never")

    async with load(session) as running:
        await running.over()

    assert got == [{"type": "joined", "data": {"id": 7}}, [1], '{"a":{"b":true}}']


@pytest.mark.parametrize(
    ("order", "end", "closed"),
    [("close 1000", "end", "server_1000"), ("close", "server_4001", "server_4001")],
)
async def test_messages_are_iterated_until_a_good_end(order, end, closed):
    got = []

    async def session(user):
        ws = await user.connect()
        await ws.send("one")
        await ws.send(order)
        try:
            async for message in ws:
                got.append(message)
            got.append("end")
        except ConnectionEnded as error:
            got.append(str(error))

    async with load(session) as running:
        assert (await running.over()).closed == {closed: 1}

    assert got == ["one", "last words", end]
