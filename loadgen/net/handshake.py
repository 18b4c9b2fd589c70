"""The opening handshake: its request and its reply (RFC 6455 section 4.1).

A server's usual reply is checked here at the cost of one comparison; the websockets library checks
replies out of the ordinary.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha1
from typing import NamedTuple

from loadgen.plan.request import Headers, RequestError, encoded_resource, request_mistakes
from loadgen.stats.reasons import BAD_HANDSHAKE, HTTP
from loadgen.version import VERSION

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_HEAD_SIZE = 16_384
"""Bytes that the head of a reply may have."""
USER_AGENT = ("User-Agent", f"loadgen/{VERSION}")
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_SWITCHING = re.compile(rb"HTTP/1\.1 101 [\t\x20-\x7e\x80-\xff]*")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r\n)")


class Reply(NamedTuple):
    """The result of a whole reply."""

    failure: str | None
    """None for a valid 101, else the ledger's reason: `http_503`, `bad_handshake`."""
    rest: bytes
    """The bytes after the head: they belong to the first frame."""


def key_of(number: int) -> bytes:
    """Returns the Sec-WebSocket-Key for a random number of 128 bits."""
    return b64encode(number.to_bytes(16, "big"))


def accept_of(key: bytes) -> bytes:
    """Returns the Sec-WebSocket-Accept that answers a key."""
    return b64encode(sha1(key + GUID, usedforsecurity=False).digest())


class Handshake:
    """The upgrade of every connection to one resource.

    The request is prepared once, and the server's usual reply is learnt once.
    """

    __slots__ = ("_after", "_before", "_offered", "_vetted", "resource")

    def __init__(
        self, host: str, resource: str, headers: Headers = (), subprotocols: Sequence[str] = ()
    ) -> None:
        """`host` and loadgen's User-Agent are sent unless `headers` has others.

        Raises RequestError when what a value holds would change the request.
        """
        for key, what in request_mistakes(headers, subprotocols):
            raise RequestError(f"`{key}` {what}")
        self.resource = encoded_resource(resource)
        """Path and query, as they are sent."""
        own = {name.lower(): value for name, value in headers}
        agent = () if "user-agent" in own else (USER_AGENT,)
        rest = (pair for pair in headers if pair[0].lower() != "host")
        offer = (("Sec-WebSocket-Protocol", ", ".join(subprotocols)),) if subprotocols else ()
        lines = [
            f"GET {self.resource} HTTP/1.1",
            f"Host: {own.get('host', host)}",
            *(f"{name}: {value}" for name, value in (*agent, *rest, *offer)),
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: ",
        ]
        self._before = "\r\n".join(lines).encode()
        self._after = b"\r\n\r\n"
        self._offered = tuple(subprotocols)
        self._vetted: tuple[bytes, bytes] | None = None
        """The bytes before and after the accept key in a reply that was valid."""

    def request(self, key: bytes) -> bytes:
        """Returns the request with a key."""
        return self._before + key + self._after

    def check(self, data: bytes, key: bytes) -> Reply | None:
        """Returns the result of a reply; None while its head is not whole.

        `data` is all bytes received so far, `key` the one that was sent.
        """
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD_SIZE) + 4
        if end < 4:
            return _check_unended(data)
        head = data[:end]
        before, found, after = head.partition(accept_of(key))
        if found and (before, after) == self._vetted:
            return Reply(None, data[end:])
        failure = failure_of(head, key, self._offered)
        if failure is None and found:
            self._vetted = before, after
        return Reply(failure, data[end:])


def _check_unended(data: bytes) -> Reply | None:
    """Returns a failure when no further bytes can make this the head of a reply."""
    if len(data) > MAX_HEAD_SIZE or not (
        data.startswith(b"HTTP/1.") or b"HTTP/1.".startswith(data)
    ):
        return Reply(BAD_HANDSHAKE, b"")
    return None


def failure_of(head: bytes, key: bytes, offered: tuple[str, ...] = ()) -> str | None:
    """Returns why a whole head is no valid answer to this key; None when it is one."""
    status = _STATUS.match(head)
    if status is None:
        return BAD_HANDSHAKE
    if status[1] != b"101":
        return f"{HTTP}{int(status[1])}"
    return (
        None
        if _ordinary(head, accept_of(key)) or _library_accepts(head, key, offered)
        else BAD_HANDSHAKE
    )


def _ordinary(head: bytes, accept: bytes) -> bool:
    """Returns True for a valid 101 that repeats no header and negotiates nothing."""
    first, *lines = head[:-4].split(b"\r\n")
    if _SWITCHING.fullmatch(first) is None:
        return False
    headers: dict[bytes, bytes] = {}
    for line in lines:
        if _HEADER.fullmatch(line) is None:
            return False
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in headers or name.startswith(
            (b" ", b"\t", b"sec-websocket-e", b"sec-websocket-p")
        ):
            return False
        headers[name] = value.strip()
    return (
        headers.get(b"upgrade", b"").lower() == b"websocket"
        and headers.get(b"connection", b"").lower() == b"upgrade"
        and headers.get(b"sec-websocket-accept") == accept
    )


def _library_accepts(head: bytes, key: bytes, offered: tuple[str, ...]) -> bool:
    """Returns True when the websockets library finds the head valid."""
    from websockets.client import ClientProtocol  # noqa: PLC0415 -- few workers need it
    from websockets.protocol import OPEN  # noqa: PLC0415
    from websockets.typing import Subprotocol  # noqa: PLC0415
    from websockets.uri import parse_uri  # noqa: PLC0415

    protocol = ClientProtocol(
        parse_uri("ws://target/"), subprotocols=[Subprotocol(name) for name in offered] or None
    )
    protocol.key = key.decode()
    protocol.send_request(protocol.connect())
    protocol.receive_data(head)
    return protocol.handshake_exc is None and protocol.state is OPEN
