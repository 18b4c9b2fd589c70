"""Connections that offer permessage-deflate to the websockets library."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from loadgen.net.connection import Connection, Terms
from loadgen.net.handshake import Handshake
from loadgen.net.transport import Transports
from loadgen.plan.compress import Compress
from loadgen.sessions.compressed import (
    CompressedConnection,
    CompressedReceiver,
    CompressedReceiverWebSocket,
    CompressedWebSocket,
    CountingConnection,
    loop_kind,
    session_kind,
)
from loadgen.sessions.receiver import ReceiverConnection, ReceiverWebSocket
from loadgen.sessions.replies import Answering
from loadgen.sessions.websocket import WebSocket
from loadgen.stats.deliveries import Deliveries
from loadgen.stats.delivery import Published
from loadgen.stats.recorder import Recorder
from loadgen.timers import Deadlines
from loadgen.worker.stamps import find_stamp
from tests.unit.wire_ends import TERMS, THINK, Diary, FarSide, tcp_pair, until

ANEW = ServerPerMessageDeflateFactory(True, True, 9, 9)
USUAL = ServerPerMessageDeflateFactory()
both = pytest.mark.parametrize("server", [USUAL, ANEW], ids=["takeover", "anew"])
APPWRITE = b'{"type":"connected","data":{}}'


class Session(Diary):
    """The owner of a connection whose session awaits nothing, or one thing."""

    woken = None
    burst = 0

    def __init__(self) -> None:
        super().__init__()
        self.got: list[object] = []

    def wait_for(self, what, seconds):
        """Waits for what `happened` gets."""
        while not self.got:
            yield None
        return self.got.pop(0)

    def happened(self, what, value):
        """Keeps what happened."""
        self.got.append(value)

    def broken_off(self, what, reason):
        """Not called."""


@asynccontextmanager
async def opened(kind, server=USUAL) -> AsyncIterator[tuple[Connection, FarSide, Recorder]]:
    """A connection whose server speaks permessage-deflate, or with None does not."""
    terms = Terms(Handshake("target:9505", "/", compress=Compress()), THINK, Deadlines(5.0))
    recorder = Recorder(seed=1)
    recorder.deliveries = Deliveries(find_stamp, lambda resource: (), grace=60.0, clock="here")
    near, far = tcp_pair()
    owner = Session()
    web = issubclass(kind, WebSocket)
    connection = kind(recorder, terms, owner, *([monotonic()] if web else []))
    transports = Transports(asyncio.get_running_loop(), near.family, lambda name: None, recorder)
    transports.open(near, connection)
    side = FarSide(far)
    side.protocol = ServerProtocol(extensions=[server] if server else None)
    try:
        await side.upgrade()
        await until(lambda: owner.entries == ["opened"])
        yield connection, side, recorder
    finally:
        connection.connection_lost(None)
        transports.close()
        far.close()


async def says(side: FarSide, text: str, recorder: Recorder) -> None:
    """Sends a text compressed, and waits until it is counted."""
    count = recorder.tally.messages_received
    side.protocol.send_text(text.encode())
    await side.flush()
    await until(lambda: recorder.tally.messages_received > count)


def texts_of(connection: WebSocket) -> list[object]:
    return list(connection.inbox or ())


@both
async def test_a_session_reads_and_sends_compressed_messages(server):
    async with opened(CompressedWebSocket, server) as (connection, side, recorder):
        for text in ("news " * 1000, "häuser", "news " * 1000):
            await says(side, text, recorder)
            with pytest.raises(StopIteration):
                connection.send(text).send(None)
            frame = await side.frame()
            assert (frame.opcode, bytes(frame.data).decode()) == (Opcode.TEXT, text)
        assert texts_of(connection) == ["news " * 1000, "häuser", "news " * 1000]

        tally = recorder.tally
        assert tally.messages_compressed == tally.messages_received == 3
        assert tally.bytes_sent < 1500
        assert tally.bytes_received < 1500


@both
async def test_the_fragments_of_a_message_are_compressed_together(server):
    async with opened(CompressedWebSocket, server) as (connection, side, _):
        for parts in (["news ", "", "of the day"], [b"a", bytearray(b"b"), b""]):
            with pytest.raises(StopIteration):
                connection.send(parts).send(None)
            frames = [await side.frame() for _ in parts]

            assert [frame.fin for frame in frames] == [False, False, True]
            whole = b"".join(bytes(frame.data) for frame in frames)
            assert whole == b"".join(
                part.encode() if isinstance(part, str) else part for part in parts
            )


async def test_an_empty_message_is_sent_as_it_is():
    async with opened(CompressedWebSocket) as (connection, side, _):
        with pytest.raises(StopIteration):
            connection.send("").send(None)

        assert await side.frame() == Frame(Opcode.TEXT, b"")
        assert connection.deflater is None


async def test_where_the_server_chooses_nothing_all_is_plain():
    async with opened(CompressedWebSocket, None) as (connection, side, recorder):
        await says(side, "plain", recorder)
        with pytest.raises(StopIteration):
            connection.send("plain").send(None)

        assert bytes((await side.frame()).data) == b"plain"
        assert texts_of(connection) == ["plain"]
        assert recorder.tally.compression == {"none": 1}
        assert recorder.tally.messages_compressed == 0

        await side.send(b"\xc1\x00")
        await until(lambda: connection.reason == "protocol_error")
        assert recorder.take_samples() == {
            "protocol_error": "user 0: the server sent reserved bits set\n"
        }


async def test_what_the_server_chose_is_counted():
    async with opened(CountingConnection, ANEW) as (_, _, recorder):
        chosen = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        bits = "; server_max_window_bits=9; client_max_window_bits=9"

        assert recorder.tally.compression == {chosen + bits: 1}


@both
async def test_a_connection_that_only_pings_counts_and_never_inflates(server):
    async with opened(CountingConnection, server) as (connection, side, recorder):
        await says(side, APPWRITE.decode(), recorder)
        await says(side, "news " * 100_000, recorder)
        connection.send_ping(monotonic())
        await side.frame()
        await side.flush()
        await until(lambda: recorder.tally.pongs == 1)

        assert recorder.tally.messages_received == recorder.tally.messages_compressed == 2
        assert recorder.tally.accepted == 0
        assert connection.parser is None
        assert not hasattr(connection, "inflater")

        await side.send_frame(Opcode.TEXT, APPWRITE)
        await until(lambda: recorder.tally.accepted == 1)


@both
async def test_pings_that_are_messages_are_compressed_and_so_are_their_answers(server):
    async with opened(CompressedConnection, server) as (connection, side, recorder):
        await says(side, APPWRITE.decode(), recorder)
        for number in range(1, 3):
            connection.send_app_ping(monotonic())
            frame = await side.frame()
            assert bytes(frame.data) == b'{"type":"ping"}'
            await says(side, '{"type":"pong"}', recorder)
            assert recorder.tally.pongs == number

        assert recorder.tally.accepted == 1
        assert recorder.tally.messages_sent == 2


@pytest.mark.parametrize("kind", [CompressedReceiver, CompressedReceiverWebSocket])
async def test_subscribers_find_stamps_in_compressed_messages(kind):
    async with opened(kind) as (_, side, recorder):
        stamp = Published("here-run.0", 0, int(monotonic() * 1_000_000)).stamp
        await says(side, f"{'x' * 50_000}{stamp}", recorder)

        assert recorder.tally.messages_compressed == 1
        assert recorder.tally.delivery_unstamped == 0


async def test_a_bomb_closes_with_1009():
    async with opened(CompressedWebSocket) as (connection, side, recorder):
        stream = zlib.compressobj(wbits=-15)
        bomb = stream.compress(bytes(17 * 2**20)) + stream.flush(zlib.Z_SYNC_FLUSH)
        frame = Frame(Opcode.BINARY, bomb[:-4]).serialize(mask=False)
        await side.send(bytes((frame[0] | 0x40,)) + frame[1:])
        await until(lambda: connection.reason == "message_too_big")

        assert (await side.frame()).data[:2] == (1009).to_bytes(2, "big")
        (sample,) = recorder.take_samples().values()
        assert "a message that inflates to more than 16777216 bytes" in sample


@pytest.mark.parametrize("kind", [CompressedWebSocket, CompressedConnection])
async def test_what_cannot_be_inflated_ends_as_a_protocol_error_with_its_sample(kind):
    async with opened(kind) as (connection, side, recorder):
        await side.send(b"\xc1\x02\xff\xff")
        await until(lambda: connection.reason == "protocol_error")

        assert (await side.frame()).data[:2] == (1007).to_bytes(2, "big")
        sample = recorder.take_samples()["protocol_error"]
        assert sample.startswith("user 0: the server sent a message that can't be inflated")


async def test_the_memory_of_zlib_is_freed_at_the_end():
    async with opened(CompressedWebSocket) as (connection, side, recorder):
        await says(side, "news", recorder)
        with pytest.raises(StopIteration):
            connection.send("news").send(None)
        assert connection.deflater is not None
        assert connection.inflater is not None

        connection.cut("stopped")
        await until(lambda: connection.transport is None)

        assert connection.deflater is connection.inflater is None


OFFERS = Terms(Handshake("target", "/", compress=Compress()), THINK, Deadlines(5.0))


def test_without_an_offer_connections_have_their_usual_classes():
    for reads in (False, True):
        assert loop_kind(TERMS, receives=False, reads=reads, answers=False) is Connection
        assert loop_kind(TERMS, receives=True, reads=reads, answers=False) is ReceiverConnection
    assert session_kind(TERMS, receives=False, answers=False) is WebSocket
    assert session_kind(TERMS, receives=True, answers=False) is ReceiverWebSocket


def test_with_an_offer_they_have_those_of_this_module():
    assert loop_kind(OFFERS, receives=False, reads=False, answers=False) is CountingConnection
    assert loop_kind(OFFERS, receives=False, reads=True, answers=False) is CompressedConnection
    assert loop_kind(OFFERS, receives=True, reads=False, answers=False) is CompressedReceiver
    assert session_kind(OFFERS, receives=False, answers=False) is CompressedWebSocket
    assert session_kind(OFFERS, receives=True, answers=False) is CompressedReceiverWebSocket


@pytest.mark.parametrize("terms", [TERMS, OFFERS])
def test_those_that_answer_read_messages(terms):
    loop = loop_kind(terms, receives=False, reads=False, answers=True)
    session = session_kind(terms, receives=False, answers=True)

    assert issubclass(loop, Answering)
    assert not issubclass(loop, CountingConnection)
    assert issubclass(session, Answering)
    assert issubclass(session, WebSocket)


def test_connections_without_an_offer_cost_no_slot():
    assert "agreement" not in dir(Connection)
    assert "agreement" not in dir(WebSocket)
