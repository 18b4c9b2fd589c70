"""The HTTP requests of a traced user, with their replies."""

from time import monotonic
from typing import Any

from aiohttp import ClientResponse

from loadgen.plan.secrets import shown_header, shown_url
from loadgen.sessions.http import HttpExchange, UserHttp
from loadgen.trace.tap import RECEIVED, SENT
from loadgen.trace.text import shortened, shown_bytes
from loadgen.trace.trace import Trace

SHOWN_OPTIONS = ("params", "json", "data")


class TracedHttp(UserHttp):
    """`user.http` of a traced user."""

    __slots__ = ("_trace",)

    def __init__(self, user: Any, trace: Trace) -> None:
        super().__init__(user)
        self._trace = trace

    def request(self, method: str, url: str, **options: Any) -> HttpExchange:
        """Returns a request that is traced when it is sent."""
        exchange = TracedExchange(*super().request(method, url, **options))
        exchange.trace = self._trace
        return exchange


class TracedExchange(HttpExchange):
    """A request that shows itself, its redirects and its reply."""

    trace: Trace

    async def _reply(self) -> ClientResponse:
        options = [
            f"{name}={shortened(str(self.options[name]))}"
            for name in SHOWN_OPTIONS
            if self.options.get(name) is not None
        ]
        headers = dict(self.options.get("headers") or {})
        options += [f"{name}: {shown_header(name, str(value))}" for name, value in headers.items()]
        self.trace.step("  ".join([f"{SENT} HTTP {self.method} {shown_url(self.url)}", *options]))
        began = monotonic()
        try:
            reply = await super()._reply()
        except BaseException as error:  # whatever ends it goes on
            self.trace.line(f"{RECEIVED} HTTP no reply: {shortened(str(error)) or 'given up'}")
            raise
        for hop in reply.history:
            where = shown_url(hop.headers.get("Location", ""))
            self.trace.line(f"{RECEIVED} HTTP {hop.status} {shortened(where)}")
        await self._show(reply, monotonic() - began)
        return reply

    async def _show(self, reply: ClientResponse, seconds: float) -> None:
        body = await reply.read()
        try:
            text = shortened(body.decode())
        except UnicodeDecodeError:
            text = shown_bytes(body)
        cookies = [f"sets cookie {name}" for name in reply.cookies]
        self.trace.line(
            f"{RECEIVED} HTTP {reply.status} {shortened(reply.reason or '')},"
            f" {seconds * 1e3:.1f} ms, {len(body):,} bytes",
            *cookies,
            *([text] if text else []),
        )
