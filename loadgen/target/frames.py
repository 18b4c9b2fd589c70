"""The server side of RFC 6455: unmasked frames out, masked frames in.

Pure: bytes in, values out. The reader never raises: a client's fault is an event. It shares no code
with the load generator's own frames, so that each is a check on the other.
"""

from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
"""Opcodes, RFC 6455 section 5.2."""
FAULT = -1
"""The opcode of the event that the client broke the protocol."""
MAX_MESSAGE = 64_000
"""The longest message that is accepted, in bytes, as in Appwrite's server."""
MIN_PING = 6
"""The size of an empty masked PING frame in bytes: header and mask."""
MAX_PING = 131
"""The size of a masked PING frame with 125 bytes of payload."""
PING_BYTE = 0x80 | PING
SIZE_TO_LENGTH_BYTE = 0x80 - 6
"""A whole masked control frame's second byte is its size plus this."""
_EMPTY_PONG = bytes((0x80 | PONG, 0))
_EXTRA = {126: 2, 127: 8}
_SENDABLE_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)))


class ClientFrame(NamedTuple):
    """A whole message or control frame of a client, or the client's fault."""

    opcode: int
    payload: bytes
    """What was wrong for a FAULT, the reason for a CLOSE."""
    code: int = 0
    """The code to answer a FAULT or a CLOSE with (RFC 6455 section 7.4.1)."""


def frame(opcode: int, payload: bytes) -> bytes:
    """Returns one whole server frame, FIN set, unmasked (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def close_frame(code: int) -> bytes:
    """Returns a CLOSE frame with its code (RFC 6455 section 5.5.1)."""
    return frame(CLOSE, code.to_bytes(2, "big"))


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """Returns the payload XORed with the repeated mask (RFC 6455 section 5.3)."""
    size = len(payload)
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


def is_whole_ping(data: bytes) -> bool:
    """True when a segment is exactly one masked PING frame, as most segments are."""
    size = len(data)
    return (
        MIN_PING <= size <= MAX_PING
        and data[0] == PING_BYTE
        and data[1] == size + SIZE_TO_LENGTH_BYTE
    )


def pong_to(ping: bytes) -> bytes:
    """Returns the PONG frame that answers one whole masked PING frame."""
    size = len(ping) - 6
    return bytes((0x80 | PONG, size)) + unmasked(ping[6:], ping[2:6]) if size else _EMPTY_PONG


class FrameReader:
    """Reads client frames from any split of the bytes.

    A connection needs it only while a frame or a message is incomplete. It joins fragments and
    returns control frames between them at once. After a CLOSE or a FAULT it returns nothing.
    """

    __slots__ = ("_message", "_opcode", "_rest", "ended")

    def __init__(self) -> None:
        self.ended = False
        self._rest = bytearray()
        """The bytes of an incomplete frame."""
        self._message = bytearray()
        self._opcode = CONTINUATION
        """TEXT or BINARY while a message is incomplete."""

    @property
    def clean(self) -> bool:
        """True between two messages, with no bytes left over: it may be dropped."""
        return not self._rest and not self._opcode and not self.ended

    def feed(self, data: bytes) -> list[ClientFrame]:
        """Returns the frames and messages that the bytes complete, in order."""
        events: list[ClientFrame] = []
        if self.ended:
            return events
        self._rest += data
        at = 0
        before = -1
        while at > before and not self.ended:
            before = at
            at = self._frame(at, events)
        del self._rest[:at]
        return events

    def _frame(self, at: int, events: list[ClientFrame]) -> int:
        """Takes the frame at `at` if it is whole; returns where the next one begins."""
        data = self._rest
        if len(data) < at + 2:
            return at
        first, second = data[at], data[at + 1]
        mistake = self._mistake_in(first, second)
        if mistake:
            return self._fault(mistake, 1002, events)
        extra = _EXTRA.get(second & 0x7F, 0)
        begin = at + 6 + extra
        if len(data) < begin:
            return at
        length = int.from_bytes(data[at + 2 : at + 2 + extra], "big") if extra else second & 0x7F
        opcode = first & 0x0F
        if opcode < CLOSE and length + len(self._message) > MAX_MESSAGE:
            return self._fault(f"a message of more than {MAX_MESSAGE} bytes", 1009, events)
        end = begin + length
        if len(data) >= end:
            payload = unmasked(bytes(data[begin:end]), bytes(data[begin - 4 : begin]))
            self._take(opcode, first >= 0x80, payload, events)
            return end
        return at

    def _mistake_in(self, first: int, second: int) -> str | None:
        """Returns why a client may not send these two header bytes now, None when it may.

        RFC 6455 sections 5.1, 5.2, 5.4 and 5.5.
        """
        opcode = first & 0x0F
        if first & 0x70:
            return "reserved bits set"
        if second < 0x80:
            return "an unmasked client frame"
        if opcode >= CLOSE:
            if opcode > PONG:
                return f"unknown opcode {opcode}"
            return (
                "a fragmented or overlong control frame" if first < 0x80 or second > 0xFD else None
            )
        if opcode > BINARY:
            return f"unknown opcode {opcode}"
        if bool(opcode) == bool(self._opcode):
            return "a new message inside another" if opcode else "a continuation of nothing"
        return None

    def _take(self, opcode: int, final: bool, payload: bytes, events: list[ClientFrame]) -> None:
        """Takes the payload of one whole valid frame."""
        if opcode == CLOSE:
            self._close(payload, events)
        elif opcode > CLOSE:
            events.append(ClientFrame(opcode, payload))
        else:
            self._opcode = opcode or self._opcode
            self._message += payload
            if final:
                self._finish(events)

    def _close(self, payload: bytes, events: list[ClientFrame]) -> None:
        """Ends the reading with the client's code, 1000 when it has none.

        RFC 6455 sections 5.5.1 and 7.4.
        """
        code = int.from_bytes(payload[:2], "big") if payload else 1000
        if len(payload) == 1 or code not in _SENDABLE_CODES:
            self._fault("a close code that may not be sent", 1002, events)
        elif not _is_utf8(payload[2:]):
            self._fault("a close reason that is not UTF-8", 1007, events)
        else:
            self.ended = True
            events.append(ClientFrame(CLOSE, payload[2:], code))

    def _finish(self, events: list[ClientFrame]) -> None:
        """Returns the message in `events`, a text only if it is UTF-8.

        RFC 6455 section 8.1.
        """
        message = bytes(self._message)
        opcode = self._opcode
        self._opcode = CONTINUATION
        self._message.clear()
        if opcode == TEXT and not _is_utf8(message):
            self._fault("text that is not UTF-8", 1007, events)
        else:
            events.append(ClientFrame(opcode, message))

    def _fault(self, why: str, code: int, events: list[ClientFrame]) -> int:
        """Ends the reading with a fault; all bytes count as taken."""
        self.ended = True
        events.append(ClientFrame(FAULT, why.encode(), code))
        return len(self._rest)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
