"""The text frames of Appwrite's realtime server, and its application ping.

A 101 is not yet a yes: the server refuses after it, by an `error` frame. The close that follows has
no code, so the last error frame names the reason of the connection's end (appwrite/appwrite
app/realtime.php).
"""

from typing import NamedTuple

import msgspec

PING = b'{"type":"ping"}'
PONG = b'{"type":"pong"}'
MAX_CODE = 10_000
"""The code in place of every larger one: a server must not fill the ledger with reasons."""


class AppwriteMessage(NamedTuple):
    """One text frame of Appwrite's."""

    type: str
    """`connected`, `pong`, `error`, `event`…; empty for a frame that is not Appwrite's."""
    code: int = 0
    """The code of an `error`."""


class _Data(msgspec.Struct):
    code: int = 0


class _Frame(msgspec.Struct):
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")


_frame = msgspec.json.Decoder(_Frame)
_data = msgspec.json.Decoder(_Data)
NOT_APPWRITE = AppwriteMessage("")
EVENT = AppwriteMessage("event")
EVENT_START = b'{"type":"event",'
"""The beginning of nearly all messages; nothing of the rest matters here."""


def read(payload: bytes) -> AppwriteMessage:
    """Returns the message of a text frame; NOT_APPWRITE for any other payload."""
    if payload.startswith(EVENT_START):
        return EVENT
    if not payload.startswith(b'{"type":"'):
        return NOT_APPWRITE
    try:
        frame = _frame.decode(payload)
        if frame.type != "error":
            return AppwriteMessage(frame.type)
        code = _data.decode(frame.data).code
        return AppwriteMessage(frame.type, code if 0 <= code < MAX_CODE else MAX_CODE)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOT_APPWRITE
