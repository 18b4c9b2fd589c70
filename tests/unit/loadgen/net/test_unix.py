"""Connections to real Unix sockets."""

import asyncio
import resource
import socket
from contextlib import contextmanager
from time import monotonic

import pytest

from loadgen.net.connection import Connection
from loadgen.net.unix import UnixDialer
from loadgen.stats.recorder import Recorder
from tests.unit.wire_ends import TERMS, Diary, FarSide, until


@contextmanager
def dialer_to(path, buffers=(0, 0), preamble=None):
    recorder = Recorder(seed=1)
    dialer = UnixDialer(asyncio.get_running_loop(), str(path), recorder, buffers, preamble)
    try:
        yield dialer, recorder
    finally:
        dialer.close()


@contextmanager
def listener(path, backlog=128):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen(backlog)
        yield sock


def dialed(dialer, recorder) -> tuple[Connection, Diary]:
    """Dials a connection."""
    connection = Connection(recorder, TERMS, diary := Diary())
    dialer.dial(connection, monotonic())
    return connection, diary


async def test_a_connection_opens_and_ends_over_a_unix_socket(tmp_path):
    path = tmp_path / "app.sock"
    with listener(path) as server, dialer_to(path, (65_536, 65_536)) as (dialer, recorder):
        connection, diary = dialed(dialer, recorder)
        sock, _ = server.accept()
        sock.setblocking(False)
        far = FarSide(sock)
        await far.upgrade()
        await until(lambda: diary.entries == ["opened"])
        assert recorder.tally.connect.total == 1
        dialer.cancel(connection)  # it is harmless now
        far.sock.close()
        await until(diary.over.is_set)
        assert diary.entries == ["opened", "server_eof"]


@pytest.mark.parametrize(("kind", "reason"), [("missing", "enoent"), ("dead", "refused")])
async def test_a_failure_is_a_reason_with_a_sample(tmp_path, kind, reason):
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as sock, dialer_to(path) as (dialer, recorder):
        if kind == "dead":
            sock.bind(str(path))
        _, diary = dialed(dialer, recorder)
        assert diary.entries == []
        await until(diary.over.is_set)
        assert diary.entries == [reason]
        assert recorder.samples == {reason: f"user 0: Unix socket {path}: {reason}"}


async def test_a_full_queue_is_waited_for_in_turn(tmp_path):
    path = tmp_path / "app.sock"
    with listener(path, backlog=0) as server, dialer_to(path) as (dialer, recorder):
        connections = [dialed(dialer, recorder)[0] for _ in range(4)]
        first, second, third, last = connections
        assert first.transport is not None
        await asyncio.sleep(0.05)
        assert (second.transport, third.transport, last.transport) == (None, None, None)
        dialer.cancel(third)
        accepted = [server.accept()[0]]
        await until(lambda: second.transport is not None)
        assert last.transport is None
        accepted.append(server.accept()[0])
        await until(lambda: last.transport is not None)
        assert third.transport is None
        for sock in accepted:
            sock.close()


async def test_a_server_that_ends_while_its_queue_is_full_refuses_those_that_wait(tmp_path):
    path = tmp_path / "app.sock"
    with listener(path, backlog=0) as server, dialer_to(path) as (dialer, recorder):
        waiting = [dialed(dialer, recorder) for _ in range(3)]
        server.close()
        await until(lambda: all(diary.over.is_set() for _, diary in waiting[1:]))
        assert {diary.entries[-1] for _, diary in waiting[1:]} == {"refused"}


async def test_a_preamble_comes_before_the_request(tmp_path):
    path = tmp_path / "app.sock"
    with listener(path) as server, dialer_to(path, preamble=b"PROXY %d;".__mod__) as (dialer, one):
        dialed(dialer, one)
        sock, _ = server.accept()
        with sock:
            assert sock.recv(9) == b"PROXY 0;G"


async def test_an_aborted_connection_is_not_reported_again(tmp_path):
    with dialer_to(tmp_path / "none") as (dialer, recorder):
        connection, diary = dialed(dialer, recorder)
        connection.end("drained")
        await asyncio.sleep(0.01)
        assert diary.entries == ["drained"]


async def test_without_a_descriptor_it_fails(tmp_path):
    path = tmp_path / "app.sock"
    with listener(path), dialer_to(path) as (dialer, recorder):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            _, diary = dialed(dialer, recorder)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await until(diary.over.is_set)
        assert diary.entries == ["no_fd"]


async def test_closing_ends_those_that_wait(tmp_path):
    path = tmp_path / "app.sock"
    with listener(path, backlog=0):
        with dialer_to(path) as (dialer, recorder):
            _, diary = dialed(dialer, recorder)
            _, other = dialed(dialer, recorder)
        await asyncio.sleep(0.02)
        assert (diary.entries, other.entries) == ([], [])
