"""The HTTP connections of one worker, shared by its users.

This module imports aiohttp, which takes a third of a second and megabytes. A worker imports it only
where a session uses HTTP.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from aiohttp import (
    ClientConnectorDNSError,
    ClientError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientRequest,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    CookieJar,
    DummyCookieJar,
    InvalidURL,
    NonHttpUrlClientError,
    ServerDisconnectedError,
    TCPConnector,
    TooManyRedirects,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from loadgen.net.allowed import AllowedHosts
from loadgen.net.dialer import reason_of
from loadgen.net.tls import Contexts
from loadgen.net.url import is_address
from loadgen.plan.proxy import ProxyUrl
from loadgen.plan.transport import Transport
from loadgen.stats.http_ends import NOT_ALLOWED, TOO_MANY_REDIRECTS
from loadgen.stats.reasons import (
    BAD_REQUEST,
    DNS,
    ERROR,
    MESSAGE_TOO_BIG,
    PROTOCOL_ERROR,
    PROXY_REFUSED,
    SERVER_EOF,
    TIMEOUT,
    TLS,
)
from loadgen.version import VERSION

MAX_BODY = 1 << 24
"""Bytes of a reply's body, unpacked: as many as a message may have."""
IP_BIND_ADDRESS_NO_PORT = 24
"""The kernel chooses the port at the connect, when it knows the other end (ip(7))."""


class HostNotAllowed(Exception):
    """The host is no target and not allowed; the text says the fix."""


class BodyTooBig(Exception):
    """The body of a reply has more than MAX_BODY bytes."""


class HttpReply(ClientResponse):
    """A reply to an HTTP request; aiohttp's, with a bound for its body."""

    async def read(self) -> bytes:
        """Returns the body; raises BodyTooBig."""
        if self._body is None:
            try:
                self._body = await self._bounded()
            except BaseException:  # cancelled, too: nothing may read the rest as another reply
                self.close()
                raise
        return await super().read()

    async def _bounded(self) -> bytes:
        parts = []
        size = 0
        async for part in self.content.iter_any():
            size += len(part)
            if size > MAX_BODY:
                raise BodyTooBig(f"the body has more than {MAX_BODY:,} bytes")
            parts.append(part)
        return b"".join(parts)


class AllowedResolver(AbstractResolver):
    """Resolves the names of allowed hosts alone.

    What the agent has resolved keeps its addresses: the plan's targets or, where they are behind a
    proxy, the proxy.
    """

    def __init__(self, hosts: AllowedHosts, proxy: str = "") -> None:
        """`proxy` is the host of the plan's proxy, if it has one."""
        self._hosts = hosts
        self._proxy = proxy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Returns the addresses of a host; raises HostNotAllowed."""
        to = self._hosts.beyond_proxy() if host == self._proxy else self._hosts.target(host)
        if to is not None:
            return [_resolved(host, address, port) for address in to.addresses]
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        why = {str(end[0]): self._hosts.refusal(host, str(end[0])) for *_, end in found}
        allowed = [address for address in why if not why[address]]
        if not allowed:
            raise HostNotAllowed(next(iter(why.values())))
        return [_resolved(host, address, port) for address in allowed]

    async def close(self) -> None:
        """Does nothing: it holds nothing."""


def _url_of(proxy: ProxyUrl) -> URL:
    return URL.build(
        scheme=proxy.scheme,
        user=proxy.user or None,
        password=proxy.password or None,
        host=proxy.host,
        port=proxy.port,
    )


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST,
    )


class HttpPool:
    """One pool of connections for all users of a worker."""

    def __init__(self, hosts: AllowedHosts, transport: Transport, contexts: Contexts) -> None:
        """`contexts` are for https URLs."""
        self._hosts = hosts
        self._contexts = contexts
        self._turn = count()
        self._proxy = transport.via
        name = transport.tls_server_name
        self._server_name = name if isinstance(name, str) else None
        self._session = ClientSession(
            connector=TCPConnector(
                resolver=AllowedResolver(hosts, self._proxy.host if self._proxy else ""),
                limit=0,  # users must not wait for each other
                ttl_dns_cache=None,
                socket_factory=self._socket,
            ),
            cookie_jar=DummyCookieJar(),
            headers={"User-Agent": f"loadgen/{VERSION}"},
            response_class=HttpReply,
            proxy=_url_of(self._proxy) if self._proxy else None,
        )

    async def request(
        self,
        method: str,
        url: URL,
        jar_of: Callable[[bool], CookieJar | None],
        seconds: float,
        number: int,
        **options: Any,
    ) -> ClientResponse:
        """Returns a reply, read whole within a number of seconds.

        `jar_of` returns the user's cookies; with True it makes a jar where there is none. `number`
        is the user's, whose certificate is shown where the plan has some.
        """

        async def hop(
            request: ClientRequest, send: Callable[[ClientRequest], Awaitable[ClientResponse]]
        ) -> ClientResponse:
            """Sends one request, or the one that a redirect asks for."""
            self._check(request.url)
            jar = jar_of(False)
            if jar is not None:
                request.update_cookies(jar.filter_cookies(request.url))
            reply = await send(request)
            if reply.cookies:
                jar = jar_of(True)
                assert jar is not None
                jar.update_cookies(reply.cookies, request.url)
            return reply

        reply = await self._session.request(
            method,
            url,
            timeout=ClientTimeout(total=seconds),
            ssl=self._contexts.of_user(number),
            server_hostname=self._server_name,
            middlewares=(hop,),
            **options,
        )
        await reply.read()
        return reply

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()

    def _check(self, url: URL) -> None:
        """Raises HostNotAllowed for a host that the resolver will not see.

        That is an IP address and, where a proxy resolves the names, any.
        """
        host = url.host or ""
        why = ""
        if self._proxy is not None:
            why = self._hosts.refusal_beyond(host)
            if self._proxy.scheme != "http":
                why = "HTTP requests do not go through a SOCKS5 proxy; take one for HTTP"
        elif is_address(host):
            why = self._hosts.refusal(host, host)
        if why:
            raise HostNotAllowed(why)

    def _socket(self, info: Any) -> socket.socket:
        """Returns a socket; one to a target is bound to the agent's next address."""
        family, kind, protocol, _, (address, *_) = info
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        for way in (way for to in self._hosts.destinations() for way in to.ways):
            if way.address == address:
                sources = way.sources.addresses
                made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                made.bind((sources[next(self._turn) % len(sources)], 0))
                break
        return made


def http_failure(error: BaseException) -> str:
    """Returns the reason that a request without a reply is counted by.

    It is empty for an error of the session's own, such as a body that is no JSON.
    """
    for kinds, reason in _REASONS:
        if isinstance(error, kinds):
            return reason
    if isinstance(error, OSError) and error.errno:
        return reason_of(error.errno)
    return f"{ERROR}{type(error).__name__}" if isinstance(error, ClientError | OSError) else ""


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (HostNotAllowed, NOT_ALLOWED),
    (BodyTooBig, MESSAGE_TOO_BIG),
    (TimeoutError, TIMEOUT),
    ((ClientSSLError, ssl.SSLError), TLS),
    (ClientConnectorDNSError, DNS),
    (ClientHttpProxyError, PROXY_REFUSED),
    ((ServerDisconnectedError, ClientPayloadError), SERVER_EOF),
    ((InvalidURL, NonHttpUrlClientError), BAD_REQUEST),
    (TooManyRedirects, TOO_MANY_REDIRECTS),
    (ClientResponseError, PROTOCOL_ERROR),
)
