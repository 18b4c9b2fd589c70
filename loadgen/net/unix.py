"""Connects to a Unix socket, which takes no address and no port of this machine.

See unix(7).
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

from loadgen.net.connection import Connection
from loadgen.net.dialer import buffer_options, end, reason_of, receiver_of
from loadgen.net.states import CLOSED
from loadgen.net.transport import Transports
from loadgen.stats.recorder import Recorder, microseconds

RETRY = 0.01
"""Seconds between two looks at a full listen queue: the kernel tells of no room in it."""


class UnixDialer:
    """Connects to the Unix socket at one path.

    Times are seconds on the monotonic clock.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: str,
        recorder: Recorder,
        buffers: tuple[int, int] = (0, 0),
        preamble: Callable[[int], bytes] | None = None,
    ) -> None:
        """`preamble` gives the first bytes of the connection of a user's number."""
        self._loop = loop
        self._path = path
        self._preamble = preamble
        self._buffers = buffer_options(buffers)
        self._transports = Transports(loop, socket.AF_UNIX, _forget_end, recorder)
        self._waiting: dict[Connection, socket.socket] = {}
        """Connects that wait for room in the listen queue, oldest first."""
        self._timer: asyncio.TimerHandle | None = None
        """The next look at the queue; None while nothing waits."""

    def dial(self, connection: Connection, now: float) -> None:
        """Connects at once, or waits for room; a failure is reported in the next turn."""
        connection.dialed_at = now
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._loop.call_soon(self._fail, connection, error.errno or 0)
            return
        for option, size in self._buffers:
            sock.setsockopt(socket.SOL_SOCKET, option, size)
        self._waiting[connection] = sock
        if len(self._waiting) > 1:  # those before it have the next room
            return
        code = self._try(connection, sock)
        if code:
            self._loop.call_soon(self._fail, connection, code)

    def cancel(self, connection: Connection) -> None:
        """Cancels an attempt that waits; harmless for any other connection."""
        sock = self._waiting.pop(connection, None)
        if sock is not None:
            sock.close()

    def close(self) -> None:
        """Closes every socket, also of attempts that wait; no connection is called."""
        self._transports.close()
        if self._timer is not None:
            self._timer.cancel()
        for sock in self._waiting.values():
            sock.close()
        self._waiting.clear()

    def _try(self, connection: Connection, sock: socket.socket) -> int:
        """Connects; returns the errno of a failure, and 0 also while it has to wait."""
        code = sock.connect_ex(self._path)
        if code == errno.EAGAIN:
            if self._timer is None:
                self._timer = self._loop.call_later(RETRY, self._try_again)
            return 0
        del self._waiting[connection]
        if code:
            sock.close()
            return code
        assert connection.dialed_at is not None
        connection.recorder.tally.connect.record(microseconds(monotonic() - connection.dialed_at))
        if self._preamble is not None:
            try:
                # A new connection has room for the few bytes.
                sock.send(self._preamble(connection.owner.number))
            except OSError as error:
                sock.close()
                return error.errno or errno.EPIPE
        self._transports.of(connection.recorder).open(sock, receiver_of(connection))
        return 0

    def _try_again(self) -> None:
        """Connects those that wait, until the listen queue is full again."""
        self._timer = None
        for connection, sock in list(self._waiting.items()):
            if connection in self._waiting:  # the end of another one may have ended it
                code = self._try(connection, sock)
                if code:
                    self._fail(connection, code)
            if self._timer is not None:
                return

    def _fail(self, connection: Connection, code: int) -> None:
        if connection.state < CLOSED:  # else it was aborted since
            end(f"Unix socket {self._path}", connection, reason_of(code))


def _forget_end(_: Any) -> None:
    """Does nothing: the end of a Unix socket's connection has no name."""
