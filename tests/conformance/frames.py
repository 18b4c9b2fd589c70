"""Frames of RFC 6455 by hand: a server writes them as wrong as a case needs them.

Nothing here is shared with loadgen.
"""

import struct
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MAX_CONTROL = 125
"""Bytes of a control frame's payload; section 5.5."""
RSV1 = 4
"""The reserved bit that marks a compressed message, as the number that `rsv` is."""


class ClientFault(Exception):
    """The client broke the protocol."""


class RawFrame(NamedTuple):
    """A frame from the client."""

    fin: bool
    rsv: int
    opcode: int
    payload: bytes


def raw_frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """Returns a frame from a server, which is not masked."""
    size = len(payload)
    if size < 126:
        length = bytes((size,))
    elif size < 1 << 16:
        length = struct.pack(">BH", 126, size)
    else:
        length = struct.pack(">BQ", 127, size)
    return bytes((fin << 7 | rsv << 4 | opcode,)) + length + payload


def fragments(opcode: int, payload: bytes, size: int, *, rsv: int = 0) -> list[bytes]:
    """Returns the frames of a message in fragments of a size."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    return [
        raw_frame(
            CONTINUATION if at else opcode,
            part,
            fin=at == len(parts) - 1,
            rsv=0 if at else rsv,
        )
        for at, part in enumerate(parts)
    ]


def take_frame(data: bytearray) -> RawFrame | None:
    """Takes one frame of a client from the front of the data; None until it is whole.

    Raises ClientFault.
    """
    if len(data) < 2:
        return None
    if not data[1] & 0x80:
        raise ClientFault("a frame without a mask")
    size, start = data[1] & 0x7F, 2
    if size > MAX_CONTROL:
        start = 4 if size == 126 else 10
        if len(data) < start:
            return None
        size = int.from_bytes(data[2:start], "big")
        if size < (126 if start == 4 else 1 << 16):
            raise ClientFault("a length in more bytes than it needs")
    if len(data) < start + 4 + size:
        return None
    mask, masked = data[start : start + 4], data[start + 4 : start + 4 + size]
    first = data[0]
    del data[: start + 4 + size]
    return RawFrame(first >= 0x80, first >> 4 & 7, first & 15, _unmasked(masked, mask))


def _unmasked(masked: bytes, mask: bytes) -> bytes:
    size = len(masked)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(masked, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
