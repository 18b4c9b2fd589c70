"""A user as asyncio's current task.

Libraries ask for the current task, such as asyncio.timeout. A session is driven by hand, without a
Task, and its user stands in for one (https://docs.python.org/3/library/asyncio-extending.html).
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loadgen.sessions.tasks import TaskOwner


class CurrentTask(TaskOwner):
    """A user with the part of asyncio.Task that libraries use of the current task."""

    __slots__ = ("_cancelling", "_must_cancel", "_waiting")

    def __init__(self, number: int, due: float) -> None:
        super().__init__(number, due)
        self._waiting: object = None
        """The Pause, WebSocket or future that the session awaits; None while it runs."""
        self._cancelling = 0
        self._must_cancel = False
        """True while a CancelledError is still to be raised in the session."""

    def _go_on(self, value: Any, *about: str) -> None:
        """Runs the session to its next await; a value that is an exception is raised."""
        raise NotImplementedError

    def cancel(self, msg: object = None) -> bool:
        """Raises CancelledError where the session waits, in the loop's next turn."""
        if self.coroutine is None:
            return False
        self._cancelling += 1
        if asyncio.isfuture(self._waiting) and self._waiting.cancel(msg):
            return True
        if not self._must_cancel:
            self._must_cancel = True
            asyncio.get_running_loop().call_soon(self._raise_cancelled)
        return True

    def _raise_cancelled(self) -> None:
        if not self._must_cancel or self.coroutine is None:
            return
        self._must_cancel = False
        if not (asyncio.isfuture(self._waiting) and self._waiting.cancel()):
            self._go_on(asyncio.CancelledError)

    def cancelling(self) -> int:
        """Returns how many requests to cancel are pending."""
        return self._cancelling

    def uncancel(self) -> int:
        """Takes back one request to cancel; returns how many are left."""
        self._cancelling = max(0, self._cancelling - 1)
        if not self._cancelling:
            self._must_cancel = False
        return self._cancelling

    def done(self) -> bool:
        """True when the session is over."""
        return self.coroutine is None

    def get_name(self) -> str:
        """Returns a name, as tasks have one."""
        return f"user-{self.number}"


@contextmanager
def as_current_task(loop: asyncio.AbstractEventLoop, user: CurrentTask) -> Iterator[None]:
    """Makes the user the loop's current task, as asyncio documents it."""
    outer = asyncio.current_task(loop)
    if outer is not None:
        asyncio.tasks._leave_task(loop, outer)
    asyncio.tasks._enter_task(loop, user)  # type: ignore[arg-type]  # has what libraries ask for
    try:
        yield
    finally:
        asyncio.tasks._leave_task(loop, user)  # type: ignore[arg-type]
        if outer is not None:
            asyncio.tasks._enter_task(loop, outer)
