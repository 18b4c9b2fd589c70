"""What Appwrite's realtime server says in text frames, and the ping a client may send it.

Refusals come after a valid 101, as an `error` frame: a 101 is not yet a yes. The close that follows
carries no code of its own, so a connection's end is told by the last error frame (appwrite/appwrite
app/realtime.php).
"""

from typing import NamedTuple

import msgspec

PING = b'{"type":"ping"}'
PONG = b'{"type":"pong"}'


MAX_CODES = 10_000
"""As which every larger code of an error counts: a server's whims must not fill the ledger with
reasons."""


class Said(NamedTuple):
    """A frame's type (`connected`, `pong`, `error`, `event`…; empty for what is not Appwrite's),
    an error's code."""

    type: str
    code: int = 0


class _Data(msgspec.Struct):
    code: int = 0


class _Frame(msgspec.Struct):
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")


_frame = msgspec.json.Decoder(_Frame)
_data = msgspec.json.Decoder(_Data)
NOTHING = Said("")


def read(payload: bytes) -> Said:
    """What a text frame says; a payload that is not one of Appwrite's frames says nothing."""
    if not payload.startswith(b'{"type":"'):
        return NOTHING
    try:
        frame = _frame.decode(payload)
        if frame.type != "error":
            return Said(frame.type)
        code = _data.decode(frame.data).code
        return Said(frame.type, code if 0 <= code < MAX_CODES else MAX_CODES)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOTHING
