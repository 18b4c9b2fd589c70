"""A guarded HTTP port.

Strangers can neither fill it, nor hold its connections, nor keep it busy with requests.
"""

import asyncio
import json
import logging
import os
import resource
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from aiohttp import web
from aiohttp.http import HttpProcessingError

from loadgen.errors import OperatorError
from loadgen.http.ratelimit import TokenBucket
from loadgen.values import Endpoint

TLS_TIMEOUT = 5.0
"""Seconds that a TLS handshake may take."""
MAX_EVICT_INTERVAL = 1.0
"""The most seconds between two checks for idle connections."""
MAX_LINE_BYTES = 8190
"""The longest request line, and the longest header."""
MAX_HEADERS = 64

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
    """The limits of a port's use by strangers."""

    connections: int = 2000
    """Connections at once: a thousand agents, and the viewers. Never more than half of this
    process's descriptors."""
    idle_s: float = 30.0
    """Seconds that a connection may be open without a whole request, or without reading its
    answer."""
    body_s: float = 30.0
    """Seconds until a request's body has come and is answered."""
    requests: float = 400.0
    """GET and HEAD requests per second, of all clients together."""


DEFAULT_LIMITS = HttpLimits()


class HttpServer:
    """One listening port of an aiohttp application.

    When the port has as many connections as it may, a new connection replaces the longest idle.
    Agents, which send a request every second, keep theirs.
    """

    def __init__(self, app: web.Application, limits: HttpLimits = DEFAULT_LIMITS) -> None:
        app.middlewares.insert(0, self._handle)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=log,
            shutdown_timeout=1.0,
            keepalive_timeout=limits.idle_s,
            lingering_time=1.0,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            auto_decompress=False,  # a small body can't become a large one
        )
        self._limits = limits
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._max_connections = min(limits.connections, descriptors // 2)
        self._requests = TokenBucket(limits.requests)
        self._idle: dict[asyncio.BaseProtocol, float] = {}
        """The connections without a request, and when each became idle in seconds on the monotonic
        clock; the longest idle comes first."""
        self._busy: set[asyncio.BaseProtocol] = set()
        """The connections whose request is being handled."""
        self._server: asyncio.Server | None = None
        self._evicting: asyncio.Task[None] | None = None

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
            self._server = await self._listen_or(listen, tls, other)
        except OSError as error:
            await self.close()
            # A host that can't be resolved has a negative errno, which strerror doesn't know.
            code = error.errno or 0
            reason = os.strerror(code).lower() if code > 0 else str(error)
            raise OperatorError(
                f"{option} {listen} can't be had ({reason}); free the port or give another"
            ) from error
        self._evicting = asyncio.create_task(self._evict_idle())
        host, port = self._server.sockets[0].getsockname()[:2]
        return Endpoint(host, port)

    async def _listen_or(
        self, listen: Endpoint, tls: ssl.SSLContext | None, other: int | None
    ) -> asyncio.Server:
        try:
            return await self._listen(listen, tls)
        except OSError:
            if other is None:
                raise
            return await self._listen(Endpoint(listen.host, other), tls)

    async def _listen(self, listen: Endpoint, tls: ssl.SSLContext | None) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            self._accept,
            listen.host,
            listen.port,
            ssl=tls,
            ssl_handshake_timeout=TLS_TIMEOUT if tls else None,
            backlog=1024,
        )

    async def close(self) -> None:
        """Closes the port and its connections."""
        if self._evicting is not None:
            self._evicting.cancel()
            with suppress(asyncio.CancelledError):
                await self._evicting
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    def _accept(self) -> asyncio.BaseProtocol:
        """Returns the protocol of a new connection."""
        if len(self._idle) + len(self._busy) >= self._max_connections:
            if not self._idle:
                return _Refused()
            self._evict(next(iter(self._idle)))
        assert self._runner.server is not None
        connection = self._runner.server()
        self._idle[connection] = monotonic()
        return connection

    async def _evict_idle(self) -> None:
        """Aborts connections that are idle for too long, and forgets those that ended."""
        while True:
            await asyncio.sleep(min(MAX_EVICT_INTERVAL, self._limits.idle_s / 4))
            now = monotonic()
            for connection, since in list(self._idle.items()):
                # Subtle: a connection has no transport after its end, but also none before the end
                # of its TLS handshake.
                ended = _transport(connection) is None and now - since > TLS_TIMEOUT
                if ended or now - since > self._limits.idle_s:
                    self._evict(connection)

    def _evict(self, connection: asyncio.BaseProtocol) -> None:
        del self._idle[connection]
        transport = _transport(connection)
        if transport is not None:
            transport.abort()

    @web.middleware
    async def _handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handles a request within the limits; its connection is busy meanwhile."""
        connection = request.protocol
        within = self._limits.body_s
        self._idle.pop(connection, None)
        self._busy.add(connection)
        try:
            if request.method in ("GET", "HEAD") and not self._requests.take(monotonic()):
                return too_many("too many requests a second to this port; ask again in a second")
            async with asyncio.timeout(within if request.can_read_body else None):
                return await handler(request)
        except web.RequestPayloadError:
            return web.json_response({"error": "the body is not what its head says"}, status=400)
        except TimeoutError:
            return web.json_response(
                {"error": f"the request did not come within {within:g} s"}, status=408
            )
        finally:
            self._busy.discard(connection)
            if _transport(connection) is not None:
                self._idle[connection] = monotonic()


class _Refused(asyncio.Protocol):
    """A connection that is aborted as soon as it is made."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.abort()  # type: ignore[attr-defined]  # uvloop's transports have it


def _transport(connection: asyncio.BaseProtocol) -> asyncio.Transport | None:
    """Returns a connection's transport; None before it is made, and after its end."""
    return connection.transport  # type: ignore[attr-defined, no-any-return]  # aiohttp's have it


def too_many(text: str) -> web.Response:
    """Returns the refusal of a client that sends too many requests a second."""
    body = json.dumps({"error": text})
    return web.Response(
        status=429, text=body, content_type="application/json", headers={"Retry-After": "1"}
    )
