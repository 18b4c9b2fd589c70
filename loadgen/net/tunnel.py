"""Asks a proxy for a connection to a server: HTTP's CONNECT and SOCKS5.

It speaks on sockets that are connected already, since loadgen binds them to ports of its own. The
libraries for proxies open sockets themselves, and drop the reply that says why a proxy refuses.
"""

import asyncio
import re
import socket
from base64 import b64encode
from contextlib import suppress
from ipaddress import IPv4Address, ip_address
from typing import NoReturn

from loadgen.net.handshake import MAX_HEAD_SIZE, STATUS, USER_AGENT, Reply
from loadgen.net.refusal import BODY_SIZE, BODY_TIMEOUT, answer_in, awaits_body
from loadgen.plan.proxy import ProxyUrl
from loadgen.stats.reasons import HTTP, NO_HTTP, PROXY_AUTH, PROXY_REFUSED
from loadgen.values import Endpoint

_WANTS_LOGIN = (407, 401)
"""Statuses of a proxy without the right credentials; 401 is tinyproxy's for wrong ones."""
_VERSION = 5
_NO_AUTH, _PASSWORD = 0, 2
"""The methods of RFC 1928 section 3 that are offered."""
_NONE_ACCEPTABLE = 0xFF
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_SOCKS_REPLIES = {
    1: "general SOCKS server failure",
    2: "connection not allowed by ruleset",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}
"""RFC 1928 section 6."""


class TunnelError(Exception):
    """A proxy that opens no tunnel."""

    def __init__(self, reason: str, reply: Reply) -> None:
        """`reason` is the ledger's; `reply` has what the sample shows."""
        super().__init__(reply.words)
        self.reason = reason
        self.reply = reply


class Tunnel:
    """The way through a proxy to one server."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, proxy: ProxyUrl, host: str, port: int
    ) -> None:
        """`host` is the name or address that the proxy is asked for."""
        self._loop = loop
        self._proxy = proxy
        self._host = host
        self._port = port

    async def open(self, sock: socket.socket) -> None:
        """Asks on a connected socket; from then on its bytes are the server's.

        Raises TunnelError where the proxy refuses, and OSError where TCP breaks.
        """
        if self._proxy.scheme == "http":
            await self._open_by_http(sock)
        else:
            await self._open_by_socks(sock)

    async def with_body(self, sock: socket.socket, reply: Reply) -> Reply:
        """Returns a refusal with the begin of its body, for which it waits a second."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(BODY_TIMEOUT):
                while awaits_body(reply):
                    data = await self._loop.sock_recv(sock, BODY_SIZE)
                    if not data:
                        break
                    reply = reply._replace(rest=reply.rest + data)
        return reply

    # HTTP: RFC 9110 section 9.3.6.

    async def _open_by_http(self, sock: socket.socket) -> None:
        await self._loop.sock_sendall(sock, self._connect_request())
        head, rest = await self._head(sock)
        status = STATUS.match(head)
        if status is None:
            words = f"the proxy {self._proxy.shown} does not answer CONNECT with HTTP"
            raise TunnelError(PROXY_REFUSED, Reply(PROXY_REFUSED, head, rest, words))
        code = int(status[1])
        if not 200 <= code < 300:
            words = f"the proxy {self._proxy.shown} answered {answer_in(head)}"
            reason = PROXY_AUTH if code in _WANTS_LOGIN else PROXY_REFUSED
            raise TunnelError(reason, Reply(f"{HTTP}{code}", head, rest, words))
        if rest:  # no server of WebSocket or TLS does
            words = "the server behind the proxy speaks before it is spoken to"
            raise TunnelError(NO_HTTP, Reply(NO_HTTP, b"", rest, words))

    def _connect_request(self) -> bytes:
        server = Endpoint(self._host, self._port)
        lines = [f"CONNECT {server} HTTP/1.1", f"Host: {server}"]
        lines.append(": ".join(USER_AGENT))
        if self._proxy.user:
            pair = f"{self._proxy.user}:{self._proxy.password}".encode()
            lines.append(f"Proxy-Authorization: Basic {b64encode(pair).decode()}")
        return "\r\n".join((*lines, "", "")).encode()

    async def _head(self, sock: socket.socket) -> tuple[bytes, bytes]:
        """Returns the head of the final reply, and the bytes that came after it."""
        data = b""
        while True:
            head, ended, rest = data.partition(b"\r\n\r\n")
            if ended and re.match(rb"HTTP/1\.[01] 1\d\d", head):  # an interim reply
                data = rest
                continue
            if ended or len(data) > MAX_HEAD_SIZE or not data.startswith(b"HTTP/"[: len(data)]):
                return head + ended, rest
            more = await self._loop.sock_recv(sock, MAX_HEAD_SIZE)
            if not more:
                self._refuse(PROXY_REFUSED, "closed the connection without a whole reply")
            data += more

    # SOCKS5: RFC 1928, with the passwords of RFC 1929.

    async def _open_by_socks(self, sock: socket.socket) -> None:
        methods = [_NO_AUTH, _PASSWORD] if self._proxy.user else [_NO_AUTH]
        await self._send(sock, bytes((_VERSION, len(methods), *methods)))
        version, method = await self._receive(sock, 2)
        if version != _VERSION:
            self._refuse(PROXY_REFUSED, "does not speak SOCKS5")
        if method == _NONE_ACCEPTABLE:
            self._refuse(
                PROXY_AUTH,
                "accepts neither user and password nor a client without"
                if self._proxy.user
                else "asks for credentials; write them as USER:PASSWORD@ before its host",
            )
        if method not in methods:
            self._refuse(PROXY_REFUSED, f"chose the method {method} of SOCKS5, not one of ours")
        if method == _PASSWORD:
            await self._log_in(sock)
        await self._send(sock, self._socks_request())
        version, code, _, kind = await self._receive(sock, 4)
        if version != _VERSION or code:
            words = _SOCKS_REPLIES.get(code, "unknown to RFC 1928")
            self._refuse(PROXY_REFUSED, f"answered {code}: {words}")
        await self._skip_address(sock, kind)

    async def _skip_address(self, sock: socket.socket, kind: int) -> None:
        """Takes the address and port that the proxy connects from; nothing needs them."""
        if kind == _NAME:
            (size,) = await self._receive(sock, 1)
        elif kind in (_IPV4, _IPV6):
            size = 4 if kind == _IPV4 else 16
        else:
            self._refuse(PROXY_REFUSED, f"answered with an address of the unknown kind {kind}")
        await self._receive(sock, size + 2)

    async def _log_in(self, sock: socket.socket) -> None:
        user, password = self._proxy.user.encode(), self._proxy.password.encode()
        pair = bytes((1, len(user))) + user + bytes((len(password),)) + password
        await self._send(sock, pair)
        _, status = await self._receive(sock, 2)
        if status:
            self._refuse(PROXY_AUTH, "does not accept user and password")

    def _socks_request(self) -> bytes:
        try:
            address = ip_address(self._host)
            kind = _IPV4 if isinstance(address, IPv4Address) else _IPV6
            place = bytes((kind,)) + address.packed
        except ValueError:
            name = self._host.encode()
            place = bytes((_NAME, len(name))) + name
        return bytes((_VERSION, _CONNECT, 0)) + place + self._port.to_bytes(2)

    async def _send(self, sock: socket.socket, data: bytes) -> None:
        await self._loop.sock_sendall(sock, data)

    async def _receive(self, sock: socket.socket, size: int) -> bytes:
        """Returns exactly `size` bytes: what follows them may be the server's."""
        data = b""
        while len(data) < size:
            more = await self._loop.sock_recv(sock, size - len(data))
            if not more:
                self._refuse(PROXY_REFUSED, "closed the connection without a whole reply")
            data += more
        return data

    def _refuse(self, reason: str, what: str) -> NoReturn:
        words = f"the proxy {self._proxy.shown} {what}"
        raise TunnelError(reason, Reply(reason, b"", b"", words))
