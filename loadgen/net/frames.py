"""A client's frames of RFC 6455: masked frames out, a parser for frames in.

Nothing here does I/O: masks come in as numbers, and the parser never raises. A server's fault is an
event.
"""

import codecs
import sys
from collections.abc import Callable, Sequence
from struct import Struct
from typing import NamedTuple

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA
"""Opcodes, RFC 6455 section 5.2."""
FAULT = -1
"""The opcode of an event that reports a broken protocol."""
PONG_BYTE = 0x80 | PONG
FIN_TEXT = 0x80 | TEXT
FIN_BINARY = 0x80 | BINARY
MAX_KEPT_BYTES = 4096
"""Bytes of a message that a parser keeps by default; further bytes are counted, not buffered."""
_ping = Struct(">HII").pack
_LENGTH_SIZES = {126: 2, 127: 8}
"""Bytes of the extended length, by the 7-bit length; RFC 6455 section 5.2."""
_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))
"""The codes below 3000 that a CLOSE may have; RFC 6455 section 7.4, and IANA's registry."""
MAX_REASON_BYTES = 123
"""Bytes of the reason in a CLOSE: the payload of a control frame, without the code."""
MAX_STEPS = 64
"""Headers and payloads of one connection that are parsed in a row, before others get their turn."""


class Event(NamedTuple):
    """A message or a control frame that arrived whole, or the server's fault.

    For a FAULT, `payload` says what is wrong and `size` is the close code to answer (RFC 6455
    section 7.4.1).
    """

    opcode: int
    payload: bytes
    """The bytes that the parser keeps."""
    size: int
    """Bytes of the whole payload."""


def masked(payload: bytes, mask: int) -> bytes:
    """Returns the payload XORed with a 32-bit mask (RFC 6455 section 5.3)."""
    size = len(payload)
    pattern = (mask.to_bytes(4, "big") * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


def frame(opcode: int, payload: bytes, mask: int, fin: int = 0x80) -> bytes:
    """Returns a client frame, by default with FIN set (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        header = bytes((fin | opcode, 0x80 | size))
    elif size < 65536:
        header = bytes((fin | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        header = bytes((fin | opcode, 0xFF)) + size.to_bytes(8, "big")
    return header + mask.to_bytes(4, "big") + masked(payload, mask)


def fragmented(opcode: int, parts: Sequence[bytes], mask: int) -> bytes:
    """Returns the frames of one message, one for each part.

    RFC 6455 section 5.4.
    """
    last = len(parts) - 1
    return b"".join(
        frame(CONTINUATION if at else opcode, part, mask, 0 if at < last else 0x80)
        for at, part in enumerate(parts)
    )


def ping_frame(number: int, mask: int) -> bytes:
    """Returns a PING whose payload is its number, 32 bits.

    Its PONG repeats the number, and so names the ping that it answers.
    """
    return _ping(0x8984, mask, mask ^ number)


def close_frame(code: int, mask: int, reason: bytes = b"") -> bytes:
    """Returns a CLOSE frame with a code (RFC 6455 section 5.5.1)."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason, mask)


def close_code(payload: bytes) -> int:
    """Returns the code in a CLOSE payload; 1005 without one (RFC 6455 section 7.1.5)."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005


def closing_payload(code: int, reason: str) -> bytes:
    """Returns the reason of a CLOSE in bytes.

    Raises ValueError for a code that may not be sent (RFC 6455 section 7.4, and IANA's registry),
    and for a reason that is too long.
    """
    if not _may_be_sent(code):
        raise ValueError(f"the close code {code!r} may not be sent: 1000 and 3000 to 4999 may")
    payload = reason.encode()
    if len(payload) > MAX_REASON_BYTES:
        raise ValueError(
            f"the reason of a close has {len(payload)} bytes in UTF-8; {MAX_REASON_BYTES} may be"
            " sent"
        )
    return payload


def _may_be_sent(code: int) -> bool:
    return isinstance(code, int) and (code in _CODES or 3000 <= code < 5000)


def whole_message(data: bytes, at: int = 0) -> tuple[int, bytes, int] | None:
    """Returns opcode and payload of the whole short data frame at `at`, and its end.

    None for other bytes. Most messages come so, and need no Parser. What is wrong with the others
    is its business.
    """
    if len(data) < at + 4 or data[at] not in (FIN_TEXT, FIN_BINARY):
        return None
    size = data[at + 1]
    if size > 126:  # eight bytes of length, or masked
        return None
    begin = at + 2
    if size == 126:
        begin = at + 4
        size = data[at + 2] << 8 | data[at + 3]
    end = begin + size
    if len(data) < end or size > MAX_KEPT_BYTES:
        return None
    payload = data[begin:end]
    if data[at] == FIN_TEXT and not payload.isascii() and not _is_utf8(payload):
        return None
    return data[at] & 0x0F, payload, end


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


class Parser:
    """Parses a server's frames, however their bytes are split.

    It joins fragments and returns control frames between them at once. It keeps a message's first
    `keep` bytes, counts the rest, and checks text as UTF-8 on the way. A message of more than
    `limit` bytes is a FAULT as soon as a header says so. After a FAULT or a CLOSE it returns
    nothing more. A connection between two messages needs no parser.
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
        "limit",
        "more",
    )

    def __init__(self, keep: int = MAX_KEPT_BYTES, limit: int = sys.maxsize) -> None:
        self.keep = keep
        self.limit = limit
        self.failed = False
        """True after a FAULT, and after a CLOSE, which is the last frame of a server."""
        self.more = False
        """True while it holds bytes that it has not looked at."""
        self._rest = b""
        """The beginning of a header, or of a control frame, that is not whole yet; while there is
        `more`, the bytes from the next header or payload on."""
        self._need = 0
        """Payload bytes of the current data frame that are still to come."""
        self._final = True
        self._opcode = CONTINUATION
        """TEXT or BINARY while a message is under way."""
        self._kept = bytearray()
        self._size = 0
        self._decode: Callable[[bytes, bool], str] | None = None

    @property
    def clean(self) -> bool:
        """True between two messages, with no byte left over: the parser may be dropped."""
        return not self._opcode and not self._rest and not self.failed

    def feed(self, data: bytes, most: int = sys.maxsize) -> list[Event]:
        """Returns the events that the bytes complete, in order.

        After `most` headers and payloads it looks no further: there may be `more`, which the next
        call goes on with.
        """
        events: list[Event] = []
        self.more = False
        if self.failed:
            return events
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at = 0
        while not self.failed:
            if not most:
                self._rest = data[at:]
                self.more = at < len(data)
                break
            most -= 1
            after = (
                self._payload(data, at, events) if self._need else self._header(data, at, events)
            )
            if after is None:
                self._rest = data[at:]
                break
            at = after
        return events

    def _header(self, data: bytes, at: int, events: list[Event]) -> int | None:
        """Reads a frame's header at `at`, and the whole frame if it is a control frame.

        Returns where to go on; None when more bytes are needed.
        """
        if len(data) < at + 2:
            return None
        first = data[at]
        second = data[at + 1]
        opcode = first & 0x0F
        length = second & 0x7F
        extra = _LENGTH_SIZES.get(length, 0)
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
        if self._size + length > self.limit:
            return self._fail(events, f"a message of more than {self.limit} bytes", 1009)
        self._begin(opcode, first >= 0x80, length)
        return begin if length else self._end(begin, events)

    def _wrong(self, first: int, second: int) -> str | None:
        """Returns why a server may not send these two header bytes now; None when it may.

        RFC 6455 sections 5.1, 5.2, 5.4, 5.5.
        """
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
            self.failed = True  # RFC 6455 section 5.5.1: nothing may follow
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
        """Takes the bytes of the current data frame's payload that have come."""
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
        """Ends a data frame; a final one ends the message too."""
        if self._final:
            if self._decode is not None and not self._valid(b"", final=True):
                return self._fail(events, "text that is not UTF-8", 1007)
            events.append(Event(self._opcode, bytes(self._kept), self._size))
            self._opcode = CONTINUATION
            self._size = 0
            self._decode = None
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
    """Returns why a CLOSE payload is invalid, with the code to answer; else None.

    RFC 6455 sections 5.5.1 and 7.4.
    """
    if not payload:
        return None
    code = close_code(payload)
    if len(payload) == 1 or not _may_be_sent(code):
        return "a close code that may not be sent", 1002
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return "a close reason that is not UTF-8", 1007
    return None
