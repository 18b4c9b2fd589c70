"""The connections of one worker between their dial and their end.

Every transition of a connection is counted here: dialed, opened, failed or closed. Times are
seconds on the monotonic clock.
"""

from collections.abc import Iterator, Sequence
from time import monotonic

from loadgen.net.connection import Connection
from loadgen.net.dialers import Dialers
from loadgen.net.drain import Drain
from loadgen.net.route import AnyDialer
from loadgen.net.states import FAILED
from loadgen.stats.peak import PeakMeter
from loadgen.stats.reasons import TIMEOUT
from loadgen.stats.recorder import Recorder, microseconds
from loadgen.timers import Deadlines

CONNECT_TIMEOUT = 30.0
"""Seconds that a connection has from its dial to a valid 101, where the plan does not say."""
MIN_TAKEN = 65_536
"""Bytes that a server has to take in the time of a close, of those that were sent before it; then
the time begins anew."""


class Connections:
    """The connections of a worker between their dial and their end, oldest first."""

    def __init__(
        self,
        dialers: Sequence[AnyDialer],
        closing: Deadlines[Connection],
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self.connecting: Deadlines[Connection] = Deadlines(connect_timeout)
        """The connections that wait for their 101."""
        self.closing = closing
        """The connections that wait for the server to end them, within a bound."""
        self.drain: Drain[Connection] | None = None
        """The order in which they are closed, once all are to be."""
        self._dialers: list[AnyDialer] = []
        self._with_addresses: list[Dialers] = []
        """Those of them that keep which addresses a connection has not tried."""
        for dialer in dialers:
            self.use(dialer)
        self._all: dict[Connection, None] = {}
        self.peak = PeakMeter()
        """The most connections that were open at once."""
        self._left: dict[Connection, int] = {}
        """Bytes that waited for the kernel when the time of a closing connection was over."""

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._all)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._all

    def dial(self, connection: Connection, dialer: AnyDialer, now: float, *, planned: bool) -> None:
        """Sends the SYN; a connection that is not `planned` counts as launched again."""
        if not planned:
            _launch_again(connection.recorder)
        if self.drain is not None:
            self.drain.put_off(connection)
        self._all[connection] = None
        self.connecting.add(connection, now)
        dialer.dial(connection, now)

    def use(self, dialer: AnyDialer) -> None:
        """Adds a dialer, if it is not among the others."""
        if dialer not in self._dialers:
            self._dialers.append(dialer)
            if isinstance(dialer, Dialers):
                self._with_addresses.append(dialer)

    def redial(self, connection: Connection, dialer: AnyDialer, now: float) -> None:
        """Dials an attempt again, to where a redirect leads; its deadline stays."""
        for old in self._with_addresses:
            old.forget(connection)
        connection.recorder.tally.redirects += 1
        dialer.dial(connection, now)

    def opened(self, connection: Connection, due: float, now: float) -> None:
        """Counts a valid 101, and times it from when it was due and from its dial."""
        self.connecting.remove(connection)
        assert connection.dialed_at is not None
        tally = connection.recorder.tally
        tally.opened += 1
        self.peak.opened(now)
        tally.handshake.record(microseconds(now - connection.dialed_at))
        tally.open.record(microseconds(now - due))
        connection.dialed_at = None

    def ended(self, connection: Connection, reason: str) -> None:
        """Counts the end: a failure of a connection that never opened, else a close."""
        self.connecting.remove(connection)
        self._all.pop(connection, None)
        self._left.pop(connection, None)
        for dialer in self._with_addresses:
            dialer.forget(connection)
        tally = connection.recorder.tally
        if connection.state == FAILED:
            ends = tally.failed
        else:
            ends = tally.closed
            if self.peak.holds:
                self.peak.until = monotonic()
            self.peak.open -= 1
        ends[reason] = ends.get(reason, 0) + 1

    def abort(self, connection: Connection, reason: str) -> None:
        """Ends a connection at once, in whichever state it is.

        The plan or the operator wants it: nothing is missing of what the server still owes.
        """
        if connection.transport is None:
            for dialer in self._dialers:
                dialer.cancel(connection)
            connection.end(reason)
        else:
            connection.cut(reason)

    def expire(self, now: float) -> None:
        """Aborts the connections whose time is over.

        A closing one that takes what was sent before the CLOSE gets the same time again.
        """
        for connection in self.connecting.expired(now):
            self.abort(connection, TIMEOUT)
        for connection in self.closing.expired(now):
            if self._takes_more(connection):
                self.closing.add(connection, now)
            else:
                connection.abort()

    def _takes_more(self, connection: Connection) -> bool:
        """Returns True for a closing connection that gets its time again.

        Its server takes MIN_TAKEN bytes in that time. Of the first time nothing is known: there is
        a second one if bytes wait.
        """
        left = connection.transport.waiting if connection.transport is not None else 0
        before = self._left.pop(connection, None)
        if before is None:
            again = left > 0
        elif left:
            again = before - left >= MIN_TAKEN
        else:
            again = before > 0
        if again:
            self._left[connection] = left
        return again

    @property
    def next_deadline(self) -> float:
        """The earliest deadline, for a 101 or for an end; inf without one."""
        return min(self.connecting.next, self.closing.next)


def refuse(recorder: Recorder, reason: str, *, planned: bool) -> None:
    """Counts a connection that is launched and fails at once: it is not even dialed."""
    if not planned:
        _launch_again(recorder)
    failed = recorder.tally.failed
    failed[reason] = failed.get(reason, 0) + 1


def _launch_again(recorder: Recorder) -> None:
    recorder.tally.launched += 1
    recorder.tally.relaunched += 1
