"""Accepts the connections of a port, at a bounded pace."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from time import monotonic

from loadgen.http.ratelimit import Buckets, PortRates, TokenBucket
from loadgen.values import Endpoint

BACKLOG = 1024
"""Connections that may wait in the kernel's queue until they are accepted."""
MAX_BATCH = 32
"""Connections that are accepted before other events get their turn."""
MIN_PAUSE = 0.01
"""The least seconds of a pause, in which connections wait in the kernel's queue."""
FAILED_PAUSE = 0.25
"""Seconds of the pause after a connection could not be accepted, for want of descriptors mostly."""


async def listeners(listen: Endpoint) -> list[socket.socket]:
    """Returns listening sockets, one for each address of the host.

    Raises OSError when one of them can't be had.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    opened: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            opened.append(socket.create_server(address, family=family, backlog=BACKLOG))
            opened[-1].setblocking(False)
    except OSError:
        for listener in opened:
            listener.close()
        raise
    return opened


class Acceptor:
    """Accepts the connections that come to listening sockets, at most at `rates`.

    Those of one address beyond its rate are closed at once, before anything is made for them;
    beyond the rate of all together, connections wait in the kernel's queue. For addresses that are
    `exempt` only the second rate holds: clients on this machine share theirs.

    `accept` takes each socket with the peer's IP address, and closes it. `failed` is told of an
    error; none of them ends the accepting.

    Subtle: an event loop's own server goes away with the first error, such as a want of
    descriptors, or tries again without a pause.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        rates: PortRates,
        accept: Callable[[socket.socket, str], None],
        failed: Callable[[OSError], None],
        exempt: Callable[[str], bool] = lambda host: Endpoint(host, 0).loopback,
    ) -> None:
        self._sockets = sockets
        self._each = Buckets(rates.each)
        self._together = TokenBucket(rates.together)
        self._accept = accept
        self._failed = failed
        self._exempt = exempt
        self._loop = asyncio.get_running_loop()
        self._pausing: asyncio.TimerHandle | None = None
        self._resume()

    def close(self) -> None:
        """Closes the listening sockets; harmless when they are."""
        if self._pausing is not None:
            self._pausing.cancel()
        for listener in self._sockets:
            self._loop.remove_reader(listener)
            listener.close()
        self._sockets = ()

    def _resume(self) -> None:
        self._pausing = None
        for listener in self._sockets:
            self._loop.add_reader(listener, self._accept_from, listener)

    def _pause(self, seconds: float) -> None:
        for listener in self._sockets:
            self._loop.remove_reader(listener)
        self._pausing = self._loop.call_later(max(MIN_PAUSE, seconds), self._resume)

    def _accept_from(self, listener: socket.socket) -> None:
        now = monotonic()
        for _ in range(MAX_BATCH):
            wait = self._together.wait(now)
            if wait > 0.0:
                self._pause(wait)
                return
            try:
                connection, (host, *_) = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):  # nothing waits; or it is gone again
                return
            except OSError as error:
                self._failed(error)
                self._pause(FAILED_PAUSE)
                return
            if not self._exempt(host) and not self._each.take(host, now):
                connection.close()
                continue
            self._together.take(now)
            connection.setblocking(False)
            self._accept(connection, host)
