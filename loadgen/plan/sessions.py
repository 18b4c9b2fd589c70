"""The kinds of sessions: built-in loop, session in Python, script of steps."""

from typing import Annotated, Literal

import msgspec

from loadgen.plan.phases import MAX_NUMBER, NotNegative, Weight
from loadgen.plan.reply import AutoReply
from loadgen.plan.script import Change, Connect, HttpStep, Step, steps_in

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
    """What its connections answer whatever a user waits for; the first one that fits does."""


class Loop(_SessionSpec, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="loop"):
    """The built-in loop: ping, then think for `think` seconds, `loops` times."""

    ping: Literal["protocol", "app", "none"] = "protocol"
    think: ThinkTime = 30.0
    loops: Annotated[int, msgspec.Meta(ge=0, le=10**12)] = 1000


class PythonSession(
    _SessionSpec, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="python"
):
    """An `async def` in a Python file.

    The plan holds the file's text, so agents need no copy.
    """

    file: str
    """Its path, for people; relative to the plan file."""
    function: str = "session"
    source: str = ""
    """The file's text."""
    sha256: str = ""
    """The SHA-256 of the text in UTF-8, in hexadecimal digits."""


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
        return ".http" in spec.source
    return isinstance(spec, Script) and any(
        isinstance(one, HttpStep) for one in steps_in(spec.steps)
    )
