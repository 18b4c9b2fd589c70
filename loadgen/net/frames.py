"""Client-side RFC 6455 bytes: masked frames out, a parser for frames in.

Pure: masks come in as numbers, bytes come in as bytes, and the parser never raises: a server's
fault is an event.
"""

import codecs
from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
"""Opcodes, RFC 6455 section 5.2."""
FAULT = -1
"""The opcode of the event that says the server broke the protocol."""
PONG_BYTE = 0x80 | PONG
KEEP = 4096
"""How many bytes of a message the parser keeps unless told otherwise; the rest is counted, not
buffered."""
_ping = Struct(">HII").pack
_HEADERS = {126: 2, 127: 8}
_RECEIVABLE_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))


class Event(NamedTuple):
    """A message or a control frame that arrived whole, or the server's fault.

    For a FAULT, `payload` says what was wrong and `size` is the close code to answer with (RFC 6455
    section 7.4.1).
    """

    opcode: int
    payload: bytes
    """At most as many bytes as the parser keeps."""
    size: int
    """The whole payload's length in bytes."""


def masked(payload: bytes, mask: int) -> bytes:
    """The payload XORed with a 32-bit mask repeated over it (RFC 6455 section 5.3)."""
    size = len(payload)
    pattern = (mask.to_bytes(4, "big") * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


def frame(opcode: int, payload: bytes, mask: int) -> bytes:
    """One whole client frame, FIN set (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        header = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        header = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        header = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    return header + mask.to_bytes(4, "big") + masked(payload, mask)


def ping_frame(turn: int, mask: int) -> bytes:
    """A PING whose payload is a 32-bit number, so that its PONG says which ping it answers."""
    return _ping(0x8984, mask, mask ^ turn)


def close_frame(code: int, mask: int, reason: bytes = b"") -> bytes:
    """A CLOSE frame with its code (RFC 6455 section 5.5.1)."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason, mask)


def close_code(payload: bytes) -> int:
    """The code in a CLOSE payload; 1005 when the server gave none (RFC 6455 section 7.1.5)."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005


class Parser:
    """Frames in, from any split of the bytes; needed only while a frame or a message is under way.

    Fragments are joined, control frames between them handed out at once. A message's first `keep`
    bytes are kept, the rest is counted; text is checked as UTF-8 on the way. After a FAULT nothing
    more comes out.
    """

    __slots__ = (
        "_decode",
        "_final",
        "_kept",
        "_need",
        "_opcode",
        "_rest",
        "_size",
        "failed",
        "keep",
    )

    def __init__(self, keep: int = KEEP) -> None:
        self.keep = keep
        self.failed = False
        self._rest = b""
        """Bytes of a header, or of a control frame, that is not whole yet."""
        self._need = 0
        """Payload bytes of the current data frame still to come."""
        self._final = True
        self._opcode = CONTINUATION
        """TEXT or BINARY while a message is under way."""
        self._kept = bytearray()
        self._size = 0
        self._decode: Callable[[bytes, bool], str] | None = None

    @property
    def clean(self) -> bool:
        """Whether it stands between two messages with nothing left over: it may be dropped."""
        return not self._opcode and not self._rest and not self.failed

    def feed(self, data: bytes) -> list[Event]:
        """What the bytes complete, in order."""
        events: list[Event] = []
        if self.failed:
            return events
        if self._rest:
            data, self._rest = self._rest + data, b""
        at = 0
        while not self.failed:
            after = (
                self._payload(data, at, events) if self._need else self._header(data, at, events)
            )
            if after is None:
                self._rest = data[at:]
                break
            at = after
        return events

    def _header(self, data: bytes, at: int, events: list[Event]) -> int | None:
        """Reads one frame's header at `at`; a control frame is taken whole. None: more bytes are
        needed."""
        if len(data) < at + 2:
            return None
        first, second = data[at], data[at + 1]
        opcode, length, extra = first & 0x0F, second & 0x7F, _HEADERS.get(second & 0x7F, 0)
        wrong = self._wrong(first, second)
        if wrong:
            return self._fail(events, wrong)
        begin = at + 2 + extra
        if len(data) < begin:
            return None
        if extra:
            length = int.from_bytes(data[at + 2 : begin], "big")
            if length >> 63:
                return self._fail(events, "a length with its highest bit set")
        if opcode >= CLOSE:
            return self._control(data, begin, opcode, length, events)
        self._begin(opcode, first >= 0x80, length)
        return begin if length else self._end(begin, events)

    def _wrong(self, first: int, second: int) -> str | None:
        """Why these two header bytes may not come from a server now (RFC 6455 sections 5.1, 5.2,
        5.4, 5.5)."""
        opcode = first & 0x0F
        if first & 0x70:
            return "reserved bits set"
        if second & 0x80:
            return "a masked server frame"
        if opcode > PONG or BINARY < opcode < CLOSE:
            return f"unknown opcode {opcode}"
        if opcode >= CLOSE:
            return (
                "a fragmented or overlong control frame" if first < 0x80 or second > 125 else None
            )
        if bool(opcode) == bool(self._opcode):
            return "a new message inside another" if opcode else "a continuation of nothing"
        return None

    def _control(
        self, data: bytes, begin: int, opcode: int, length: int, events: list[Event]
    ) -> int | None:
        end = begin + length
        if len(data) < end:
            return None
        payload = data[begin:end]
        if opcode == CLOSE:
            wrong = wrong_close(payload)
            if wrong:
                return self._fail(events, *wrong)
        events.append(Event(opcode, payload, length))
        return end

    def _begin(self, opcode: int, final: bool, length: int) -> None:
        if opcode:
            self._opcode = opcode
            self._decode = (
                codecs.getincrementaldecoder("utf-8")().decode if opcode == TEXT else None
            )
        self._final = final
        self._need = length

    def _payload(self, data: bytes, at: int, events: list[Event]) -> int | None:
        """Takes what there is of the current data frame's payload."""
        chunk = data[at : at + self._need]
        if not chunk:
            return None
        room = self.keep - len(self._kept)
        if room > 0:
            self._kept += chunk[:room]
        self._size += len(chunk)
        self._need -= len(chunk)
        if self._decode is not None and not self._valid(chunk, final=False):
            return self._fail(events, "text that is not UTF-8", 1007)
        at += len(chunk)
        return at if self._need else self._end(at, events)

    def _end(self, at: int, events: list[Event]) -> int | None:
        """Ends a data frame, and with a final one the message."""
        if self._final:
            if self._decode is not None and not self._valid(b"", final=True):
                return self._fail(events, "text that is not UTF-8", 1007)
            events.append(Event(self._opcode, bytes(self._kept), self._size))
            self._opcode, self._size, self._decode = CONTINUATION, 0, None
            self._kept.clear()
        return at

    def _valid(self, chunk: bytes, *, final: bool) -> bool:
        assert self._decode is not None
        try:
            self._decode(chunk, final)
        except UnicodeDecodeError:
            return False
        return True

    def _fail(self, events: list[Event], why: str, code: int = 1002) -> int:
        self.failed = True
        events.append(Event(FAULT, why.encode(), code))
        return 0


def wrong_close(payload: bytes) -> tuple[str, int] | None:
    """Why a CLOSE payload is not one, with the code to answer it (RFC 6455 sections 5.5.1 and
    7.4)."""
    if not payload:
        return None
    code = close_code(payload)
    if len(payload) == 1 or not (code in _RECEIVABLE_CODES or 3000 <= code < 5000):
        return "a close code that may not be sent", 1002
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return "a close reason that is not UTF-8", 1007
    return None
