"""Reads the frames of one direction of a WebSocket (RFC 6455 section 5.2).

It judges nothing and keeps no rule: the connection itself does. It shares no code with it, so that
a trace shows what is on the wire.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
NAMES = {0: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping"} | {
    PONG: "pong"
}
KEPT = 65_536
"""Bytes of an inflated payload that are kept; its size is counted up to MAX_INFLATED."""
MAX_INFLATED = 1 << 24
_TAIL = b"\x00\x00\xff\xff"
"""The end that permessage-deflate leaves out (RFC 7692 section 7.2.2)."""


class TracedFrame(NamedTuple):
    """One frame as it was on the wire, unmasked and inflated."""

    opcode: int
    payload: bytes
    """At most KEPT bytes of a compressed one, and all of another."""
    size: int
    """Bytes of the payload, inflated."""
    final: bool
    compressed: bool

    @property
    def name(self) -> str:
        """The kind of frame in words."""
        name = NAMES.get(self.opcode, f"opcode {self.opcode}")
        return name if self.final else f"{name}, to be continued"


class TracedFrames:
    """Takes bytes of one direction, and gives its whole frames."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._inflater = zlib.decompressobj(-15)
        self._deflated = False
        """True within a compressed message; its first frame says so."""

    def feed(self, data: bytes) -> Iterator[TracedFrame]:
        """Yields the frames that are whole with these bytes."""
        self._data += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> TracedFrame | None:
        data = self._data
        if len(data) < 2:
            return None
        first, second = data[0], data[1]
        size, at = second & 0x7F, 2
        wide = {126: 2, 127: 8}.get(size, 0)
        if wide:
            size, at = int.from_bytes(data[2 : 2 + wide], "big"), 2 + wide
        masked = second >> 7
        begin = at + 4 * masked
        if len(data) < begin + size:
            return None
        payload = bytes(data[begin : begin + size])
        if masked:
            payload = _unmasked(payload, bytes(data[at:begin]))
        del data[: begin + size]
        opcode, final = first & 0xF, bool(first & 0x80)
        if opcode < CLOSE:
            self._deflated = bool(first & 0x40) if opcode else self._deflated
            if self._deflated:
                return self._inflated(opcode, payload, final=final)
        return TracedFrame(opcode, payload, len(payload), final, compressed=False)

    def _inflated(self, opcode: int, payload: bytes, *, final: bool) -> TracedFrame:
        """Returns a frame with its payload inflated, as far as that goes."""
        left, kept, size = payload + (_TAIL if final else b""), b"", 0
        try:
            while left and size < MAX_INFLATED:
                part = self._inflater.decompress(left, KEPT)
                left = self._inflater.unconsumed_tail
                size += len(part)
                kept = kept or part
        except zlib.error:
            kept, size = payload, len(payload)
        return TracedFrame(opcode, kept, size, final, compressed=True)


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
