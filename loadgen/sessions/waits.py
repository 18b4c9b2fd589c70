"""A connection that sessions and tasks wait for, and how they are resumed.

On the trampoline each wait suspends the session on its user (see driver.py), without an asyncio
task or future. In a task, which has its own way to wait, each awaits a future.
"""

import asyncio
from collections.abc import Callable, Generator
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

from loadgen.net.connection import Connection, Owner, Terms
from loadgen.net.states import CLOSING, CUT, OPEN
from loadgen.sessions.errors import ConnectFailed, ConnectionEnded
from loadgen.sessions.inbox import UNREAD, Inbox
from loadgen.stats.recorder import Recorder

Handler = Callable[[str | bytes], object]
"""Takes a message; something true means that the session does not get it."""


class Awaited(Enum):
    """The events that a session awaits on a connection."""

    OPENING = auto()
    MESSAGE = auto()
    PONG = auto()
    ROOM = auto()
    END = auto()


_LAST_STATES = {
    Awaited.OPENING: CUT,
    Awaited.MESSAGE: CLOSING,
    Awaited.PONG: OPEN,
    Awaited.ROOM: OPEN,
    Awaited.END: CUT,
}
"""The last state of a connection in which each may still come."""


class Holder(Owner, Protocol):
    """The user of a session, which waits for what happens on a connection."""

    burst: int
    """Bytes sent since others had their turn."""

    @property
    def woken(self) -> float | None:
        """The end of the think time that the session has just left, else None.

        It is in seconds on the monotonic clock.
        """

    def wait_for(
        self, socket: "AwaitedConnection", what: Awaited, seconds: float | None
    ) -> Generator[Any, Any, Any]:
        """Suspends the session, or a task, until something happens on a connection.

        Raises TimeoutError after a number of seconds.
        """

    def happened(self, what: "AwaitedConnection", value: Any) -> None:
        """Resumes the session with a value, if it waits for this connection."""

    def handle(self, handler: Handler, message: str | bytes) -> bool:
        """Calls a handler of messages; True: the session does not get the message.

        A handler that raises ends the session.
        """

    def broken_off(self, what: "AwaitedConnection", reason: str) -> None:
        """Raises ConnectionEnded in the session, if it waits for this connection."""


class Waiter(NamedTuple):
    """A task that waits for a connection."""

    what: Awaited
    ping: int
    """The number of the ping whose pong it awaits, or any number."""
    future: "asyncio.Future[Any]"


class AwaitedConnection(Connection):
    """A connection with those who wait for it, and the messages that wait."""

    __slots__ = ("awaited", "due", "inbox", "waiters")

    owner: Holder

    def __init__(self, recorder: Recorder, terms: Terms, owner: Holder, due: float) -> None:
        super().__init__(recorder, terms, owner)
        self.due = due
        """The time at which it was due to be dialed; seconds on the monotonic clock."""
        self.awaited: Awaited | None = None
        """The event of it that the session awaits on the trampoline."""
        self.waiters: list[Waiter] | None = None
        """The tasks that wait for it, in the order of asking; None without one."""
        self.inbox: Inbox | None = None
        """Messages that came before the session awaited them."""

    @property
    def open(self) -> bool:
        """True while messages may be sent."""
        return self.state == OPEN

    def _await(self, what: Awaited, timeout: float | None) -> Generator[Any, Any, Any]:
        if self.state > _LAST_STATES[what]:
            raise ConnectionEnded(self.reason or "closed")
        return self.owner.wait_for(self, what, timeout)

    async def future(self, what: Awaited, seconds: float | None) -> Any:
        """Waits as a task does, after those that asked before.

        Raises TimeoutError after a number of seconds.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiter = Waiter(what, self.pinged, future)
        if self.waiters is None:
            self.waiters = []
        self.waiters.append(waiter)
        try:
            if seconds is None:
                value = await future
            else:
                async with asyncio.timeout(seconds):
                    value = await future
        except BaseException:  # most often cancelled; its message is for the next one
            # The exception of one that is not awaited any more counts as retrieved.
            if future.done() and not future.cancelled() and future.exception() is None:
                self._give_back(what, future.result())
            raise
        finally:
            self.waiters.remove(waiter)
            self.waiters = self.waiters or None
        return value

    def happened(self, what: Awaited, value: Any) -> bool:
        """Resumes those who await it, of a message the first; False when it takes none."""
        # Subtle: a session that waits on the trampoline has asked before all tasks.
        taken = self.awaited is what
        if taken:
            self.owner.happened(self, value)
            if what is Awaited.MESSAGE:
                return True
        for waiter in self.waiters or ():
            if waiter.what is what and not waiter.future.done():
                waiter.future.set_result(value)
                if what is Awaited.MESSAGE:
                    return True
                taken = True
        return taken

    def _any_waits(self, what: Awaited) -> bool:
        return self.waiters is not None and any(one.what is what for one in self.waiters)

    def end_waits(self, reason: str) -> None:
        """Resumes the tasks that wait for it: it has ended."""
        for what, _, future in self.waiters or ():
            if future.done():
                continue
            if what is Awaited.END:
                future.set_result(None)
            elif what is Awaited.OPENING:
                future.set_exception(ConnectFailed(reason))
            else:
                future.set_exception(ConnectionEnded(reason))

    def _shut(self) -> None:
        """Awaits nothing more of the server but the end of TCP, and nor does the session."""
        super()._shut()
        if self.awaited is not None and self.awaited is not Awaited.END:
            self.owner.broken_off(self, self.reason or "closed")
        for waiter in self.waiters or ():
            if waiter.what is not Awaited.END and not waiter.future.done():
                waiter.future.set_exception(ConnectionEnded(self.reason or "closed"))

    def resume_writing(self) -> None:
        """Resumes a session that waits for room."""
        super().resume_writing()
        self.happened(Awaited.ROOM, None)

    def _keep(self, message: str | bytes) -> None:
        if self.inbox is None:
            self.inbox = Inbox()
        dropped = self.inbox.keep(message)
        if dropped:
            self.recorder.tally.count(UNREAD, dropped)

    def _give_back(self, what: Awaited, value: Any) -> None:
        if what is Awaited.MESSAGE and not self.happened(what, value):
            if self.inbox is None:
                self.inbox = Inbox()
            self.inbox.put_back(value)
