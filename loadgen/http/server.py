"""A guarded HTTP port.

Strangers can neither fill it, nor hold its connections, nor keep it busy with requests, nor use up
what clients that prove who they are may do.
"""

import asyncio
import json
import logging
import os
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from aiohttp import web
from aiohttp.http import HttpProcessingError

from loadgen.errors import OperatorError
from loadgen.http.acceptor import Acceptor, listeners
from loadgen.http.ratelimit import Allowance, PortRates, network_of
from loadgen.values import Endpoint

TLS_TIMEOUT = 5.0
"""Seconds that a TLS handshake may take."""
MAX_EVICT_INTERVAL = 1.0
"""The most seconds between two checks for idle connections."""
MAX_LINE_BYTES = 8190
"""The longest request line, and the longest header."""
MAX_HEADERS = 64
LINGER = 1.0
"""Seconds that a connection stays open after the refusal of a body, so that the refusal arrives."""
OPEN_FILES = Path("/proc/self/fd")

log = logging.getLogger("loadgen.http")


def _is_ours(record: logging.LogRecord) -> bool:
    """True when an error that aiohttp would log is our own.

    Broken requests of strangers must not fill an operator's screen.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


log.addFilter(_is_ours)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpLimits(NamedTuple):
    """The limits of a port's use."""

    connections: int = 2000
    """Connections at once: a thousand agents, and the viewers. Never more than half of this
    process's descriptors, so that the others are left for its files."""
    handshakes: int = 500
    """TLS handshakes at once, as a part of the connections; never more than a quarter of them."""
    idle_s: float = 30.0
    """Seconds that a connection may be open without a whole request, or without reading its
    answer."""
    body_s: float = 30.0
    """Seconds until a request's body has come and is answered."""
    accepts: PortRates = PortRates(each=200.0, together=500.0)
    """New connections per second; see Acceptor."""
    requests: Mapping[str, PortRates] = {"": PortRates(each=200.0, together=400.0)}
    """Requests per second, by the allowance that they use."""


DEFAULT_LIMITS = HttpLimits()


class Sender(NamedTuple):
    """The sender of a request, as far as the port knows."""

    allowance: str | None = ""
    """The name of the allowance that the request uses; None: it uses none."""
    known: bool = False
    """True when the request proves who sends it. Connections of strangers are ended before those of
    known senders, and as soon as they send what is refused."""


STRANGER = Sender()
KNOWN = web.RequestKey("known", bool)
"""In a request: True when it proves who sends it."""


class HttpServer:
    """One listening port of an aiohttp application.

    When the port has as many connections as it may, a new connection replaces the longest idle, of
    strangers first. `sender_of` tells the sender of a request by its head, and never raises.
    """

    def __init__(
        self,
        app: web.Application,
        limits: HttpLimits = DEFAULT_LIMITS,
        sender_of: Callable[[web.Request], Sender] = lambda _: STRANGER,
    ) -> None:
        app.middlewares.insert(0, self._handle)
        # A request whose sender goes away is cancelled: nothing is worked out for it in vain.
        self._runner = web.AppRunner(app, shutdown_timeout=1.0, handler_cancellation=True)
        self._limits = limits
        self._sender_of = sender_of
        self._allowances = {name: Allowance(rates) for name, rates in limits.requests.items()}
        self._max_connections = limits.connections
        self._opening: dict[_Connection, asyncio.Task[None]] = {}
        """The connections before the end of their TLS handshake, each with the task that waits for
        it; the oldest comes first."""
        self._strangers: dict[asyncio.BaseProtocol, float] = {}
        """The connections without a request, and when each became idle in seconds on the monotonic
        clock; the longest idle comes first. These never had the request of a known sender."""
        self._known: dict[asyncio.BaseProtocol, float] = {}
        """The others, in the same way: the last request of each was a known sender's."""
        self._busy: set[asyncio.BaseProtocol] = set()
        """The connections whose request is being handled."""
        self._tls: ssl.SSLContext | None = None
        self._acceptor: Acceptor | None = None
        self._evicting: asyncio.Task[None] | None = None
        self._complained = False
        """True once the operator was told that connections can't be accepted."""

    async def open(
        self,
        option: str,
        listen: Endpoint,
        tls: ssl.SSLContext | None = None,
        other: int | None = None,
    ) -> Endpoint:
        """Listens, over TLS with a context; returns the address that it listens on.

        When it can't listen there, it takes the `other` port of the same host. Raises
        OperatorError, which names the `option`, when it can listen on neither.
        """
        await self._runner.setup()
        try:
            sockets = await self._listen_or(listen, other)
        except OSError as error:
            await self.close()
            # A host that can't be resolved has a negative errno, which strerror doesn't know.
            code = error.errno or 0
            reason = os.strerror(code).lower() if code > 0 else str(error)
            raise OperatorError(
                f"{option} {listen} can't be had ({reason}); free the port or give another"
            ) from error
        self._max_connections = max(1, min(self._limits.connections, _free_descriptors() // 2))
        self._tls = tls
        self._acceptor = Acceptor(sockets, self._limits.accepts, self._accept, self._not_accepted)
        self._evicting = asyncio.create_task(self._evict_idle())
        host, port = sockets[0].getsockname()[:2]
        return Endpoint(host, port)

    @staticmethod
    async def _listen_or(listen: Endpoint, other: int | None) -> list[socket.socket]:
        try:
            return await listeners(listen)
        except OSError:
            if other is None:
                raise
            return await listeners(Endpoint(listen.host, other))

    async def close(self) -> None:
        """Closes the port and its connections."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        waiting = [*self._opening.values(), *([self._evicting] if self._evicting else [])]
        for task in waiting:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._runner.cleanup()

    # Connections.

    def _accept(self, sock: socket.socket, host: str) -> None:
        """Opens a new connection, or closes it when there is no place for it."""
        network = network_of(host)
        if not self._make_room(network):
            sock.close()
            return
        assert self._runner.server is not None
        connection = _Connection(self, self._runner.server, network, self._limits.idle_s)
        self._opening[connection] = asyncio.create_task(self._open(connection, sock))

    async def _open(self, connection: "_Connection", sock: socket.socket) -> None:
        try:
            async with asyncio.timeout(TLS_TIMEOUT):
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: connection, sock, ssl=self._tls
                )
        except (OSError, TimeoutError):  # the client is gone, or speaks no TLS
            pass
        finally:
            self._opening.pop(connection, None)

    def _make_room(self, network: str) -> bool:
        """Makes room for a connection; returns False when there is none.

        Another connection may have to end for it.
        """
        if self._tls and len(self._opening) >= min(
            self._limits.handshakes, max(1, self._max_connections // 4)
        ):
            own = (connection for connection in self._opening if connection.network == network)
            self._opening.pop(next(own, next(iter(self._opening)))).cancel()
        taken = len(self._opening) + len(self._strangers) + len(self._known) + len(self._busy)
        return taken < self._max_connections or self._end_longest_idle()

    def _end_longest_idle(self, *, known: bool = True) -> bool:
        """Ends the connection that can best be spared; False where none can.

        Those of known senders can't be spared unless `known`.
        """
        for idle in (self._strangers, self._known) if known else (self._strangers,):
            if idle:
                _abort(next(iter(idle)))
                del idle[next(iter(idle))]
                return True
        return False

    def _not_accepted(self, error: OSError) -> None:
        """Gets a descriptor back when there is none for another connection."""
        if not self._complained:
            self._complained = True
            log.warning(
                "new connections wait, since none can be accepted (%s); see ulimit -n",
                error.strerror,
            )
        if not self._end_longest_idle(known=False) and self._opening:
            self._opening.pop(next(iter(self._opening))).cancel()

    def began(self, connection: "_Connection") -> None:
        """Takes note of a connection; its TLS handshake is over."""
        connection.opening = self._opening.pop(connection, None)
        self._strangers[connection] = monotonic()

    def ended(self, connection: asyncio.BaseProtocol) -> None:
        """Takes note that a connection has ended."""
        self._strangers.pop(connection, None)
        self._known.pop(connection, None)
        self._busy.discard(connection)

    async def _evict_idle(self) -> None:
        """Aborts the connections that are idle for too long."""
        while True:
            await asyncio.sleep(min(MAX_EVICT_INTERVAL, self._limits.idle_s / 4))
            before = monotonic() - self._limits.idle_s
            for idle in (self._strangers, self._known):
                for connection in [one for one, since in idle.items() if since < before]:
                    _abort(connection)
                    del idle[connection]

    # Requests.

    @web.middleware
    async def _handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handles a request within the limits; its connection is busy meanwhile."""
        connection = request.protocol
        sender = self._sender_of(request)
        request[KNOWN] = sender.known
        self._strangers.pop(connection, None)
        self._known.pop(connection, None)
        self._busy.add(connection)
        try:
            response = await self._answer(request, handler, sender)
        finally:
            self._busy.discard(connection)
            if connection.transport is not None:
                (self._known if sender.known else self._strangers)[connection] = monotonic()
        refused = response.status >= 400 and request.method not in ("GET", "HEAD")
        if not sender.known and (refused or response.status == 429):
            response.force_close()
            if isinstance(connection, _Connection):
                connection.stop_reading()
        return response

    async def _answer(
        self, request: web.Request, handler: Handler, sender: Sender
    ) -> web.StreamResponse:
        within = self._limits.body_s
        if sender.allowance is not None and not self._allowances[sender.allowance].take(
            request.remote or "", monotonic()
        ):
            return too_many("too many requests a second to this port; ask again in a second")
        try:
            async with asyncio.timeout(within if request.can_read_body else None):
                return await handler(request)
        except web.RequestPayloadError:
            return web.json_response({"error": "the body is not what its head says"}, status=400)
        except TimeoutError:
            return web.json_response(
                {"error": f"the request did not come within {within:g} s"}, status=408
            )


class _Connection(web.RequestHandler):
    """A connection of a port, which it tells of its begin and its end."""

    __slots__ = ("_port", "_reads", "network", "opening")

    def __init__(self, port: HttpServer, manager: web.Server, network: str, idle_s: float) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # None is allowed
            logger=log,
            keepalive_timeout=idle_s,
            lingering_time=LINGER,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            auto_decompress=False,  # a small body can't become a large one
        )
        self.network = network
        """The peer's network."""
        self.opening: asyncio.Task[None] | None = None
        """The task that opened it, which may not have ended yet."""
        self._port = port
        self._reads = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._port.began(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._port.ended(self)

    def stop_reading(self) -> None:
        """Leaves what is still to come unread: the next answer ends the connection."""
        self._reads = False
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reads:
            super().resume_reading(resume_parser)


def _free_descriptors() -> int:
    """Returns how many files and connections this process may still open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit - len(list(OPEN_FILES.iterdir()))


def _abort(connection: asyncio.BaseProtocol) -> None:
    transport: asyncio.Transport | None = connection.transport  # type: ignore[attr-defined]  # aiohttp's have it
    if transport is not None:
        transport.abort()


def too_many(text: str) -> web.Response:
    """Returns the refusal of a client that sends too many requests a second."""
    body = json.dumps({"error": text})
    return web.Response(
        status=429, text=body, content_type="application/json", headers={"Retry-After": "1"}
    )
