"""The judgement of an opening request, server side (RFC 6455 section 4.2).

Pure: bytes in; an upgrade, a refusal, or the verdict that it is plain HTTP out.
"""

import binascii
from base64 import b64encode
from enum import Enum
from functools import lru_cache
from hashlib import sha1
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_HEAD = 16_384
"""The longest head of a request that is accepted, in bytes."""
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection:"
    b" Upgrade\r\nSec-WebSocket-Accept: "
)
"""The 101 up to the accept key; the key and an empty line follow."""
_EXTRA_HEADERS = {426: "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"}


class Resource(NamedTuple):
    """The wishes of a request: those of its target and of its headers."""

    path: str
    project: str
    """Appwrite's project id; empty when none was given."""
    channels: tuple[str, ...]
    """The channels to subscribe to, each once, in the order given."""


class Upgrade(NamedTuple):
    """A valid upgrade request."""

    accept: bytes
    resource: Resource
    rest: bytes
    """The bytes after the head, which belong to the first frame."""


class Refusal(NamedTuple):
    """An HTTP answer that ends the connection."""

    status: int
    why: str

    @property
    def reply(self) -> bytes:
        """The bytes of the whole answer."""
        return (
            f"HTTP/1.1 {self.status}"
            f" {HTTPStatus(self.status).phrase}\r\n{_EXTRA_HEADERS.get(self.status, '')}Connection:"
            " close\r\nContent-Type: text/plain\r\nContent-Length:"
            f" {len(self.why) + 1}\r\n\r\n{self.why}\n"
        ).encode()


class Verdict(Enum):
    """The judgements without a value."""

    INCOMPLETE = "the head is not whole yet"
    PLAIN = "HTTP that asks for no WebSocket"


def judge(data: bytes) -> Upgrade | Refusal | Verdict:
    """Returns the judgement of all bytes that a new connection has received so far."""
    end = data.find(b"\r\n\r\n")
    if end > MAX_HEAD or (end < 0 and len(data) > MAX_HEAD):
        return Refusal(431, f"a request head of more than {MAX_HEAD} bytes")
    if end < 0:
        # A TLS hello never has the empty line that ends a head: refused now, instead of waiting.
        return Refusal(400, "not HTTP") if data[:1] == b"\x16" else Verdict.INCOMPLETE
    line, *fields = data[:end].split(b"\r\n")
    headers = _headers(fields)
    if not _has_token(headers, b"upgrade", b"websocket"):
        return Verdict.PLAIN
    return _upgrade(line, headers, data[end + 4 :])


def _headers(fields: list[bytes]) -> dict[bytes, bytes]:
    """Returns header values by lower-case name; repeated ones are joined with commas.

    RFC 9110 section 5.3.
    """
    headers: dict[bytes, bytes] = {}
    for field in fields:
        name, _, value = field.partition(b":")
        name = name.lower()
        value = value.strip()
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def _has_token(headers: dict[bytes, bytes], name: bytes, token: bytes) -> bool:
    """Returns whether a comma-separated header has the token, in upper or lower case."""
    value = headers.get(name, b"").lower()
    return value == token or token in [part.strip() for part in value.split(b",")]


def _upgrade(line: bytes, headers: dict[bytes, bytes], rest: bytes) -> Upgrade | Refusal:
    """Returns the judgement of a request for a WebSocket (RFC 6455 section 4.2.1)."""
    words = line.split(b" ")
    if len(words) != 3 or words[0] != b"GET" or words[2] != b"HTTP/1.1":
        return Refusal(400, "an upgrade is asked for with GET and HTTP/1.1")
    resource = resource_of(words[1])
    if not _has_token(headers, b"connection", b"upgrade"):
        return Refusal(400, "the Connection header does not name Upgrade")
    if headers.get(b"sec-websocket-version") != b"13":
        return Refusal(426, "the Sec-WebSocket-Version served is 13")
    key = headers.get(b"sec-websocket-key", b"")
    if not _is_key(key):
        return Refusal(400, "the Sec-WebSocket-Key is not 16 bytes in base64")
    project = headers.get(b"x-appwrite-project")
    if project:
        resource = resource._replace(project=project.decode("utf-8", "replace"))
    return Upgrade(accept_of(key), resource, rest)


def accept_of(key: bytes) -> bytes:
    """Returns the Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2)."""
    return b64encode(sha1(key + GUID, usedforsecurity=False).digest())


def _is_key(key: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except binascii.Error:
        return False


@lru_cache(maxsize=256)
def resource_of(target: bytes) -> Resource:
    """Returns what a request target asks for.

    Nearly all connections ask for the same, and so share one Resource.
    """
    path, _, query = target.partition(b"?")
    fields = parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True)
    channels = tuple(dict.fromkeys(value for name, value in fields if name == "channels[]"))
    return Resource(path.decode("utf-8", "replace"), dict(fields).get("project", ""), channels)
