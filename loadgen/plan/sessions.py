"""What a connection's user may do: the built-in loop, a session written in Python, or a script
of steps."""

from typing import Annotated, Literal

import msgspec

from loadgen.plan.phases import NotNegative, Positive, Weight
from loadgen.plan.script import Change, Connect, Step, steps_in


class _SessionSpec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"
):
    """What all kinds of sessions have."""

    name: str
    """What it is called in reports and in a phase's `sessions`; each name once."""
    weight: Weight = 1.0
    """Its part of all sessions, in proportion to the others' weights."""
    read_rate: NotNegative = 0.0
    """Bytes a second that a connection reads at most: the server has to wait for it; 0: as fast
    as they come."""


class Loop(_SessionSpec, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="loop"):
    """The built-in think-time loop."""

    ping: Literal["protocol", "app", "none"] = "protocol"
    think: Positive = 30.0
    loops: Annotated[int, msgspec.Meta(ge=0, le=10**12)] = 1000


class PythonSession(
    _SessionSpec, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="python"
):
    """An `async def` in a Python file; the file travels inside the plan, so that agents need no
    copy."""

    file: str
    """Its path, for people; relative to the plan file."""
    function: str = "session"
    source: str = ""
    """The file's text."""
    sha256: str = ""
    """Of the text in UTF-8, in hexadecimal digits."""


class Script(_SessionSpec, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="script"):
    """Steps one after another, as a plan file or a Tsung configuration tells them."""

    steps: tuple[Step, ...]


SessionSpec = Loop | PythonSession | Script


def urls_of(spec: SessionSpec) -> list[str]:
    """The URLs that a session connects to besides its target's, in the order of its steps; those
    made of variables not.

    What a session written in Python asks for is not known before it asks.
    """
    steps = steps_in(spec.steps) if isinstance(spec, Script) else ()
    urls = (step.url for step in steps if isinstance(step, Connect | Change))
    return [url for url in urls if url and "%%" not in url]
