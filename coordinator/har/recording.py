"""Reads a HAR file: one WebSocket of it, and the HTTP requests around it.

Chrome writes a socket's messages as `_webSocketMessages` of its entry
(https://developer.chrome.com/blog/new-in-devtools-76#websocket); so do Playwright, mitmproxy and
others. The file is untrusted: nothing in it is run, and its size is bounded.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from loadgen.errors import PlanError
from loadgen.plan.byte_text import bytes_of_base64

MAX_HAR = 256 << 20
"""Bytes of a file that is read."""
MAX_MESSAGES = 10_000
"""Messages of a socket that become steps."""
MILLISECONDS = 1e11
"""A time since 1970 above this is none in seconds: they would be of the year 5138."""
_NUMBERED = re.compile(r"(?P<path>.+)#(?P<number>\d{1,6})")
EXPORT = (
    "open the browser's Network panel before the page connects, and export all as HAR with"
    " sensitive data"
)


class HarPair(msgspec.Struct):
    """A header, or a field of a form."""

    name: str = ""
    value: str = ""


class HarBody(msgspec.Struct):
    """The body of a request."""

    mime: str | None = msgspec.field(default=None, name="mimeType")
    text: str | None = None


class HarRequest(msgspec.Struct):
    """A request."""

    method: str
    url: str
    headers: list[HarPair] = []
    body: HarBody | None = msgspec.field(default=None, name="postData")


class HarContent(msgspec.Struct):
    """The body of a reply."""

    mime: str | None = msgspec.field(default=None, name="mimeType")
    text: str | None = None
    encoding: str | None = None


class HarReply(msgspec.Struct):
    """A reply."""

    status: int = 0
    headers: list[HarPair] = []
    content: HarContent = msgspec.field(default_factory=HarContent)


class HarMessage(msgspec.Struct):
    """A message of a WebSocket."""

    type: str
    time: float
    """Since 1970: seconds in Chrome's files, milliseconds in Playwright's."""
    data: str
    opcode: int = 1

    @property
    def at(self) -> float:
        """Seconds since 1970."""
        return self.time / 1000 if self.time > MILLISECONDS else self.time

    @property
    def payload(self) -> str | bytes:
        """The message itself; the file has binary ones in base64."""
        return self.data if self.opcode == 1 else bytes_of_base64(self.data)


class HarEntry(msgspec.Struct):
    """A request with its reply, or a WebSocket."""

    started: str = msgspec.field(name="startedDateTime")
    request: HarRequest
    reply: HarReply = msgspec.field(name="response", default_factory=HarReply)
    time: float | None = None
    """Milliseconds until the reply was there."""
    kind: str | None = msgspec.field(default=None, name="_resourceType")
    messages: list[HarMessage] | None = msgspec.field(default=None, name="_webSocketMessages")

    @property
    def is_socket(self) -> bool:
        """True for a WebSocket."""
        return self.request.url.lower().startswith(("ws://", "wss://"))

    @property
    def at(self) -> float:
        """When it began, in seconds since 1970; raises ValueError."""
        return datetime.fromisoformat(self.started).timestamp()


class _Log(msgspec.Struct):
    entries: list[HarEntry]


class _Har(msgspec.Struct):
    log: _Log


class Recording(NamedTuple):
    """One WebSocket of a HAR file, and all HTTP requests of the file."""

    file: str
    socket: HarEntry
    requests: tuple[HarEntry, ...]
    """In the order in which they began."""
    note: str = ""
    """Says which socket it is, where the file has several."""


def read_har(text: str) -> Recording:
    """Returns the recording of `FILE.har` or `FILE.har#N`, socket N of the file.

    Raises PlanError, which says what is wrong with the file.
    """
    numbered = _NUMBERED.fullmatch(text)
    path, number = (numbered["path"], int(numbered["number"])) if numbered else (text, None)
    entries = _entries(Path(path))
    sockets = [entry for entry in entries if entry.is_socket]
    if not sockets:
        raise PlanError(
            f"--har {path}: none of its {len(entries):,} requests is a WebSocket; {EXPORT}"
        )
    if number is not None and not 1 <= number <= len(sockets):
        raise PlanError(f"--har {text}: the file has {_listed(sockets)}")
    chosen = sockets[(number or 1) - 1]
    messages = chosen.messages
    if messages is None:
        raise PlanError(f"--har {text}: its WebSocket has no `_webSocketMessages`; {EXPORT}")
    if len(messages) > MAX_MESSAGES:
        raise PlanError(
            f"--har {text}: the WebSocket has {len(messages):,} messages; {MAX_MESSAGES:,} is the"
            " most that becomes a session"
        )
    note = ""
    if number is None and len(sockets) > 1:
        note = f"{path} has {_listed(sockets)}; this is 1; --har {path}#2 takes the next"
    _check(text, [*entries, chosen])
    requests = (entry for entry in entries if not entry.is_socket)
    return Recording(Path(path).name, chosen, tuple(sorted(requests, key=lambda one: one.at)), note)


def _entries(path: Path) -> list[HarEntry]:
    try:
        size = path.stat().st_size
        if size > MAX_HAR:
            raise PlanError(f"--har {path}: it has {size:,} bytes; {MAX_HAR:,} is the most")
        data = path.read_bytes()
    except OSError as error:
        raise PlanError(f"--har {path}: {error.strerror}") from error
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=_Har).log.entries
    except msgspec.ValidationError as error:
        raise PlanError(f"--har {path} is no HAR file: {error}") from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise PlanError(f"--har {path} is no JSON, and so no HAR file: {error}") from error


def _check(text: str, entries: list[HarEntry]) -> None:
    """Raises PlanError for a time or a message that can't be read."""
    for place, entry in enumerate(entries):
        try:
            _ = entry.at, [message.payload for message in entry.messages or ()]
        except (ValueError, OverflowError, OSError) as error:
            raise PlanError(f"--har {text}: entry {place + 1} can't be read: {error}") from error


def _listed(sockets: list[HarEntry]) -> str:
    """Returns the sockets with their numbers, without their queries."""
    if len(sockets) == 1:
        return "one WebSocket"
    shown = [
        f"{place} {one.request.url.partition('?')[0][:100]} ({len(one.messages or ())} messages)"
        for place, one in enumerate(sockets[:10], 1)
    ]
    more = ", …" if len(sockets) > 10 else ""
    return f"{len(sockets)} WebSockets: {', '.join(shown)}{more}"
