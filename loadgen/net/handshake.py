"""The opening handshake: its request and its reply (RFC 6455 section 4.1).

A server's usual reply is checked here at the cost of one comparison; the websockets library checks
replies out of the ordinary.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple

from loadgen.net.deflate import Agreement
from loadgen.plan.compress import PERMESSAGE_DEFLATE, Compress
from loadgen.plan.request import Headers, RequestError, encoded_resource, request_mistakes
from loadgen.stats.reasons import (
    BAD_ACCEPT,
    BAD_EXTENSION,
    BAD_HANDSHAKE,
    BAD_SUBPROTOCOL,
    BAD_UPGRADE,
    HEAD_TOO_LARGE,
    HTTP,
    NO_HTTP,
)
from loadgen.version import VERSION

if TYPE_CHECKING:
    from websockets.extensions.permessage_deflate import (
        ClientPerMessageDeflateFactory,
        PerMessageDeflate,
    )

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_HEAD_SIZE = 65_536
"""Bytes that the head of a reply may have, with the interim replies before it."""
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r\n)")
"""The begin of a head, up to the status."""
USER_AGENT = ("User-Agent", f"loadgen/{VERSION}")
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_SWITCHING = re.compile(rb"HTTP/1\.1 101 [\t\x20-\x7e\x80-\xff]*")
_INTERIM = re.compile(rb"(?:HTTP/1\.[01] 1(?!01)\d\d(?: [^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*\r\n)+")
"""Whole replies with a 1xx that is no 101: others follow them (RFC 9110 section 15.2)."""
_EXTENSIONS = b"sec-websocket-extensions"
_SUBPROTOCOL = b"sec-websocket-protocol"
_EIGHT_BITS = re.compile(rb'(client_max_window_bits\s*=\s*"?)8(?!\d)')
_NEGOTIATING = (b"upgrade", b"connection", b"sec-websocket-accept", _EXTENSIONS, _SUBPROTOCOL)
_REASONS = {
    "Upgrade": BAD_UPGRADE,
    "Connection": BAD_UPGRADE,
    "Sec-WebSocket-Accept": BAD_ACCEPT,
    "Sec-WebSocket-Extensions": BAD_EXTENSION,
    "Sec-WebSocket-Protocol": BAD_SUBPROTOCOL,
}
"""The ledger's reasons by the header that is wrong."""


class Reply(NamedTuple):
    """The result of a whole reply."""

    failure: str | None
    """None for a valid 101, else the ledger's reason: `http_503`, `bad_accept`."""
    head: bytes
    """From the status line to the empty line; empty where the bytes have no head."""
    rest: bytes
    """The bytes after the head: they belong to the first frame, or to the body of a refusal."""
    words: str = ""
    """The mistake in words for people; empty for a valid 101 and for another status."""
    agreement: Agreement | None = None
    """What a valid 101 chooses of the offered permessage-deflate; None: no compression."""


class Mistake(NamedTuple):
    """Why a reply is no valid 101: the ledger's reason, and words for people."""

    reason: str
    words: str


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

    __slots__ = ("_after", "_agreement", "_before", "_offered", "_vetted", "compress", "resource")

    def __init__(
        self,
        host: str,
        resource: str,
        headers: Headers = (),
        subprotocols: Sequence[str] = (),
        compress: Compress | None = None,
    ) -> None:
        """`host` and loadgen's User-Agent are sent unless `headers` has others.

        `compress` is offered; None: no extension is.

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
        extend = (("Sec-WebSocket-Extensions", compress.offer),) if compress is not None else ()
        lines = [
            f"GET {self.resource} HTTP/1.1",
            f"Host: {own.get('host', host)}",
            *(f"{name}: {value}" for name, value in (*agent, *rest, *offer, *extend)),
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
        self.compress = compress
        """The offer of permessage-deflate, if any."""
        self._agreement: Agreement | None = None
        """What that reply chose of it."""

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
            return Reply(None, head, data[end:], "", self._agreement)
        interim = _INTERIM.match(data)
        if interim is not None:
            return self._check_final(data, interim.end(), key)
        mistake = mistake_of(head, key, self._offered, self.compress)
        if mistake is not None:
            return Reply(mistake.reason, head, data[end:], mistake.words)
        self._vetted = before, after
        self._agreement = _agreement_in(head, self.compress)
        return Reply(None, head, data[end:], "", self._agreement)

    def _check_final(self, data: bytes, begin: int, key: bytes) -> Reply | None:
        """Returns the result of the reply that begins after interim ones.

        A server can't send these without end: they count into the size of the head.
        """
        reply = self.check(data[begin:], key)
        return _too_large(data) if reply is None and len(data) > MAX_HEAD_SIZE else reply


def _check_unended(data: bytes) -> Reply | None:
    """Returns a failure when no further bytes can make this the head of a reply."""
    if not (data.startswith(b"HTTP/1.") or b"HTTP/1.".startswith(data)):
        mistake = _malformed(data)
        return Reply(mistake.reason, b"", data, mistake.words)
    return _too_large(data) if len(data) > MAX_HEAD_SIZE else None


def _too_large(data: bytes) -> Reply:
    words = f"the head of the reply does not end within {MAX_HEAD_SIZE // 1024} KiB"
    return Reply(HEAD_TOO_LARGE, data, b"", words)


def _malformed(data: bytes) -> Mistake:
    """Returns what bytes are that begin with no status line of HTTP/1."""
    if data.startswith(b"HTTP/"):
        return Mistake(BAD_HANDSHAKE, "the reply does not begin with a status line of HTTP/1.1")
    if data.startswith((b"\x15\x03", b"\x16\x03")):
        return Mistake(NO_HTTP, "the reply is TLS: begin the URL with wss://")
    return Mistake(NO_HTTP, "the reply is not HTTP: another service has this port")


def mistake_of(
    head: bytes,
    key: bytes,
    offered: tuple[str, ...] = (),
    compress: Compress | None = None,
) -> Mistake | None:
    """Returns why a whole head is no valid answer to this key; None when it is one.

    `offered` are the subprotocols.
    """
    status = STATUS.match(head)
    if status is None:
        return _malformed(head)
    if status[1] != b"101":
        return Mistake(f"{HTTP}{int(status[1])}", "")
    if _ordinary(head, accept_of(key), compress):
        return None
    return _mistake_by_library(head, key, offered, compress)


def _ordinary(head: bytes, accept: bytes, compress: Compress | None = None) -> bool:
    """Returns True for a valid 101 that repeats no header and chooses no subprotocol."""
    first, *lines = head[:-4].split(b"\r\n")
    if _SWITCHING.fullmatch(first) is None:
        return False
    headers: dict[bytes, bytes] = {}
    for line in lines:
        if _HEADER.fullmatch(line) is None:
            return False
        name, _, value = line.partition(b":")
        name = name.lower()
        value = value.strip()
        if name in headers or (
            name.startswith((b" ", b"\t", b"sec-websocket-e", b"sec-websocket-p"))
            and not (name == _EXTENSIONS and _is_choice(value, compress))
        ):
            return False
        headers[name] = value
    return (
        headers.get(b"upgrade", b"").lower() == b"websocket"
        and headers.get(b"connection", b"").lower() == b"upgrade"
        and headers.get(b"sec-websocket-accept") == accept
    )


def _agreement_in(head: bytes, compress: Compress | None) -> Agreement | None:
    """Returns what the head of a valid 101 chooses of the offer; None for nothing."""
    if compress is None:
        return None
    value = _extensions_in(head)
    found = _judged(value, compress) if value else None
    assert not isinstance(found, str), found
    return found


def _extensions_in(head: bytes) -> bytes:
    """Returns the extensions that a head chooses; empty for none."""
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    return b", ".join(text.strip() for name, _, text in lines if name.lower() == _EXTENSIONS)


def _is_choice(extensions: bytes, compress: Compress | None) -> bool:
    """Returns True when a server may choose these extensions."""
    return compress is not None and isinstance(_judged(extensions, compress), Agreement)


@lru_cache(maxsize=64)
def _judged(extensions: bytes, compress: Compress) -> Agreement | str:
    """Returns what a server chooses of the offer, or why it may not.

    The websockets library judges it. All connections of a worker share the result, and so what it
    holds.
    """
    from websockets.exceptions import InvalidHandshake  # noqa: PLC0415 -- few workers need it
    from websockets.headers import parse_extension  # noqa: PLC0415

    accepted: list[PerMessageDeflate] = []
    try:
        for name, parameters in parse_extension(_raised(extensions).decode("latin-1")):
            if name != PERMESSAGE_DEFLATE:
                return f"{name} is another extension"
            accepted.append(_factory(compress).process_response_params(parameters, accepted))
    except InvalidHandshake as error:
        return str(error)
    (found,) = accepted
    return Agreement(
        server_takeover=not found.remote_no_context_takeover,
        client_takeover=not found.local_no_context_takeover,
        server_bits=found.remote_max_window_bits,
        client_bits=found.local_max_window_bits,
        level=compress.level,
    )


def _raised(extensions: bytes) -> bytes:
    """Returns a choice with 9 window bits for the client where it has 8.

    Subtle: zlib has no window of 2^8 bytes for raw deflate. But in that of 2^9 it looks back 250
    bytes only (deflate.h, MAX_DIST), and so a peer with the smaller one can inflate it.
    """
    return _EIGHT_BITS.sub(rb"\g<1>9", extensions)


def _factory(compress: Compress) -> "ClientPerMessageDeflateFactory":
    """Returns the websockets library's judge of an offer."""
    from websockets.extensions.permessage_deflate import (  # noqa: PLC0415
        ClientPerMessageDeflateFactory,
    )

    return ClientPerMessageDeflateFactory(
        compress.server_no_context_takeover,
        compress.client_no_context_takeover,
        compress.server_max_window_bits,
        compress.client_max_window_bits or True,
    )


def _mistake_by_library(
    head: bytes, key: bytes, offered: tuple[str, ...], compress: Compress | None
) -> Mistake | None:
    """Returns why the websockets library refuses a 101; None when it accepts it.

    It gets the headers that it judges and no others: a browser does not count cookies either.
    """
    from websockets.client import ClientProtocol  # noqa: PLC0415 -- few workers need it
    from websockets.typing import Subprotocol  # noqa: PLC0415
    from websockets.uri import parse_uri  # noqa: PLC0415

    first, *lines = head[:-4].split(b"\r\n")
    for number, line in enumerate(lines, 2):
        if _HEADER.fullmatch(line) is None:
            # Subtle: the line itself may be a cookie.
            return Mistake(BAD_HANDSHAKE, f"line {number} of the reply is no header")
    named = [(line.partition(b":")[0].lower(), line) for line in lines]
    judged = [(name, line) for name, line in named if name in _NEGOTIATING]
    if compress is not None:
        judged = [(name, line) for name, line in judged if name != _EXTENSIONS]
    protocol = ClientProtocol(
        parse_uri("ws://target/"), subprotocols=[Subprotocol(name) for name in offered] or None
    )
    protocol.key = key.decode()
    protocol.send_request(protocol.connect())
    protocol.receive_data(b"\r\n".join((first, *(line for _, line in judged))) + b"\r\n\r\n")
    error = protocol.handshake_exc
    if error is not None:
        return _mistake_for(error, dict(judged), offered)
    extensions = b"" if compress is None else _extensions_in(head)
    if compress is None or not extensions:
        return None
    found = _judged(extensions, compress)
    if isinstance(found, Agreement):
        return None
    return Mistake(BAD_EXTENSION, f"{found}; `{compress.offer}` was offered")


def _mistake_for(
    error: Exception, headers: dict[bytes, bytes], offered: tuple[str, ...]
) -> Mistake:
    """Returns the mistake for an exception of the library; lines of headers by name."""
    from websockets.exceptions import InvalidHeader, NegotiationError  # noqa: PLC0415

    if isinstance(error, NegotiationError):
        # None is offered, so the library looks no further than to the first extension.
        wrong = _EXTENSIONS if _EXTENSIONS in headers else _SUBPROTOCOL
        reason = BAD_EXTENSION if wrong == _EXTENSIONS else BAD_SUBPROTOCOL
        asked = "" if wrong == _EXTENSIONS else ", ".join(offered)
        chosen = headers[wrong].decode("latin-1")
        return Mistake(reason, f"the server chose `{chosen}`, and {asked or 'none'} was offered")
    if isinstance(error, InvalidHeader):
        return Mistake(_REASONS[error.name], str(error))
    return Mistake(BAD_HANDSHAKE, str(error.__cause__ or error))
