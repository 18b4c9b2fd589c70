"""The messages that a session sends, and the parts of fragmented ones."""

from collections.abc import Iterable, Mapping
from typing import Any

from loadgen.net.frames import BINARY, TEXT

Part = str | bytes | bytearray | memoryview
"""The types of a message, or of a part of a fragmented one."""


def parts_of(message: Any) -> tuple[int, list[bytes]]:
    """Returns the opcode of a message, and a payload for each of its frames.

    Those of an iterable are its parts, and may be none. Raises TypeError for what is no message,
    and for parts of both kinds.
    """
    if isinstance(message, str):
        return TEXT, [message.encode()]
    try:
        return BINARY, [bytes(memoryview(message))]
    except TypeError:
        if isinstance(message, Mapping) or not isinstance(message, Iterable):
            raise TypeError(
                "a message is a str, bytes, another buffer, or an iterable of them, not"
                f" {type(message).__name__}"
            ) from None
    parts = [part if isinstance(part, str) else bytes(memoryview(part)) for part in message]
    texts = [part.encode() for part in parts if isinstance(part, str)]
    if not texts:
        return BINARY, [part for part in parts if isinstance(part, bytes)]
    if len(texts) < len(parts):
        raise TypeError("the parts of a message are all str, or all bytes")
    return TEXT, texts
