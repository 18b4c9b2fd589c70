"""A connection's life, against the websockets library on a real socket pair."""

import asyncio
import socket
import struct
from time import monotonic

import pytest
from websockets.frames import Frame, Opcode

from loadgen.net.frames import BINARY, MAX_STEPS, frame
from loadgen.net.states import FAILED, SHUT, TRANSITIONS
from tests.unit.wire_ends import TERMS, Checked, connected, opened, until


async def test_a_valid_101_opens_it():
    async with opened() as (_, diary, _, recorder):
        assert diary.entries == ["opened"]
        assert recorder.tally.bytes_sent > 0
        assert recorder.tally.bytes_received > 0


async def test_the_reply_may_come_byte_by_byte():
    async with connected() as (_, diary, far, _):
        await far.upgrade(pieces=True)
        await until(lambda: diary.entries == ["opened"])


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "http_503"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", "http_302"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no_http"),
        (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "bad_accept"),
    ],
)
async def test_any_other_reply_is_a_failure_with_its_reason_and_a_sample(reply, reason):
    async with connected() as (_, diary, far, recorder):
        await far.send(reply)
        await until(lambda: diary.entries == [reason])
        assert recorder.samples.keys() == {reason}
        assert recorder.samples[reason].endswith(reply.decode().replace("\r\n", "\n").strip())


async def test_a_close_instead_of_an_answer_is_a_reset():
    async with connected() as (_, diary, far, recorder):
        far.sock.close()
        await until(lambda: diary.entries == ["reset"])
        assert recorder.samples == {}


async def test_a_reply_that_is_cut_off_is_a_reset_with_what_came_of_it():
    async with connected() as (_, diary, far, recorder):
        await far.send(b"HTTP/1.1 101 Switching")
        await until(lambda: recorder.tally.bytes_received > 0)
        far.sock.close()
        await until(lambda: diary.entries == ["reset"])
        assert recorder.samples["reset"].endswith("\n\nHTTP/1.1 101 Switching")


FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 11\r\n\r\n"


async def test_the_body_may_come_after_the_head():
    async with connected() as (_, diary, far, recorder):
        for piece in (FORBIDDEN[:30], FORBIDDEN[30:], b"no su", b"ch app"):
            before = recorder.tally.bytes_received
            assert not diary.entries
            await far.send(piece)
            await until(lambda before=before: recorder.tally.bytes_received > before)
        await until(lambda: diary.entries == ["http_403"])
        assert recorder.samples["http_403"].endswith("\n\nno such app")


@pytest.mark.parametrize("body", [b"", b"no su"])
async def test_a_body_that_does_not_come_is_not_awaited_for_long(body):
    async with connected() as (_, diary, far, recorder):
        await far.send(FORBIDDEN + body)
        await until(lambda: diary.entries == ["http_403"])
        assert recorder.samples["http_403"].endswith(body.decode() or "Length: 11")


async def test_an_end_while_the_body_is_awaited_changes_no_reason():
    async with connected() as (connection, diary, far, recorder):
        await far.send(FORBIDDEN)
        await until(lambda: recorder.tally.bytes_received > 0)
        connection.cut("drained")
        await until(lambda: diary.entries == ["http_403"])
        assert "403" in recorder.samples["http_403"]


async def test_only_the_first_of_a_reason_waits_and_has_a_sample():
    async with connected() as (connection, diary, far, recorder):
        assert recorder.claim("http_403")
        await far.send(FORBIDDEN)
        await until(lambda: recorder.tally.bytes_received > 0)
        assert connection.reason == "http_403"
        assert connection.head is None
        await until(lambda: diary.entries == ["http_403"])
        assert recorder.samples == {}


async def test_a_server_ping_is_answered_with_its_payload():
    async with opened() as (_, _, far, _):
        await far.send_frame(Opcode.PING, b"are you there")
        pong = await far.frame()
        assert (pong.opcode, pong.data) == (Opcode.PONG, b"are you there")


async def test_appwrites_connected_frame_is_an_acceptance():
    async with opened() as (_, _, far, recorder):
        await far.send_frame(
            Opcode.TEXT, b'{"type":"connected","data":{"channels":["files"],"user":null}}'
        )
        await until(lambda: recorder.tally.accepted == 1)


async def test_messages_that_come_together_count_each_in_their_order():
    error = b'{"type":"error","data":{"code":1008,"message":"x"}}'
    texts = (b'{"type":"event","data":{}}', error, b'{"type":"event","data":{}}', error)
    frames = [Frame(Opcode.TEXT, text).serialize(mask=False) for text in texts]
    async with opened() as (connection, _, far, recorder):
        await far.send(b"".join(frames)[:-5])
        await until(lambda: recorder.tally.messages_received == 3)
        assert connection.rejected == 0
        await far.send(frames[-1][-5:])
        await until(lambda: recorder.tally.messages_received == 4)
        assert connection.rejected == 1008
        assert connection.parser is None


async def test_a_close_after_an_error_frame_is_a_rejection_with_its_code():
    async with opened() as (_, diary, far, _):
        await far.send_frame(Opcode.TEXT, b'{"type":"error","data":{"code":1008,"message":"no"}}')
        far.sock.close()
        await until(lambda: diary.entries == ["opened", "rejected_1008"])


async def test_an_error_frame_that_is_followed_by_others_does_not_name_a_later_close():
    async with opened() as (_, diary, far, _):
        await far.send_frame(Opcode.TEXT, b'{"type":"error","data":{"code":1003,"message":"no"}}')
        await far.send_frame(Opcode.TEXT, b'{"type":"pong"}')
        far.sock.close()
        await until(lambda: diary.entries == ["opened", "server_eof"])


async def test_a_server_close_is_answered_with_its_code_and_named_by_it():
    async with opened() as (_, diary, far, _):
        await far.send_frame(Opcode.CLOSE, b"\x03\xe9")
        answer = await far.frame()
        assert (answer.opcode, answer.data[:2]) == (Opcode.CLOSE, b"\x03\xe9")
        far.sock.close()
        await until(lambda: diary.entries == ["opened", "server_1001"])


async def test_our_close_keeps_its_reason_and_waits_for_the_server_to_end_tcp():
    async with opened() as (connection, diary, far, _):
        connection.begin_close("done")
        assert (await far.frame()).data[:2] == b"\x03\xe8"
        assert connection in TERMS.closing
        await far.flush()
        far.sock.close()
        await until(lambda: diary.entries == ["opened", "done"])
        assert connection not in TERMS.closing


@pytest.mark.parametrize(
    ("answer", "unanswered"), [(b"", 1), (b"\x88\x02\x03\xe8", 0), (b"\x88\x02\x03\xe9", 0)]
)
@pytest.mark.parametrize("reason", ["drained", "error_KeyError", "done", "bored"])
async def test_a_close_that_the_server_does_not_answer_is_counted(answer, unanswered, reason):
    """A session that is over, or closes, has the unclean end as its reason."""
    async with opened() as (connection, diary, far, recorder):
        connection.begin_close(reason)
        await far.frame()
        await far.send(answer)
        far.sock.close()
        unclean = unanswered and reason in ("done", "bored")
        await until(lambda: diary.entries == ["opened", "unclean_close" if unclean else reason])
        assert recorder.tally.drained_unanswered == unanswered


async def test_a_close_without_an_answer_in_time_is_unanswered_but_an_answered_one_is_not():
    for answered in (False, True):
        async with opened() as (connection, diary, far, recorder):
            connection.begin_close("churn")
            await far.frame()
            if answered:
                await far.flush()
                await until(lambda at=connection: at.state == SHUT)
            connection.abort()  # as when the server does not end TCP in time
            await until(lambda of=diary: of.entries == ["opened", "churn"])
            assert recorder.tally.drained_unanswered == (not answered)


async def test_a_close_that_the_server_began_needs_no_answer():
    async with opened() as (_, diary, far, recorder):
        await far.send_frame(Opcode.CLOSE, b"\x03\xe9")
        far.sock.close()
        await until(lambda: len(diary.entries) == 2)
        assert recorder.tally.drained_unanswered == 0


async def test_nothing_is_sent_after_a_close():
    async with opened() as (connection, _, far, recorder):
        connection.begin_close("drained")
        connection.send_ping(monotonic())
        connection.send_app_ping(monotonic())
        await far.send_frame(Opcode.PING, b"")
        assert (await far.frame()).opcode is Opcode.CLOSE
        assert recorder.tally.pings == 0


async def test_a_broken_frame_ends_it_as_a_protocol_error_with_code_1002():
    async with opened() as (_, diary, far, recorder):
        await far.send(b"\x81\x85\0\0\0\0hello")  # a masked server frame
        assert (await far.frame()).data[:2] == b"\x03\xea"
        far.sock.close()
        await until(lambda: diary.entries == ["opened", "protocol_error"])
        assert recorder.tally.drained_unanswered == 0  # nothing after the broken frame is read


async def test_a_reset_is_another_reason_than_an_end():
    async with opened() as (connection, diary, far, _):
        assert diary.entries == ["opened"]
        connection.connection_lost(ConnectionResetError())
        connection.connection_lost(None)
        assert diary.entries == ["opened", "reset"]
        far.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_a_connection_between_two_messages_holds_no_parser():
    async with opened() as (connection, _, far, recorder):
        await far.send(b"\x81\x05he")
        await until(lambda: connection.parser is not None)
        await far.send(b"llo")
        await until(lambda: recorder.tally.messages_received == 1)
        assert connection.parser is None


async def test_the_table_of_states_holds_and_is_used():
    """Every connection of these tests checks its transitions; this one is forbidden."""
    assert {state for after in TRANSITIONS.values() for state in after} <= TRANSITIONS.keys()
    async with opened() as (connection, *_):
        with pytest.raises(AssertionError):
            connection.state = FAILED


async def test_the_101_and_pongs_prove_life_within_the_window_and_messages_do_not():
    async with opened() as (connection, diary, far, recorder):
        assert recorder.alive == 1
        recorder.swap()
        recorder.swap()
        assert recorder.alive == 1
        connection.send_ping(monotonic())
        await far.frame()
        await far.send_frame(Opcode.TEXT, b"hello")
        await until(lambda: recorder.tally.messages_received == 1)
        recorder.swap()
        assert recorder.alive == 0
        await far.flush()
        await until(lambda: recorder.alive == 1)
        recorder.swap()
        assert recorder.alive == 1
        far.sock.close()
        await until(diary.over.is_set)
        assert recorder.alive == 0


async def test_a_connection_that_never_opened_is_not_alive():
    async with connected() as (_, diary, far, recorder):
        far.sock.close()
        await until(lambda: diary.entries == ["reset"])
        assert recorder.alive == 0


async def test_an_answered_close_is_unclean_if_the_server_did_not_take_everything():
    """The server's own CLOSE crosses ours, which waits behind a message."""
    async with opened() as (connection, diary, far, recorder):
        connection.transport.write(bytes(1 << 24), message=True)
        connection.begin_close("done")
        await far.send_frame(Opcode.CLOSE, b"\x03\xe8")
        await until(lambda: connection.state == SHUT)
        far.sock.close()
        await until(lambda: diary.entries == ["opened", "unclean_close"])
        assert (recorder.tally.drained_unanswered, recorder.tally.messages_unsent) == (0, 1)


async def test_a_close_goes_after_what_was_sent_before_it():
    async with opened() as (connection, _, far, recorder):
        connection.transport.write(frame(BINARY, bytes(1 << 23), 7), message=True)
        assert connection.transport.waiting
        connection.begin_close("done", 4001, b"bye")
        far.protocol.max_message_size = None
        sent, close = await far.frame(), await far.frame()
        assert (len(sent.data), close.opcode, close.data) == (1 << 23, Opcode.CLOSE, b"\x0f\xa1bye")
        assert recorder.tally.messages_sent == 1


async def test_nothing_after_the_servers_close_is_taken():
    async with opened() as (connection, _, far, recorder):
        last = Frame(Opcode.TEXT, b"last").serialize(mask=False)
        await far.send(last + b"\x88\x02\x03\xe9" + last)
        await until(lambda: connection.state == SHUT)
        before = recorder.tally.bytes_received
        await far.send(last)
        await far.send(b"\x8a\x04\0\0\0\1")
        await until(lambda: recorder.tally.bytes_received == before + 12)
        assert recorder.tally.messages_received == 1


@pytest.mark.parametrize("flood", [b"\x81\x00", b"\x89\x00", b"\x00\x00"])
async def test_others_get_their_turn_between_the_frames_of_a_flood(flood):
    """Empty texts, PINGs, and continuations: each more than one read has."""
    async with opened() as (connection, _, far, recorder), opened() as (other, _, far_too, own):
        turns = 0

        def turn():
            nonlocal turns
            turns += 1
            if connection.parser is not None:
                asyncio.get_running_loop().call_soon(turn)

        begin = b"\x01\x00" if flood == b"\x00\x00" else b""
        end = b"\x80\x00" if begin else b"\x81\x00"
        await far.send(begin + flood * 30_000 + end)
        await until(lambda: connection.parser is not None)
        turn()
        other.send_ping(monotonic())
        await far_too.frame()
        await far_too.flush()
        await until(lambda: own.tally.pongs == 1)
        assert connection.parser is not None, "the pong waited for the whole flood"
        await until(lambda: connection.parser is None)
        assert turns >= 10_000 / MAX_STEPS
        assert recorder.tally.messages_received == (30_001 if flood == b"\x81\x00" else 1)
        await far.send_frame(Opcode.TEXT, b"hello")
        await until(lambda: recorder.tally.messages_received in (2, 30_002))


async def test_an_end_forgets_what_is_left_of_a_flood():
    async with opened() as (connection, diary, far, recorder):
        await far.send(b"\x81\x00" * 20_000)
        await until(lambda: connection.parser is not None)
        connection.cut("storm")
        await until(lambda: diary.entries == ["opened", "storm"])
        await asyncio.sleep(0)
        assert recorder.tally.messages_received < 20_000
        assert connection.parser is None


async def test_only_the_newest_ping_is_answered_while_much_waits():
    async with opened() as (connection, _, far, recorder):
        while not connection.transport.write(frame(BINARY, bytes(1 << 20), 7)):
            pass
        waiting = connection.transport.waiting
        for number in range(100):
            await far.send_frame(Opcode.PING, b"%d" % number)
        await far.send_frame(Opcode.TEXT, b"after them")
        await until(lambda: recorder.tally.messages_received == 1)
        assert connection.transport.waiting == waiting
        while (found := await far.frame()).opcode is Opcode.BINARY:
            pass
        assert (found.opcode, found.data) == (Opcode.PONG, b"99")
        await far.send_frame(Opcode.PING, b"again")
        assert (await far.frame()).data == b"again"


async def test_an_error_of_our_own_ends_the_connection_with_a_sample(monkeypatch):
    def bug(self, opcode, payload, size):
        raise LookupError("a bug")

    async with opened() as (_, diary, far, recorder):
        monkeypatch.setattr(Checked, "_message", bug)
        await far.send_frame(Opcode.TEXT, b"hello")
        await until(lambda: diary.entries == ["opened", "error_LookupError"])
        assert "a bug" in recorder.samples["error_LookupError"]


async def test_an_error_in_a_later_turn_of_a_flood_ends_the_connection_too(monkeypatch):
    async with opened() as (connection, diary, far, recorder):
        await far.send(b"\x81\x00" * 10_000)
        await until(lambda: connection.parser is not None)
        monkeypatch.setattr(Checked, "_message", lambda *_: 1 // 0)
        await until(lambda: diary.entries == ["opened", "error_ZeroDivisionError"])
        assert recorder.samples.keys() == {"error_ZeroDivisionError"}
