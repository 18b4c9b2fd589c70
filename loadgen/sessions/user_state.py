"""The states of a user's session, and what it awaits in each."""

from collections.abc import Mapping
from enum import Enum, auto


class Pause(Enum):
    """The pauses of a session, besides waits for connections and futures."""

    THINKING = auto()
    """A wait on the wheel."""
    YIELDED = auto()
    """A turn for the other callbacks of the loop: asyncio.sleep(0)."""


class UserState(Enum):
    """The state of a user's session."""

    RUNNING = auto()
    THINKING = auto()
    YIELDED = auto()
    ON_CONNECTION = auto()
    """A wait for one of its connections: for the 101, a message, a pong or the end."""
    ON_FUTURE = auto()
    OVER = auto()


_WAITING = frozenset(UserState) - {UserState.RUNNING, UserState.OVER}
TRANSITIONS: Mapping[UserState, frozenset[UserState]] = {
    UserState.RUNNING: _WAITING | {UserState.OVER},
    **dict.fromkeys(_WAITING, frozenset({UserState.RUNNING, UserState.OVER})),
    UserState.OVER: frozenset(),
}
"""The states that may follow each state; tests hold every user to it."""
