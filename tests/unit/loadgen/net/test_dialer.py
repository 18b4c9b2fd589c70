"""Sockets to a target from chosen ports: real listeners, real refusals."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic

import pytest

from loadgen.net.connection import Connection
from loadgen.net.dialer import MAX_RETRIES, Dialer, reason_of
from loadgen.net.ports import SourcePorts
from loadgen.net.tls import Contexts
from loadgen.plan.transport import Transport
from loadgen.stats.recorder import Recorder
from tests.unit.wire_ends import TERMS, Diary, until

SOURCE = "127.0.9.1"


@contextmanager
def listener(backlog: int = 128) -> Iterator[socket.socket]:
    """A socket that listens; the test accepts."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(backlog)
        yield sock


def caller(server: socket.socket) -> tuple[str, int]:
    """Returns the address and port of the oldest connection in the backlog."""
    sock, address = server.accept()
    sock.close()
    return address


@contextmanager
def dialer_to(
    address: tuple[str, int], ports: range, tls: Contexts | None = None
) -> Iterator[tuple[Dialer, Recorder]]:
    """A dialer from the given ports of SOURCE, and its recorder."""
    recorder = Recorder(seed=1)
    loop = asyncio.get_running_loop()
    dialer = Dialer(loop, address, SourcePorts((SOURCE,), ports), recorder, tls, "target")
    try:
        yield dialer, recorder
    finally:
        dialer.close()


async def test_a_connection_comes_from_the_next_port():
    with listener() as server:
        with dialer_to(server.getsockname(), range(21_000, 21_010)) as (dialer, recorder):
            first = Connection(recorder, TERMS, Diary())
            second = Connection(recorder, TERMS, Diary())
            dialer.dial(first, monotonic())
            dialer.dial(second, monotonic())
            await until(lambda: first.transport is not None and second.transport is not None)
            assert [caller(server), caller(server)] == [(SOURCE, 21_000), (SOURCE, 21_001)]
            assert recorder.tally.connect.total == 2
            first.abort()
            second.abort()


async def test_a_port_that_another_process_holds_is_skipped_and_counted():
    with listener() as server, socket.socket() as other:
        other.bind((SOURCE, 21_020))
        other.listen()
        with dialer_to(server.getsockname(), range(21_020, 21_030)) as (dialer, recorder):
            connection = Connection(recorder, TERMS, Diary())
            dialer.dial(connection, monotonic())
            await until(lambda: connection.transport is not None)
            assert caller(server) == (SOURCE, 21_021)
            assert recorder.tally.ports_skipped == 1
            connection.abort()


async def test_a_long_run_of_held_ports_does_not_fail_a_connection():
    with listener() as server, ExitStack() as stack:
        for port in range(21_200, 21_500):
            stack.enter_context(socket.create_server((SOURCE, port)))
        with dialer_to(server.getsockname(), range(21_200, 21_501)) as (dialer, recorder):
            connection = Connection(recorder, TERMS, Diary())
            dialer.dial(connection, monotonic())
            await until(lambda: connection.transport is not None)
            assert caller(server) == (SOURCE, 21_500)
            assert recorder.tally.ports_skipped == 300
            dialer.dial(Connection(recorder, TERMS, portless := Diary()), monotonic())
            await until(portless.over.is_set)
            assert portless.entries == ["no_local_port"]
            assert recorder.tally.ports_skipped == 300 + MAX_RETRIES
            connection.abort()


async def test_a_port_that_is_connected_to_the_target_already_is_skipped():
    """With SO_REUSEADDR the bind succeeds; only the connect fails (EADDRNOTAVAIL)."""
    with listener() as server, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((SOURCE, 21_040))
        other.connect(server.getsockname())
        caller(server)
        with dialer_to(server.getsockname(), range(21_040, 21_050)) as (dialer, recorder):
            connection = Connection(recorder, TERMS, Diary())
            dialer.dial(connection, monotonic())
            await until(lambda: connection.transport is not None)
            assert caller(server) == (SOURCE, 21_041)
            connection.abort()


async def test_no_port_left_is_a_failure_and_a_returned_one_serves_again():
    async with await asyncio.start_server(_close_at_end, "127.0.0.1", 0) as server:
        with dialer_to(server.sockets[0].getsockname(), range(21_060, 21_061)) as (
            dialer,
            recorder,
        ):
            connection = Connection(recorder, TERMS, diary := Diary())
            dialer.dial(connection, monotonic())
            dialer.dial(Connection(recorder, TERMS, portless := Diary()), monotonic())
            await until(portless.over.is_set)
            assert portless.entries == ["no_local_port"]
            await until(lambda: connection.transport is not None)
            connection.abort()
            await until(diary.over.is_set)
            await _dialed(dialer, recorder)


async def _speak_ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0\r\n" * 10)
    await _close_at_end(reader, writer)


async def _close_at_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _dialed(dialer: Dialer, recorder: Recorder) -> None:
    """Dials until the port is free: the kernel needs a moment after the end."""
    while True:
        connection = Connection(recorder, TERMS, diary := Diary())
        dialer.dial(connection, monotonic())
        await until(lambda: connection.transport is not None or diary.over.is_set())  # noqa: B023 -- awaited here
        if connection.transport is not None:
            connection.abort()
            return


async def test_a_refusal_is_reported_at_once():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with dialer_to(sock.getsockname(), range(21_080, 21_090)) as (dialer, recorder):
            dialer.dial(Connection(recorder, TERMS, diary := Diary()), monotonic())
            await until(diary.over.is_set)
            assert diary.entries == ["refused"]


async def test_a_connect_under_way_is_awaited_and_can_be_cancelled():
    """A full backlog does not answer the SYN: the attempt stays under way."""
    with listener(backlog=0) as server, socket.socket() as one, socket.socket() as two:
        for filler in (one, two):
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        with dialer_to(server.getsockname(), range(21_100, 21_110)) as (dialer, recorder):
            connection = Connection(recorder, TERMS, Diary())
            dialer.dial(connection, monotonic())
            await asyncio.sleep(0.05)
            assert connection.transport is None
            dialer.cancel(connection)
            assert recorder.tally.connect.total == 0


async def test_a_server_that_speaks_no_tls_is_a_tls_failure():
    async with await asyncio.start_server(_speak_ssh, "127.0.0.1", 0) as server:
        with dialer_to(
            server.sockets[0].getsockname(), range(21_120, 21_130), Contexts(Transport())
        ) as (
            dialer,
            recorder,
        ):
            connection = Connection(recorder, TERMS, diary := Diary())
            dialer.dial(connection, monotonic())
            await until(lambda: bool(diary.entries))
            assert diary.entries == ["tls"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ECONNREFUSED, "refused"),
        (errno.ETIMEDOUT, "timeout"),
        (errno.EHOSTUNREACH, "unreachable"),
        (errno.EADDRNOTAVAIL, "no_local_port"),
        (errno.EMFILE, "no_fd"),
        (errno.EPERM, "eperm"),
    ],
)
def test_every_errno_has_a_reason(code, reason):
    assert reason_of(code) == reason


@pytest.mark.parametrize("secure", [False, True])
async def test_a_preamble_is_the_first_that_the_target_gets(secure):
    recorder, loop = Recorder(seed=1), asyncio.get_running_loop()
    with listener() as server:
        dialer = Dialer(
            loop,
            server.getsockname(),
            SourcePorts((SOURCE,), range(21_610, 21_612)),
            recorder,
            Contexts(Transport()) if secure else None,
            "target",
            preamble=lambda number: b"user %d\r\n" % number,
        )
        connection = Connection(recorder, TERMS, Diary())
        dialer.dial(connection, monotonic())
        sock, _ = server.accept()
        sock.setblocking(False)
        with sock:
            first = b""
            while len(first) < 20:
                first += await asyncio.wait_for(loop.sock_recv(sock, 65536), 5)
            assert first.startswith(b"user 0\r\n" + (b"\x16\x03" if secure else b"GET /"))
        dialer.cancel(connection)
        connection.abort()
        dialer.close()
