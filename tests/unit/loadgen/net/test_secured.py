"""Connections with TLS to a real server, and what the kernel takes of them."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trustme

from loadgen.net.secured import BeforeTls, SecureTransport
from loadgen.net.transport import HIGH_WATER, LOW_WATER
from loadgen.stats.recorder import Recorder
from loadgen.stats.tally import Tally
from tests.unit.loadgen.net.test_transport import Listener, counted
from tests.unit.wire_ends import tcp_pair, until

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


@asynccontextmanager
async def secured(
    hello: bytes = b"", *, early_end: bool = False
) -> AsyncIterator[tuple[Listener, SecureServer, Tally]]:
    """A connection with TLS, and its counts.

    With `early_end` it is over before its receiver has it.
    """
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("target").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    loop = asyncio.get_running_loop()
    recorder = Recorder(seed=1)
    server = SecureServer(hello)
    serving = await asyncio.start_server(server.meet, "127.0.0.1", 0, ssl=server_side)
    tcp, _ = await loop.create_connection(asyncio.Protocol, *serving.sockets[0].getsockname())
    secure = SecureTransport(loop, listener := Listener(), recorder)
    tls = await loop.start_tls(tcp, secure, client_side, server_hostname="target")
    assert tls is not None
    await server.met.wait()
    if early_end:
        server.reset()
        await until(lambda: secure._lost)
    secure.start(tls, tcp)
    try:
        yield listener, server, recorder.tally
    finally:
        tls.abort()
        server.writer.transport.abort()
        serving.close()


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
            await until(lambda: listener.transport._eof)
            listener.transport.abort()
        await until(lambda: bool(listener.ends))
        assert tally.messages_sent == 1 + (tally.bytes_sent - 5) // len(MESSAGE) < 7
        assert tally.messages_sent + tally.messages_unsent == 7
        sent = counted(tally)
        listener.transport.write(b"too late", message=True)
        listener.transport.pause_reading()
        listener.transport.resume_reading()
        assert counted(tally) == (*sent[:2], sent[2] + 1)


async def test_an_end_before_the_receiver_has_its_transport_is_reported_to_it():
    async with secured(early_end=True) as (listener, _, tally):
        (end,) = listener.ends
        assert isinstance(end, ConnectionResetError)
        listener.transport.write(b"too late", message=True)
        assert counted(tally) == (0, 0, 1)


async def before_tls(act: Callable[[socket.socket], object] | None) -> type[Exception] | None:
    """Returns what `check` raises after the server did something before TLS."""
    near, far = tcp_pair()
    with far:
        tcp, before = await asyncio.get_running_loop().create_connection(BeforeTls, sock=near)
        if act is not None:
            act(far)
            await until(lambda: tcp.is_closing() or before._spoke)
        try:
            before.check(tcp)
        except OSError as error:
            return type(error)
        finally:
            tcp.abort()
    return None


async def test_tls_begins_only_while_the_server_is_silent():
    assert await before_tls(None) is None
    assert await before_tls(lambda far: far.send(b"SSH-2.0")) is ssl.SSLError
    assert await before_tls(lambda far: far.close()) is ConnectionResetError


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
