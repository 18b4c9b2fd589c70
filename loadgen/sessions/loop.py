"""A visit to the target, the trampoline that drives its session, and the built-in sessions.

A session is a coroutine. One suspended on the trampoline costs 0.6 KiB, a third of an asyncio task
that sleeps, and the built-in ping loop is driven by the same few lines as a session written in
Python.
"""

from collections.abc import Callable, Coroutine, Generator
from enum import Enum, auto
from typing import Any, Protocol

from loadgen.net.connection import Connection
from loadgen.sessions.errors import ConnectionEnded
from loadgen.stats.reasons import DONE

Running = Generator[Any, Any, None] | Coroutine[Any, Any, None]


class BaseUser:
    """One user's visit: its number, and the trampoline that resumes its session."""

    __slots__ = ("coroutine", "due", "number")

    def __init__(self, number: int, due: float) -> None:
        self.number = number
        self.due: float | None = due
        """When it was due to arrive; forgotten once that is settled: opened, or failed."""
        self.coroutine: Running | None = None

    def send(self, value: Any) -> Any:
        """Gives the session what it awaited and lets it run to its next await: the result is what
        that is for.

        None once it is over. A session may end by any exception, also by SystemExit: that is
        counted, never raised.
        """
        if self.coroutine is None:
            return None
        try:
            return self.coroutine.send(value)
        except BaseException as end:  # StopIteration, or whatever the session did not catch
            self.coroutine = None
            self.over(end)

    def throw(self, kind: type[BaseException], *about: str) -> Any:
        """Raises an exception where the session waits; the result is what it awaits then, None
        once it is over."""
        if self.coroutine is None:
            return None
        try:
            # No name is given to the exception: its traceback would hold this frame, the frame
            # would hold it, and
            # with the collector off nobody would ever undo that.
            return self.coroutine.throw(kind(*about))
        except BaseException as end:  # most often the very one that was raised
            self.coroutine = None
            self.over(end)

    def over(self, end: BaseException) -> None:
        """The session returned (StopIteration), or did not catch this exception."""
        raise NotImplementedError

    def leave(self, reason: str, *, abruptly: bool = False) -> None:
        """Is to go: closes what it has, in good order or at once, for this reason."""
        raise NotImplementedError


class Scenario(Protocol):
    """What a loop's visit needs of the part of a worker that it belongs to."""

    loops: int
    """Turns of the loop."""

    def dial(self, user: "LoopUser") -> Connection:
        """A connection on its way to the target."""

    def think(self, user: "LoopUser", turns: int) -> None:
        """Resumes the visit with the due time when so many think times in a row are over."""

    def opened(self, connection: Connection, due: float, now: float) -> None:
        """The 101 was valid."""

    def ended(self, connection: Connection, reason: str) -> None:
        """The connection is over, or never was."""


class Await(Enum):
    """What a built-in session may yield."""

    THOUGHT = auto()
    """The end of the think time; the answer is when that was due."""
    SILENCE = auto()
    """The end of all the loop's think times in a row; nobody is woken in between."""
    UPGRADED = auto()
    """The server's answer to the upgrade; the connection resumes the session."""


THOUGHT, SILENCE, UPGRADED = Await.THOUGHT, Await.SILENCE, Await.UPGRADED


class LoopUser(BaseUser):
    """A visit of the built-in loop: one connection, and a place on the wheel."""

    __slots__ = ("connection", "scenario")

    def __init__(self, scenario: Scenario, number: int, due: float) -> None:
        super().__init__(number, due)
        self.scenario = scenario
        self.connection: Connection | None = None

    def start(self, session: "LoopSession") -> None:
        """Begins."""
        self.coroutine = session(self)
        self._go_on(None)

    def resume(self, value: Any) -> bool:
        """Goes on; True when what it wants now is to think: the caller puts it on the wheel, a
        whole slot at a time."""
        if self.coroutine is None:
            return False
        try:  # as `send` does it, without the call: this is once for every ping
            wish = self.coroutine.send(value)
        except (
            BaseException
        ) as end:  # StopIteration; anything else is a bug, which `over` raises again
            self.coroutine = None
            self.over(end)
            return False
        return wish is THOUGHT or self._grant(wish)

    def _go_on(self, value: Any) -> None:
        if self.resume(value):
            self.scenario.think(self, 1)

    def _grant(self, wish: Any) -> bool:
        if wish is SILENCE:
            self.scenario.think(self, self.scenario.loops)
        return False

    def over(self, end: BaseException) -> None:
        """Its connection is closed, when that is still there; what was not foreseen is a bug,
        and told."""
        if isinstance(end, StopIteration) and self.connection is not None:
            self.connection.begin_close(DONE)
        elif not isinstance(end, StopIteration | ConnectionEnded):
            raise end

    def opened(self, connection: Connection, now: float) -> None:
        """Its 101 was valid: the session goes on."""
        assert self.due is not None
        self.scenario.opened(connection, self.due, now)
        self.due = None
        self._go_on(None)

    def ended(self, connection: Connection, reason: str) -> None:
        """Its connection is over: the session hears of it, wherever it waits."""
        self.scenario.ended(connection, reason)
        self.throw(ConnectionEnded, reason)
        self.connection = None

    def leave(self, reason: str, *, abruptly: bool = False) -> None:
        """Closes the connection."""
        if self.connection is not None:
            (self.connection.abort if abruptly else self.connection.begin_close)(reason)


LoopSession = Callable[[LoopUser], Generator[Await, Any, None]]


def _connected(user: LoopUser) -> Generator[Await, Any, Connection]:
    user.connection = connection = user.scenario.dial(user)
    yield UPGRADED
    return connection


# They yield what an `async def` would await: a fifth of a microsecond and 112 bytes less for each
# turn and user.
def protocol_pings(user: LoopUser) -> Generator[Await, Any, None]:
    """The think-time loop with one PING frame a turn."""
    connection = yield from _connected(user)
    loops = user.scenario.loops
    while connection.pinged < loops:
        connection.send_ping((yield THOUGHT))


def app_pings(user: LoopUser) -> Generator[Await, Any, None]:
    """The think-time loop with Appwrite's ping a turn."""
    connection = yield from _connected(user)
    loops = user.scenario.loops
    while connection.pinged < loops:
        connection.send_app_ping((yield THOUGHT))


def silence(user: LoopUser) -> Generator[Await, Any, None]:
    """The think-time loop of the reference run: it sends nothing, and the connection is held."""
    yield from _connected(user)
    if user.scenario.loops:
        yield SILENCE


BUILT_IN: dict[str, LoopSession] = {"protocol": protocol_pings, "app": app_pings, "none": silence}
"""The built-in sessions by a loop's `ping`."""
