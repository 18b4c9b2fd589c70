"""Connections with TLS to a real server, and what the kernel takes of them."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from loadgen.net.secured import Memories, SecureTransport
from loadgen.net.transport import HIGH_WATER, LOW_WATER, Transports
from loadgen.stats.recorder import Recorder
from loadgen.stats.tally import Tally
from tests.unit.loadgen.net.test_transport import Listener, counted
from tests.unit.wire_ends import until

MESSAGE = bytes(1 << 22)


class SecureServer:
    """The server's end of one connection; it reads nothing of itself."""

    def __init__(self, hello: bytes = b"") -> None:
        self._hello = hello
        self.met = asyncio.Event()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keeps the two streams of a connection."""
        self.reader, self.writer = reader, writer
        writer.write(self._hello)
        self.met.set()

    def reset(self) -> None:
        """Ends the connection with a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Client:
    """The client's ends of connections to one server: all of a worker's transports."""

    def __init__(self, authority: trustme.CA, address: tuple[str, int]) -> None:
        self._address = address
        self._context = ssl.create_default_context()
        authority.configure_trust(self._context)
        self._memories = Memories.empty()
        self.recorder = Recorder(seed=1)
        loop = asyncio.get_running_loop()
        self.transports = Transports(loop, socket.AF_INET, lambda _: None, self.recorder)
        self.opening = Listener()
        """Hears of ends before the handshake is over."""

    def connect(self, listener: Listener) -> SecureTransport:
        """Begins a connection, whose receiver is the listener."""
        sock = socket.create_connection(self._address)
        sock.setblocking(False)
        secure = SecureTransport(
            self.transports,
            sock.fileno(),
            self.opening,
            self._context.wrap_bio(*self._memories[:2], server_hostname="target"),
            self._memories,
            lambda _: listener,
        )
        self.transports.add(sock, secure)
        secure.begin()
        return secure


@asynccontextmanager
async def serving(hello: bytes = b"") -> AsyncIterator[tuple[Client, SecureServer]]:
    """A server and its client."""
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("target").configure_cert(server_side)
    server = SecureServer(hello)
    listening = await asyncio.start_server(server.meet, "127.0.0.1", 0, ssl=server_side)
    client = Client(authority, listening.sockets[0].getsockname())
    try:
        yield client, server
    finally:
        client.transports.close()
        if server.met.is_set():
            server.writer.transport.abort()
        listening.close()


@asynccontextmanager
async def secured(hello: bytes = b"") -> AsyncIterator[tuple[Listener, SecureServer, Tally]]:
    """A connection with TLS, and its counts."""
    async with serving(hello) as (client, server):
        client.connect(listener := Listener())
        await until(lambda: hasattr(listener, "transport"))
        await server.met.wait()
        yield listener, server, client.recorder.tally


async def test_bytes_go_both_ways_and_count_as_they_are_before_tls():
    async with secured() as (listener, server, tally):
        listener.transport.write(b"no message")
        listener.transport.write(b"a message", message=True)
        assert await server.reader.readexactly(19) == b"no messagea message"
        assert counted(tally) == (19, 1, 0)
        server.writer.write(b"and out")
        await until(lambda: listener.received == b"and out")


async def test_bytes_of_a_server_that_speaks_first_are_not_lost():
    async with secured(hello=b"first") as (listener, server, _):
        server.writer.write(b", second")
        await until(lambda: listener.received == b"first, second")


async def test_what_is_queued_counts_when_the_kernel_takes_it():
    async with secured() as (listener, server, tally):
        for _ in range(4):
            listener.transport.write(MESSAGE, message=True)
        taken = tally.bytes_sent
        assert taken < 4 * len(MESSAGE)
        assert tally.messages_sent == taken // len(MESSAGE)

        await server.reader.readexactly(4 * len(MESSAGE))
        await until(lambda: counted(tally) == (4 * len(MESSAGE), 4, 0))
        listener.transport.write(b"more", message=True)
        assert counted(tally) == (4 * len(MESSAGE) + 4, 5, 0)


@pytest.mark.parametrize("end", ["abort", "reset", "close"])
async def test_messages_that_the_kernel_never_took_whole_are_unsent(end):
    async with secured() as (listener, server, tally):
        listener.transport.write(b"taken", message=True)
        for _ in range(6):
            listener.transport.write(MESSAGE, message=True)
        if end == "abort":
            listener.transport.abort()
        elif end == "reset":
            server.reset()
        else:
            server.writer.close()
        await until(lambda: bool(listener.ends))
        assert tally.messages_sent == 1 + (tally.bytes_sent - 5) // len(MESSAGE)
        assert tally.messages_sent < 7 or end == "close"  # asyncio reads on after the end of TLS
        assert tally.messages_sent + tally.messages_unsent == 7
        sent = counted(tally)
        listener.transport.write(b"too late", message=True)
        listener.transport.pause_reading()
        listener.transport.resume_reading()
        assert counted(tally) == (*sent[:2], sent[2] + 1)


async def test_an_end_in_the_handshake_is_not_the_receivers():
    async with serving() as (client, _):
        listener = Listener()
        client.connect(listener).abort()
        await until(lambda: client.opening.ends == [None])
        assert not hasattr(listener, "transport")


async def test_a_long_message_comes_whole_from_many_records():
    said = bytes(range(256)) * 4096
    async with secured() as (listener, server, _):
        server.writer.write(said)
        await until(lambda: len(listener.received) == len(said), 10)
        assert listener.received == said


async def test_the_end_of_tls_is_answered_and_is_no_error():
    async with secured() as (listener, server, _):
        server.writer.write(b"last words")
        server.writer.close()
        await until(lambda: bool(listener.ends))
        assert listener.received == b"last words"
        assert listener.ends == [None]
        await server.writer.wait_closed()  # raises where the end of TLS has no answer


async def test_a_receiver_may_begin_another_connection_from_within_its_bytes():
    """Both use the same memories, and the second half of a record is still to come."""
    async with serving() as (client, other):
        client.connect(first := Listener())
        await other.met.wait()
        more: list[Listener] = []
        take = first.data_received

        def data_received(data: bytes) -> None:
            take(data)
            client.connect(one := Listener())
            more.append(one)

        first.data_received = data_received  # type: ignore[method-assign]
        said = bytes(range(256)) * 400
        other.writer.write(said)
        await until(lambda: len(first.received) == len(said))
        await until(lambda: all(hasattr(one, "transport") for one in more))
        assert first.received == said
        assert more
        assert client.opening.ends == []


async def test_a_write_tells_when_too_much_waits_and_the_protocol_when_there_is_room_again():
    async with secured() as (listener, server, _):
        while not listener.transport.write(bytes(LOW_WATER)):
            assert listener.transport.waiting <= HIGH_WATER
        assert listener.transport.waiting > HIGH_WATER
        assert listener.rooms == 0
        while not listener.rooms:
            await server.reader.read(1 << 20)
        assert listener.transport.waiting <= LOW_WATER


async def test_what_was_left_at_the_end_is_known_after_it():
    async with secured() as (listener, _, _):
        for _ in range(3):
            listener.transport.write(MESSAGE)
        listener.transport.abort()
        await until(lambda: bool(listener.ends))
        assert listener.transport.waiting > 0


async def test_two_pauses_need_two_ends():
    async with secured() as (listener, server, _):
        for _ in range(2):
            listener.transport.pause_reading()
        server.writer.write(b"late")
        listener.transport.resume_reading()
        await asyncio.sleep(0.02)
        assert listener.received == b""
        listener.transport.resume_reading()
        await until(lambda: listener.received == b"late")


async def test_an_error_of_a_protocol_ends_its_transport():
    async with secured() as (listener, server, _):

        def bug(data: bytes) -> None:
            raise KeyError("a bug")

        listener.data_received = bug  # type: ignore[method-assign]
        server.writer.write(b"hello")
        await until(lambda: bool(listener.ends))
        assert [type(error) for error in listener.ends] == [KeyError]
