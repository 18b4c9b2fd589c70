"""What a target says of its own accord and in answer to messages: an echo, or Appwrite's realtime
protocol.

Pure: values in, frames' bytes out.
"""

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, Protocol

import msgspec

from loadgen.target.frames import TEXT, frame
from loadgen.target.request import Resource

MODES = ("echo", "appwrite")
PING = b'{"type":"ping"}'
PONG = frame(TEXT, b'{"type":"pong"}')


class Greeting(NamedTuple):
    """What goes out with the 101."""

    frames: bytes = b""
    messages: int = 0
    """How many data messages those bytes are."""
    code: int | None = None
    """The close code to leave with at once; None to stay."""


class Reply(NamedTuple):
    """What a client's message is answered with."""

    frames: bytes
    is_pong: bool = False
    """Whether the message was an application's ping."""


class Mode(Protocol):
    """How a mode behaves."""

    def greeting(self, resource: Resource) -> Greeting:
        """What is said right after the 101."""

    def answer(self, opcode: int, payload: bytes) -> Reply:
        """What a whole message is answered with."""


class Echo:
    """Every message comes back unchanged, in one frame."""

    def greeting(self, resource: Resource) -> Greeting:
        """Nothing: an echo speaks second."""
        return Greeting()

    def answer(self, opcode: int, payload: bytes) -> Reply:
        """The message itself."""
        return Reply(frame(opcode, payload))


class Appwrite:
    """Appwrite's realtime protocol (app/realtime.php), as far as a guest who subscribes by URL
    sees it."""

    def greeting(self, resource: Resource) -> Greeting:
        """The `connected` frame; without a project the error that follows a valid 101, and the
        close."""
        if not resource.project:
            return Greeting(error_frame(1008, "Missing or unknown project ID"), 1, 1008)
        return Greeting(connected_frame(resource.channels), 1)

    def answer(self, opcode: int, payload: bytes) -> Reply:
        """A pong to a ping; anything else is an error that leaves the connection open."""
        if payload == PING:
            return Reply(PONG, is_pong=True)
        try:
            message = msgspec.json.decode(payload, type=_Message)
        except msgspec.DecodeError:
            return Reply(error_frame(1003, "Message format is not valid."))
        if message.type == "ping":
            return Reply(PONG, is_pong=True)
        return Reply(error_frame(1003, "Message type is not valid."))


class _Message(msgspec.Struct):
    type: str


def mode_of(mode: str) -> Mode:
    """The dialect of a mode."""
    return Appwrite() if mode == "appwrite" else Echo()


@lru_cache(maxsize=256)
def connected_frame(channels: tuple[str, ...]) -> bytes:
    """Appwrite's first frame to a guest."""
    return _text({"type": "connected", "data": {"channels": channels, "user": None}})


def error_frame(code: int, message: str) -> bytes:
    """Appwrite's error frame."""
    return _text({"type": "error", "data": {"code": code, "message": message}})


class Publication(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /publish: what to send to whom."""

    channels: Annotated[list[str], msgspec.Meta(min_length=1)]
    payload: msgspec.Raw = msgspec.Raw(b"null")
    """Any JSON, passed on as it is."""
    events: list[str] = msgspec.field(default_factory=list)


def event_frame(publication: Publication, at: datetime) -> bytes:
    """Appwrite's event frame of 1.0 and later; the timestamp is ISO 8601 with milliseconds."""
    return _text(
        {
            "type": "event",
            "data": {
                "events": publication.events,
                "channels": publication.channels,
                "timestamp": at.isoformat(timespec="milliseconds"),
                "payload": publication.payload,
            },
        }
    )


def _text(value: dict[str, Any]) -> bytes:
    return frame(TEXT, msgspec.json.encode(value))
