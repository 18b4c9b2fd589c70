"""The way into an HTTP port: strangers can neither fill it, nor hold a place in it, nor keep it
busy with questions."""

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

HANDSHAKE_TIMEOUT = 5.0
"""Seconds that TLS may take to come about."""
LOOK_EVERY = 1.0
"""Seconds between two looks at who is idle."""
MAX_LINE_LENGTH, MAX_HEADERS = 8190, 64
"""Bytes of a request's line, or of a header, and how many headers a request may have."""

log = logging.getLogger("loadgen.door")


def _ours(record: logging.LogRecord) -> bool:
    """Whether a fault that aiohttp would log is ours: strangers' broken requests must not fill
    anyone's screen."""
    fault = record.exc_info[1] if record.exc_info else None
    return not isinstance(fault, HttpProcessingError | web.RequestPayloadError | ConnectionError)


log.addFilter(_ours)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpLimits(NamedTuple):
    """How much of a port strangers may have."""

    connections: int = 2000
    """At once: a thousand agents, and those who look on. Never more than half of this process's
    descriptors."""
    idle_s: float = 30.0
    """How long a connection may be there without a whole request, or without taking the answer."""
    body_s: float = 30.0
    """How long a request's body may take to come, and to be answered."""
    questions: float = 400.0
    """Requests a second that only look on, by whomever."""


USUAL = HttpLimits()


class HttpServer:
    """One listening port of an aiohttp application.

    When all places are taken, who waits longest without asking for anything makes place for who
    comes: agents, which ask every second, keep theirs.
    """

    def __init__(self, app: web.Application, bounds: HttpLimits = USUAL) -> None:
        app.middlewares.insert(0, self._attend)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=log,
            shutdown_timeout=1.0,
            keepalive_timeout=bounds.idle_s,
            lingering_time=1.0,
            max_line_size=MAX_LINE_LENGTH,
            max_field_size=MAX_LINE_LENGTH,
            max_headers=MAX_HEADERS,
            auto_decompress=False,  # a small body stays small
        )
        self._bounds = bounds
        self._most = min(bounds.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._questions = TokenBucket(bounds.questions)
        self._idle: dict[asyncio.BaseProtocol, float] = {}
        """Since when connections have been without a request, the longest first."""
        self._busy: set[asyncio.BaseProtocol] = set()
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None

    async def open(
        self,
        option: str,
        listen: Endpoint,
        tls: ssl.SSLContext | None = None,
        other: int | None = None,
    ) -> Endpoint:
        """Listens, over TLS with a context; returns where. The `other` port is for when this one
        can't be had.

        Raises OperatorError when there is none, or it can't be had either.
        """
        await self._runner.setup()
        try:
            try:
                self._server = await self._listen(listen, tls)
            except OSError:
                if other is None:
                    raise
                self._server = await self._listen(Endpoint(listen.host, other), tls)
        except OSError as error:
            await self.close()
            why = (
                os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
            )
            raise OperatorError(
                f"{option} {listen} can't be had ({why}); free the port or give another"
            ) from error
        self._watch = asyncio.create_task(self._show_out())
        host, port = self._server.sockets[0].getsockname()[:2]
        return Endpoint(host, port)

    async def _listen(self, listen: Endpoint, tls: ssl.SSLContext | None) -> asyncio.Server:
        within = HANDSHAKE_TIMEOUT if tls else None
        return await asyncio.get_running_loop().create_server(
            self._admit,
            listen.host,
            listen.port,
            ssl=tls,
            ssl_handshake_timeout=within,
            backlog=1024,
        )

    async def close(self) -> None:
        """Closes the port and its connections."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    def _admit(self) -> asyncio.BaseProtocol:
        """The protocol of a connection that was just made."""
        if len(self._idle) + len(self._busy) >= self._most:
            if not self._idle:
                return _Full()
            self._evict(next(iter(self._idle)))
        assert self._runner.server is not None
        guest = self._runner.server()
        self._idle[guest] = monotonic()
        return guest

    async def _show_out(self) -> None:
        """Ends what has been idle for too long, and forgets what has ended by itself."""
        while True:
            await asyncio.sleep(min(LOOK_EVERY, self._bounds.idle_s / 4))
            now = monotonic()
            for guest, since in list(self._idle.items()):
                gone = _transport(guest) is None and now - since > HANDSHAKE_TIMEOUT
                if gone or now - since > self._bounds.idle_s:
                    self._evict(guest)

    def _evict(self, guest: asyncio.BaseProtocol) -> None:
        del self._idle[guest]
        transport = _transport(guest)
        if transport is not None:
            transport.abort()

    @web.middleware
    async def _attend(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        guest, within = request.protocol, self._bounds.body_s
        self._idle.pop(guest, None)
        self._busy.add(guest)
        try:
            if request.method in ("GET", "HEAD") and not self._questions.take(monotonic()):
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
            self._busy.discard(guest)
            if _transport(guest) is not None:
                self._idle[guest] = monotonic()


class _Full(asyncio.Protocol):
    """What becomes of a connection for which there is no place: nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.abort()  # type: ignore[attr-defined]  # uvloop's has it, whatever its base class


def _transport(guest: asyncio.BaseProtocol) -> asyncio.Transport | None:
    """A connection's transport; None before it is made, and once it is gone."""
    return guest.transport  # type: ignore[attr-defined, no-any-return]  # of aiohttp's protocols alone


def too_many(text: str) -> web.Response:
    """The answer to who asks too often."""
    body = json.dumps({"error": text})
    return web.Response(
        status=429, text=body, content_type="application/json", headers={"Retry-After": "1"}
    )
