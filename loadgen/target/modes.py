"""The modes of a target: echo, Appwrite's realtime protocol, silence, broadcast.

A mode is pure: it takes values and returns the bytes of frames.
"""

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import msgspec

from loadgen.target.frames import TEXT, frame
from loadgen.target.request import Resource
from loadgen.values import APPWRITE_PATH

PING = b'{"type":"ping"}'
PONG = frame(TEXT, b'{"type":"pong"}')


class Greeting(NamedTuple):
    """The frames that are sent with the 101."""

    frames: bytes = b""
    messages: int = 0
    """The number of data messages in those bytes."""
    code: int | None = None
    """The code to close with at once; None to stay open."""


class Answer(NamedTuple):
    """The answer to a client's message."""

    frames: bytes
    """The frames to send; none: the message has no answer."""
    is_pong: bool = False
    """True when the message was an application's ping."""
    to_all: bool = False
    """True when the frames go to all connections on the same path, the sender's too."""


class Mode:
    """A target's own messages, and its answers to those of others: none, on any path."""

    def refusal(self, resource: Resource) -> str:
        """Returns why it does not serve a resource, or "": that becomes a 404."""
        return ""

    def channels(self, resource: Resource) -> tuple[str, ...]:
        """Returns the channels that a connection subscribes to by its URL."""
        return resource.channels

    def greeting(self, resource: Resource) -> Greeting:
        """Returns what is sent with the 101."""
        return Greeting()

    def answer(self, opcode: int, payload: bytes) -> Answer:
        """Returns the answer to a whole message."""
        return Answer(b"")


class Silent(Mode):
    """Answers no message."""


class Echo(Mode):
    """Sends every message back unchanged, in one frame."""

    def answer(self, opcode: int, payload: bytes) -> Answer:
        """Returns the message itself."""
        return Answer(frame(opcode, payload))


class Broadcast(Mode):
    """Sends every message to all connections on the same path.

    The path is a channel that each of them subscribes to.
    """

    def channels(self, resource: Resource) -> tuple[str, ...]:
        """Returns the channels that the URL names, and its path."""
        return (resource.path, *resource.channels)

    def answer(self, opcode: int, payload: bytes) -> Answer:
        """Returns the message, for all."""
        return Answer(frame(opcode, payload), to_all=True)


class Appwrite(Mode):
    """Appwrite's realtime protocol for guests that subscribe by URL.

    Source: app/realtime.php.
    """

    def refusal(self, resource: Resource) -> str:
        """Returns what is served where a resource is not."""
        served = resource.path == APPWRITE_PATH
        return "" if served else f"mode appwrite serves {APPWRITE_PATH} alone"

    def greeting(self, resource: Resource) -> Greeting:
        """Returns the `connected` frame; without a project an error frame, and the close."""
        if not resource.project:
            return Greeting(error_frame(1008, "Missing or unknown project ID"), 1, 1008)
        return Greeting(connected_frame(resource.channels), 1)

    def answer(self, opcode: int, payload: bytes) -> Answer:
        """Returns a pong to a ping, an error to any other message.

        The connection stays open.
        """
        if payload == PING:
            return Answer(PONG, is_pong=True)
        try:
            message = msgspec.json.decode(payload, type=_Message)
        except msgspec.DecodeError:
            return Answer(error_frame(1003, "Message format is not valid."))
        if message.type == "ping":
            return Answer(PONG, is_pong=True)
        return Answer(error_frame(1003, "Message type is not valid."))


class _Message(msgspec.Struct):
    type: str


def mode_of(name: str) -> Mode:
    """Returns the mode of a name, one of TARGET_MODES."""
    modes: dict[str, type[Mode]] = {
        "echo": Echo,
        "appwrite": Appwrite,
        "silent": Silent,
        "broadcast": Broadcast,
    }
    return modes[name]()


@lru_cache(maxsize=256)
def connected_frame(channels: tuple[str, ...]) -> bytes:
    """Returns Appwrite's first frame to a guest."""
    return _text({"type": "connected", "data": {"channels": channels, "user": None}})


def error_frame(code: int, message: str) -> bytes:
    """Returns Appwrite's error frame."""
    return _text({"type": "error", "data": {"code": code, "message": message}})


class Publication(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /publish: a payload for the subscribers of channels."""

    channels: Annotated[list[str], msgspec.Meta(min_length=1)]
    payload: msgspec.Raw = msgspec.Raw(b"null")
    """Any JSON, passed on as it is."""
    events: list[str] = msgspec.field(default_factory=list)


def event_frame(publication: Publication, at: datetime) -> bytes:
    """Returns Appwrite's event frame (1.0 and later).

    `at` is in ISO 8601 with milliseconds.
    """
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
