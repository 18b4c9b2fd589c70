"""The counts of a worker's connections, from dial to end, on a real listener."""

import asyncio
import math
import socket
from contextlib import contextmanager
from time import monotonic

import pytest

from loadgen.net.connection import Connection, Terms
from loadgen.net.connections import Connections, refuse
from loadgen.net.dialer import Dialer
from loadgen.net.drain import Drain
from loadgen.net.handshake import Handshake
from loadgen.net.ports import SourcePorts
from loadgen.net.states import FAILED
from loadgen.stats.recorder import Recorder
from loadgen.timers import Deadlines
from tests.unit.wire_ends import FarSide, until

TIMEOUT = 5.0


class Owner:
    """A user that reports its connection's transitions to the worker's connections."""

    number = 0

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.due = monotonic()

    def opened(self, connection: Connection, now: float) -> None:
        """Counts the opening."""
        self._connections.opened(connection, self.due, now)

    def ended(self, connection: Connection, reason: str) -> None:
        """Counts the end."""
        self._connections.ended(connection, reason)

    def close_all(self, reason: str) -> None:
        """Not called."""

    def abort_all(self, reason: str) -> None:
        """Not called."""


class Worker:
    """A dialer, its connections, and the listener that they go to."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.recorder = Recorder(seed=1)
        pairs = SourcePorts(("127.0.9.8",), range(24_410, 24_420))
        loop = asyncio.get_running_loop()
        self.dialer = Dialer(loop, listener.getsockname(), pairs, self.recorder)
        closing: Deadlines[Connection] = Deadlines(TIMEOUT)
        self.terms = Terms(Handshake("target", "/"), 1.0, closing)
        self.all = Connections((self.dialer,), closing, TIMEOUT)

    def dial(self, *, planned: bool = True) -> Connection:
        """Returns a connection that was dialed just now."""
        connection = Connection(self.recorder, self.terms, Owner(self.all))
        self.all.dial(connection, self.dialer, monotonic(), planned=planned)
        return connection

    def accept(self) -> FarSide:
        """Returns the server's end of the oldest connection."""
        sock, _ = self.listener.accept()
        sock.setblocking(False)
        return FarSide(sock)


@contextmanager
def worker():
    """A worker that dials a listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Worker(listener)
        try:
            yield found
        finally:
            found.dialer.close()


async def test_a_connection_is_counted_once_in_each_state():
    with worker() as load:
        connection = load.dial()
        assert connection in load.all
        dialed_at = connection.dialed_at
        assert load.all.next_deadline == dialed_at + load.all.connecting.seconds
        far = load.accept()
        await far.upgrade()
        await until(lambda: load.recorder.tally.opened == 1)
        assert load.all.next_deadline == math.inf
        assert connection.dialed_at is None

        far.sock.close()
        await until(lambda: not load.all)
        tally = load.recorder.tally
        assert (tally.closed, tally.failed) == ({"server_eof": 1}, {})
        assert tally.handshake.total == tally.open.total == 1


async def test_the_most_that_were_open_at_once_are_measured():
    with worker() as load:
        before = monotonic()
        far = []
        for count in (1, 2):
            load.dial()
            far.append(load.accept())
            await far[-1].upgrade()
            await until(lambda count=count: load.recorder.tally.opened == count)
        load.dial()
        load.accept().sock.close()  # it never opens
        far[0].sock.close()
        await until(lambda: load.recorder.tally.closed and load.recorder.tally.failed)

        peak = load.all.peak.take(monotonic(), before)
        assert (peak.count, load.all.peak.open) == (2, 1)
        assert 0 < peak.since < peak.until < monotonic() - before
        far[1].sock.close()
        await until(lambda: not load.all)


async def test_only_a_dial_that_was_not_planned_counts_as_another_launch():
    with worker() as load:
        load.dial()
        load.dial(planned=False)
        assert (load.recorder.tally.launched, load.recorder.tally.relaunched) == (1, 1)
        for connection in list(load.all):
            load.all.abort(connection, "timeout")
        await until(lambda: not load.all)


async def test_a_connection_without_an_answer_times_out():
    with worker() as load:
        connection = load.dial()
        await until(lambda: connection.transport is not None)
        load.all.expire(monotonic())
        assert connection.reason is None
        load.all.expire(monotonic() + TIMEOUT)
        await until(lambda: not load.all)
        assert load.recorder.tally.failed == {"timeout": 1}
        assert connection.state == FAILED


async def test_a_connection_that_is_dialed_during_a_drain_joins_it():
    with worker() as load:
        load.all.drain = Drain((), monotonic(), turn=0.02, within=10.0)
        connection = load.dial()
        assert load.all.drain.take(monotonic()) == [connection]
        load.all.abort(connection, "drained")
        await until(lambda: not load.all)


async def closing_after(load: Worker, size: int) -> tuple[Connection, FarSide]:
    """Returns a connection that closes, with bytes before the CLOSE, and its far end."""
    connection = load.dial()
    far = load.accept()
    await far.upgrade()
    await until(lambda: load.recorder.tally.opened == 1)
    assert connection.transport is not None
    connection.transport.write(bytes(size))
    connection.begin_close("done")
    return connection, far


async def test_a_close_has_its_time_again_while_the_server_takes_what_was_sent_before():
    with worker() as load:
        connection, far = await closing_after(load, 1 << 25)
        with far.sock:
            now = monotonic()
            waits = []
            for turn in range(1, 3):
                waits.append(connection.transport.waiting)
                for _ in range(4):
                    await asyncio.get_running_loop().sock_recv(far.sock, 1 << 20)
                await until(lambda: connection.transport.waiting < waits[-1])
                load.all.expire(now + turn * (TIMEOUT + 1))
                assert connection.reason == "done"
                assert connection in load.all.closing
            turn += 1
            while connection.transport.waiting:
                await asyncio.get_running_loop().sock_recv(far.sock, 1 << 20)
            load.all.expire(now + turn * (TIMEOUT + 1))  # now it has the CLOSE: time for an answer
            assert connection in load.all.closing
            load.all.expire(now + (turn + 1) * (TIMEOUT + 1))
            await until(lambda: load.recorder.tally.closed == {"unclean_close": 1})


async def test_a_close_has_its_time_twice_if_the_server_takes_nothing():
    with worker() as load:
        connection, far = await closing_after(load, 1 << 25)
        with far.sock:
            now = monotonic()
            load.all.expire(now + TIMEOUT + 1)
            assert connection in load.all.closing
            load.all.expire(now + 2 * TIMEOUT + 2)
            await until(lambda: load.recorder.tally.closed == {"unclean_close": 1})
            assert load.recorder.tally.drained_unanswered == 1


async def test_an_attempt_that_is_dialed_again_is_launched_once():
    with worker() as load:
        connection = load.dial()
        first = load.accept()
        load.all.use(load.dialer)
        connection.forget_transport()
        load.all.redial(connection, load.dialer, monotonic())
        second = load.accept()
        await second.upgrade()
        await until(lambda: load.recorder.tally.opened == 1)
        assert load.recorder.tally.redirects == 1
        assert load.recorder.tally.relaunched == 0
        assert load.recorder.tally.connect.total == 2
        connection.abort("drained")
        await until(lambda: load.recorder.tally.closed == {"drained": 1})
        first.sock.close()
        second.sock.close()


@pytest.mark.parametrize(("planned", "launched"), [(True, 0), (False, 1)])
def test_a_refused_connection_fails_and_a_further_one_was_launched_for_it(planned, launched):
    recorder = Recorder(seed=1)
    refuse(recorder, "bad_request", planned=planned)
    refuse(recorder, "bad_request", planned=True)

    tally = recorder.tally
    assert tally.failed == {"bad_request": 2}
    assert (tally.launched, tally.relaunched) == (launched, launched)
