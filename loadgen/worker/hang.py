"""Tells where a worker hangs.

SIGUSR1 makes it write its stack, and whose session runs; until then it does nothing for that. The
stack comes from faulthandler, also where no code in Python runs; the name comes from a handler in
Python, as soon as one can run.
"""

import faulthandler
import os
import signal
from pathlib import Path
from types import FrameType

from loadgen.process import ASK_WHERE
from loadgen.sessions.user import User

_GO_ON = User._go_on.__code__
"""The function that runs a session to its next await."""


def tell_when_asked(descriptor: int) -> None:
    """Sets the handlers of the signal; they write to a descriptor."""

    def tell(_: int, frame: FrameType | None) -> None:
        text = running_session(frame)
        if text:
            os.write(descriptor, f"{text}\n".encode())

    signal.signal(ASK_WHERE, tell)
    faulthandler.register(ASK_WHERE, file=descriptor, all_threads=False, chain=True)


def running_session(frame: FrameType | None) -> str:
    """Returns the session that runs in a frame, with user and line, or ""."""
    inside: list[FrameType] = []
    while frame is not None and frame.f_code is not _GO_ON:
        inside.append(frame)
        frame = frame.f_back
    if frame is None or len(inside) < 2:
        return ""
    user = frame.f_locals["self"]
    session = inside[-2]  # the last one is the trampoline's
    place = f"{Path(session.f_code.co_filename).name}:{session.f_lineno}"
    return f"in session {user.scenario.name} of user {user.number} ({place})"
