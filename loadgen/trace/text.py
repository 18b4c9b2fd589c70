"""The lines of a trace: frames, heads and bodies as a terminal can show them."""

from collections.abc import Iterator

from loadgen.plan.secrets import shown_header, shown_url
from loadgen.trace.frames import BINARY, CLOSE, PING, PONG, TracedFrame

MAX_SHOWN = 200
"""Characters of a payload that a trace shows."""
MAX_BYTES = 32
"""Bytes of a binary payload that it shows."""
MAX_LINES = 60
"""Headers of one head that it shows."""


def escaped(text: str) -> str:
    """Returns a text with an escape for each character that can't be printed."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def shortened(text: str) -> str:
    """Returns the beginning of a text on one line; cut off, with its length."""
    shown = escaped(text[:MAX_SHOWN])
    return shown if len(text) <= MAX_SHOWN else f"{shown}… ({len(text):,} characters)"


def shown_bytes(data: bytes) -> str:
    """Returns bytes as hexadecimal digits: the first MAX_BYTES of them."""
    return data[:MAX_BYTES].hex(" ") + ("…" if len(data) > MAX_BYTES else "")


def shown_frame(frame: TracedFrame) -> str:
    """Returns a frame in words: its kind, size and the beginning of its payload."""
    payload = frame.payload
    kind = f"{frame.name}, compressed" if frame.compressed else frame.name
    if frame.opcode == CLOSE:
        code = int.from_bytes(payload[:2], "big") if len(payload) > 1 else "without a code"
        why = payload[2:].decode(errors="replace")
        return f"close {code}" + (f": {shortened(why)}" if why else "")
    if frame.opcode in (PING, PONG):
        return f"{kind} {shown_bytes(payload)}".rstrip()
    size = f"{kind}, {frame.size:,} {'byte' if frame.size == 1 else 'bytes'}"
    if not payload:
        return size
    try:
        text = payload.decode() if frame.opcode != BINARY else ""
    except UnicodeDecodeError:  # a character may be cut where a message is
        text = payload.decode(errors="replace") if frame.opcode else ""
    return f"{size}: {shortened(text) if text else shown_bytes(payload)}"


def shown_head(head: bytes) -> Iterator[str]:
    """Yields the lines of a head of HTTP, without secret values."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    yield shortened(shown_url(first))
    for line in lines[:MAX_LINES]:
        name, colon, value = line.partition(":")
        shown = f"{name}: {shown_header(name.strip(), value.strip())}" if colon else line
        yield f"  {shortened(shown)}"
    if len(lines) > MAX_LINES:
        yield f"  … ({len(lines)} headers)"
