"""Proof of life: how long an answer proves that an open connection is alive.

The 101 proves it, and every pong: they answer this connection alone. Messages do not, since a
server or a proxy may send what it had queued for a client that it has lost.
"""

from collections.abc import Iterable
from math import ceil

from loadgen.plan.script import Ping, steps_in
from loadgen.plan.sessions import Loop, Script, SessionSpec

PONG_TIMEOUT = 30.0
"""Seconds after which a ping without an answer proves the connection dead."""


def alive_within(specs: Iterable[SessionSpec]) -> int | None:
    """Returns the whole seconds in which each living connection answers.

    A loop pings once a think time; the answer to the next one may take a second more. A session in
    Python and a script ping when they please: they have as long as a ping may take. The longest
    time counts. It is None where no session can ping.
    """
    return max((window for spec in specs if (window := _window(spec)) is not None), default=None)


def _window(spec: SessionSpec) -> int | None:
    if isinstance(spec, Loop):
        return ceil(spec.think) + 1 if spec.ping != "none" else None
    if isinstance(spec, Script) and not any(
        isinstance(step, Ping) for step in steps_in(spec.steps)
    ):
        return None
    return ceil(PONG_TIMEOUT)
