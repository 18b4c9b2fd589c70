"""The opening handshake's bytes (RFC 6455 section 4.1): the upgrade request, and the judging of the
reply.

The common reply is checked here at the cost of one comparison; anything unusual is judged by the
websockets library.
"""

import re
from base64 import b64encode
from hashlib import sha1
from typing import NamedTuple

from loadgen.stats.reasons import BAD_HANDSHAKE, HTTP

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_HEAD_SIZE = 16_384
"""The longest head of a reply that is waited for, in bytes."""
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_SWITCHING = re.compile(rb"HTTP/1\.1 101 [\t\x20-\x7e\x80-\xff]*")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r\n)")


class Reply(NamedTuple):
    """The judgement of a complete reply."""

    failure: str | None
    """None for a valid 101, else the ledger's reason: `http_503`, `bad_handshake`."""
    rest: bytes
    """What came after the head: the first frame's bytes."""


def key_of(number: int) -> bytes:
    """A Sec-WebSocket-Key from a 128-bit random number."""
    return b64encode(number.to_bytes(16, "big"))


def accept_of(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that answers a key."""
    return b64encode(sha1(key + GUID, usedforsecurity=False).digest())


class Handshake:
    """The upgrade of every connection to one resource: its request is prepared once, its common
    reply learnt once."""

    __slots__ = ("_after", "_before", "_offered", "_vetted")

    def __init__(self, host: str, resource: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        lines = [
            f"GET {resource} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            *(f"{name}: {value}" for name, value in headers),
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: ",
        ]
        self._before = "\r\n".join(lines).encode()
        self._after = b"\r\n\r\n"
        offers = (
            value.split(",") for name, value in headers if name.lower() == "sec-websocket-protocol"
        )
        self._offered = tuple(subprotocol.strip() for offer in offers for subprotocol in offer)
        self._vetted: tuple[bytes, bytes] | None = None
        """What stood around the accept key in a reply that was found valid."""

    def request(self, key: bytes) -> bytes:
        """The request with its key."""
        return self._before + key + self._after

    def judge(self, data: bytes, key: bytes) -> Reply | None:
        """The judgement of all bytes received so far in answer to a key; None while the head is
        not whole."""
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD_SIZE) + 4
        if end < 4:
            return _unfinished(data)
        head = data[:end]
        before, found, after = head.partition(accept_of(key))
        if found and (before, after) == self._vetted:
            return Reply(None, data[end:])
        failure = failure_of(head, key, self._offered)
        if failure is None and found:
            self._vetted = before, after
        return Reply(failure, data[end:])


def _unfinished(data: bytes) -> Reply | None:
    """Waits for more, unless what is there can't become an HTTP reply."""
    if len(data) > MAX_HEAD_SIZE or not (
        data.startswith(b"HTTP/1.") or b"HTTP/1.".startswith(data)
    ):
        return Reply(BAD_HANDSHAKE, b"")
    return None


def failure_of(head: bytes, key: bytes, offered: tuple[str, ...] = ()) -> str | None:
    """Why a whole head is not a valid 101 in answer to this key; None when it is."""
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
    """Whether the head is a valid 101 of the plainest kind: nothing repeated, nothing
    negotiated."""
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
    """The websockets library's judgement of a head that is out of the ordinary."""
    from websockets.client import ClientProtocol  # noqa: PLC0415 -- who never needs it does not pay for it
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
