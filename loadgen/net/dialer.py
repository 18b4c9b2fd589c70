"""Opens sockets to a target, from source ports that loadgen chooses.

`bind` gets explicit ports, counted up: the kernel's own choice costs 150 times more past half its
range. A second `connect` on the same socket returns how the first went: on loopback it has
succeeded by then, and no poll is needed.
"""

import asyncio
import errno
import os
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any

from loadgen.net.connection import Connection
from loadgen.net.ports import SourcePorts
from loadgen.net.refusal import explain
from loadgen.net.secured import Memories, SecureTransport
from loadgen.net.states import CLOSED
from loadgen.net.tls import Contexts, ended_in_handshake, tls_failure
from loadgen.net.transport import ByteTransport, Receiver, Transports
from loadgen.net.tunnel import Tunnel, TunnelError
from loadgen.stats.reasons import NO_FD, NO_LOCAL_PORT, REFUSED, RESET, TIMEOUT, UNREACHABLE
from loadgen.stats.recorder import Recorder, microseconds

MAX_RETRIES = 128
"""Ports that another process held before and that one connection tries again; after that many it
fails as `no_local_port`."""
_TAKEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
_UNDER_WAY = (errno.EINPROGRESS, errno.EALREADY)
_REASONS = {
    errno.ECONNREFUSED: REFUSED,
    errno.ETIMEDOUT: TIMEOUT,
    errno.ECONNRESET: RESET,
    errno.EPIPE: RESET,
    errno.ECONNABORTED: RESET,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.EHOSTDOWN: UNREACHABLE,
    errno.EADDRINUSE: NO_LOCAL_PORT,
    errno.EADDRNOTAVAIL: NO_LOCAL_PORT,
    errno.EMFILE: NO_FD,
    errno.ENFILE: NO_FD,
}


def reason_of(code: int) -> str:
    """Returns the ledger's reason for an errno; an unforeseen one keeps its name."""
    return _REASONS.get(code) or errno.errorcode.get(code, f"errno_{code}").lower()


Failed = Callable[[str, Connection, str], None]
"""Takes a connection whose dial to a place came to nothing, with the reason."""


def end(place: str, connection: Connection, reason: str) -> None:
    """Ends a connection whose dial to a place came to nothing.

    The first one of its reason on this worker becomes the sample.
    """
    connection.recorder.sample(reason, connection.owner.number, f"{place}: {reason}")
    connection.end(reason)


def buffer_options(buffers: tuple[int, int]) -> list[tuple[int, int]]:
    """Returns the options for a receive and a send buffer; 0: the kernel's own."""
    sizes = zip((socket.SO_RCVBUF, socket.SO_SNDBUF), buffers, strict=True)
    return [(option, size) for option, size in sizes if size]


def receiver_of(connection: Connection) -> Any:
    """Returns the protocol between a connection and its transport, or the connection."""
    wrap = connection.terms.wrap
    return connection if wrap is None else wrap(connection)


class Dialer:
    """Connects to one address from the worker's own ports.

    Times are seconds on the monotonic clock.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        target: tuple[str, int],
        ports: SourcePorts,
        recorder: Recorder,
        tls: Contexts | None = None,
        host: str | None = None,
        buffers: tuple[int, int] = (0, 0),
        tunnel: Tunnel | None = None,
        preamble: Callable[[int], bytes] | None = None,
        failed: Failed = end,
    ) -> None:
        """`target` is a proxy where there is a `tunnel` to go through it.

        `preamble` gives the first bytes of the connection of a user's number. `failed` takes
        connections that get no TCP connection to the target.
        """
        self.place = f"{target[0]}, port {target[1]}"
        """The address and the port, for people."""
        self._loop = loop
        self._target = target
        self._family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self._ports = ports
        self._failed = failed
        self._tls = tls
        self._host = host if tls else None
        self._buffers = buffer_options(buffers)
        self._transports = Transports(loop, self._family, ports.give_back, recorder)
        self._memories = Memories.empty()
        self._securing: dict[Connection, SecureTransport] = {}
        """TLS handshakes under way."""
        self._asking: dict[Connection, asyncio.Task[str]] = {}
        """Talks with the proxy under way."""
        self._tunnel = tunnel
        self._preamble = preamble
        self._pending: dict[int, tuple[socket.socket, Connection]] = {}
        """Connects under way, by descriptor."""
        self._poll = select.epoll()
        loop.add_reader(self._poll.fileno(), self._attach_ready)

    def dial(self, connection: Connection, now: float) -> None:
        """Sends the SYN; a failure to do so is reported in the loop's next turn."""
        connection.dialed_at = now
        try:
            dialed = self._dial(connection)
        except OSError as error:
            self._loop.call_soon(self._fail, connection, reason_of(error.errno or 0))
        else:
            if not dialed:
                self._loop.call_soon(self._fail, connection, NO_LOCAL_PORT)

    def _fail(self, connection: Connection, reason: str) -> None:
        if connection.state < CLOSED:  # else it was aborted since
            self._failed(self.place, connection, reason)

    @property
    def idle(self) -> bool:
        """True while no connection has a pair towards this address."""
        return not self._ports.in_use

    def cancel(self, connection: Connection) -> None:
        """Cancels an attempt that is under way; harmless for any other connection."""
        if connection in self._asking:
            self._asking[connection].cancel()
        if connection in self._securing:
            self._securing.pop(connection).abort()
        self.give_up(connection)

    def give_up(self, connection: Connection) -> None:
        """Ends a connect that is under way, if the connection has one."""
        for fd, (sock, waiting) in self._pending.items():
            if waiting is connection:
                self._forget(fd)
                self._drop(sock)
                return

    @property
    def connecting(self) -> Iterator[Connection]:
        """The connections whose SYN has no answer yet, oldest first."""
        return (connection for _, connection in self._pending.values())

    def close(self) -> None:
        """Closes every socket, also of attempts under way; no connection is called."""
        self._transports.close()
        self._loop.remove_reader(self._poll.fileno())
        self._poll.close()
        for sock, _ in self._pending.values():
            sock.close()
        self._pending.clear()

    def _dial(self, connection: Connection) -> bool:
        """Tries pairs of address and port in turn; returns False when none is left."""
        for _ in range(self._ports.offers(MAX_RETRIES)):
            pair = self._ports.take()
            assert pair is not None
            sock = self._bound(pair)
            if sock is not None and self._connect(sock, connection, pair):
                return True
            self._ports.skip(pair)
            connection.recorder.tally.ports_skipped += 1
        return False

    def _bound(self, pair: tuple[str, int]) -> socket.socket | None:
        """Returns a socket bound to the pair; None when another process holds the pair."""
        try:
            sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            self._ports.give_back(pair)
            raise
        # Ports that an earlier run left in TIME_WAIT can be bound.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option, size in self._buffers:
            sock.setsockopt(socket.SOL_SOCKET, option, size)
        try:
            sock.bind(pair)
        except OSError as error:
            sock.close()
            if error.errno in _TAKEN:
                return None
            self._ports.give_back(pair)
            raise
        return sock

    def _connect(self, sock: socket.socket, connection: Connection, pair: tuple[str, int]) -> bool:
        """Starts to connect; returns False when the kernel has both ends in use."""
        code = sock.connect_ex(self._target)
        if code in _UNDER_WAY:
            code = sock.connect_ex(self._target)
        if code in _UNDER_WAY:
            self._pending[sock.fileno()] = sock, connection
            self._poll.register(sock.fileno(), select.EPOLLOUT)
        elif code == 0:
            self._attach(sock, connection)
        else:
            sock.close()
            if code in _TAKEN:
                return False
            self._ports.give_back(pair)
            raise OSError(code, os.strerror(code))
        return True

    def _attach_ready(self) -> None:
        for fd, _ in self._poll.poll(0):
            sock, connection = self._forget(fd)
            code = sock.connect_ex(self._target)
            if code in (0, errno.EISCONN):
                self._attach(sock, connection)
            else:
                self._drop(sock)
                self._fail(connection, reason_of(code))

    def _forget(self, fd: int) -> tuple[socket.socket, Connection]:
        self._poll.unregister(fd)
        return self._pending.pop(fd)

    def _drop(self, sock: socket.socket) -> None:
        name = sock.getsockname()
        sock.close()
        self._ports.give_back((name[0], name[1]))

    def _attach(self, sock: socket.socket, connection: Connection) -> None:
        if self._tunnel is not None:
            asking = self._loop.create_task(self._ask(sock, connection, self._tunnel))
            self._asking[connection] = asking
            asking.add_done_callback(partial(self._asked, sock, connection))
        else:
            self._start(sock, connection)

    async def _ask(self, sock: socket.socket, connection: Connection, tunnel: Tunnel) -> str:
        """Asks the proxy for the target; its time counts into the `connect` time.

        Returns the reason for which there is no way to it, or "".
        """
        try:
            await tunnel.open(sock)
        except TunnelError as error:
            if connection.recorder.claim(error.reason):
                reply = await tunnel.with_body(sock, error.reply)
                connection.recorder.samples[error.reason] = explain(reply, connection.owner.number)
            return error.reason
        except OSError as error:
            return reason_of(error.errno or errno.ECONNRESET)
        return ""

    def _asked(
        self, sock: socket.socket, connection: Connection, asking: asyncio.Task[str]
    ) -> None:
        del self._asking[connection]
        reason = "" if asking.cancelled() else asking.result()
        if asking.cancelled() or reason:
            self._drop(sock)
        if reason:
            connection.end(reason)
        elif not asking.cancelled():
            self._start(sock, connection)

    def _start(self, sock: socket.socket, connection: Connection) -> None:
        """Gives a connection its transport: the bytes are the target's from now on."""
        if self._preamble is not None:
            try:
                # A new connection has room for the few bytes.
                sock.send(self._preamble(connection.owner.number))
            except OSError as error:
                self._drop(sock)
                self._loop.call_soon(connection.end, reason_of(error.errno or errno.EPIPE))
                return
        if self._tls is not None:
            self._begin_tls(sock, connection, self._tls)
        else:
            self._connected(connection)
            self._transports.of(connection.recorder).open(sock, receiver_of(connection))

    def _begin_tls(self, sock: socket.socket, connection: Connection, contexts: Contexts) -> None:
        """Begins the TLS handshake; its time counts into the `connect` time."""
        number = connection.owner.number
        assert connection.dialed_at is not None
        connection.recorder.tally.tcp.record(microseconds(monotonic() - connection.dialed_at))
        try:
            context = contexts.of_user(number)
        except ssl.SSLError as error:  # the coordinator's OpenSSL took the certificate
            self._drop(sock)
            reason = tls_failure(error, connection.recorder, number)
            self._loop.call_soon(connection.end, reason)
            return
        transports = self._transports.of(connection.recorder)
        secure = SecureTransport(
            transports,
            sock.fileno(),
            Securing(partial(self._lost, connection)),
            context.wrap_bio(
                *self._memories[:2], server_hostname=self._host, session=context.session
            ),
            self._memories,
            partial(self._secured, connection, monotonic()),
            contexts if contexts.resumes else None,
        )
        self._securing[connection] = secure
        transports.add(sock, secure)
        secure.begin()

    def _connected(self, connection: Connection) -> None:
        assert connection.dialed_at is not None
        connection.recorder.tally.connect.record(microseconds(monotonic() - connection.dialed_at))

    def _secured(self, connection: Connection, began: float, tls: ssl.SSLObject) -> Receiver:
        """Counts a TLS handshake that began at a time, and is over; returns the receiver."""
        del self._securing[connection]
        self._connected(connection)
        tally = connection.recorder.tally
        tally.tls.record(microseconds(monotonic() - began))
        tally.tls_handshakes += 1
        tally.tls_resumed += bool(tls.session_reused)
        return receiver_of(connection)  # type: ignore[no-any-return]  # a wrap makes receivers

    def _lost(self, connection: Connection, error: Exception | None) -> None:
        """Ends a connection whose TLS handshake came to nothing, unless it was cancelled."""
        if self._securing.pop(connection, None) is None:
            return
        number = connection.owner.number
        if isinstance(error, ssl.SSLError):
            reason = tls_failure(error, connection.recorder, number, dialing=True)
        else:
            code = error.errno if isinstance(error, OSError) else None
            reason = reason_of(code or errno.ECONNRESET)
            reason = ended_in_handshake(reason, connection.recorder, number)
        connection.end(reason)


class Securing:
    """The receiver of a transport whose TLS handshake is under way."""

    __slots__ = ("connection_lost",)

    def __init__(self, lost: Callable[[Exception | None], None]) -> None:
        """`lost` takes the error that ended the handshake, if one did."""
        self.connection_lost = lost

    def connection_made(self, transport: ByteTransport) -> None:
        """Does nothing: the connection begins after the handshake."""

    def data_received(self, data: bytes) -> None:
        """Does nothing: there are no bytes before the end of the handshake."""

    def resume_writing(self) -> None:
        """Does nothing: nobody writes yet."""
