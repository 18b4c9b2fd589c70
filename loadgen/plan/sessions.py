"""The kinds of sessions: built-in loop, session in Python, script of steps."""

from typing import Annotated, Literal

import msgspec

from loadgen.plan.phases import MAX_NUMBER, NotNegative, Weight
from loadgen.plan.reply import AutoReply
from loadgen.plan.script import Change, Connect, HttpStep, Step, steps_in

MAX_FILES = 500
"""The most files that travel with a session in Python."""
MAX_BYTES = 8 << 20
"""The most bytes of them."""
MIN_THINK = 0.001
"""Seconds; the timers of the event loop count milliseconds."""
ThinkTime = Annotated[float, msgspec.Meta(ge=MIN_THINK, le=MAX_NUMBER)]


class _SessionSpec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"
):
    """The fields of all kinds of sessions."""

    name: str
    """Its name in reports and in a phase's `sessions`; each name once."""
    weight: Weight = 1.0
    """Its part of all users, in proportion to the others' weights."""
    read_rate: NotNegative = 0.0
    """Bytes a second that a connection reads at most, so that the server has to wait for it;
    0: no limit."""
    reply: tuple[AutoReply, ...] = ()
    """The automatic replies of its connections; the first one that fits a message answers it."""


class Loop(_SessionSpec, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="loop"):
    """The built-in loop: ping, then think for `think` seconds, `loops` times."""

    ping: Literal["protocol", "app", "none"] = "protocol"
    think: ThinkTime = 30.0
    loops: Annotated[int, msgspec.Meta(ge=0, le=10**12)] = 1000


class SessionFile(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """A file that travels with a session in Python; it holds text or other bytes."""

    path: str
    """Its path from the folder of the session's file, with slashes."""
    sha256: str = ""
    """The SHA-256 of its bytes, in hexadecimal digits."""
    text: str = ""
    base64: bytes = b""
    """Its bytes, where they are not UTF-8."""

    def __post_init__(self) -> None:
        parts = self.path.split("/")
        if "\0" in self.path or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"`path` is {self.path!r}; write a path inside the session's folder")

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.base64 or self.text.encode()


class PythonSession(
    _SessionSpec, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="python"
):
    """An `async def` in a Python file.

    The plan holds the file's text, so agents need no copy.
    """

    file: str
    """Its path, for people; relative to the plan file. A folder has it in session.py."""
    function: str = "session"
    source: str = ""
    """The file's text."""
    sha256: str = ""
    """The SHA-256 of the text in UTF-8, in hexadecimal digits."""
    files: tuple[SessionFile, ...] = ()
    """The files that travel with it."""

    @property
    def without_data(self) -> "PythonSession":
        """The session with the paths and hashes of its files alone."""
        files = tuple(SessionFile(path=file.path, sha256=file.sha256) for file in self.files)
        return msgspec.structs.replace(self, files=files)


class Script(_SessionSpec, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="script"):
    """Steps one after another, from a plan file or from a Tsung configuration."""

    steps: tuple[Step, ...]


SessionSpec = Loop | PythonSession | Script
"""One kind of session, as a plan describes it."""


def urls_of(spec: SessionSpec) -> list[str]:
    """Returns the URLs that a session names besides its target's, in their order.

    URLs with variables in them are left out, and so are those of a session in Python: they are
    known only when it connects.
    """
    steps = steps_in(spec.steps) if isinstance(spec, Script) else ()
    urls = (step.url for step in steps if isinstance(step, Connect | Change))
    return [url for url in urls if url and "%%" not in url]


def may_use_http(spec: SessionSpec) -> bool:
    """Returns True when a session sends HTTP requests, as far as its text tells."""
    if isinstance(spec, PythonSession):
        texts = (spec.source, *(file.text for file in spec.files if file.path.endswith(".py")))
        return any(".http" in text for text in texts)
    return isinstance(spec, Script) and any(
        isinstance(one, HttpStep) for one in steps_in(spec.steps)
    )
