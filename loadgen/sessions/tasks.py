"""The asyncio tasks that sessions start; each belongs to its user.

They are cancelled when the session ends, and an exception that was not retrieved ends the session.
Tasks that a library starts for itself, such as a pool that users share, belong to the library.
"""

import asyncio
import sys
import sysconfig
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from inspect import iscoroutine
from typing import Any
from weakref import WeakSet

from loadgen.sessions.errors import ConnectFailed, ConnectionEnded
from loadgen.sessions.trampoline import BaseUser
from loadgen.stats.reasons import UNCLEAN_CLOSE, is_sessions_own

LEAVE_TIMEOUT = 1.0
"""Seconds that the tasks of a session have to end once they are cancelled."""
_LIBRARIES = tuple(
    sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_MEMBERS = ("asyncio", __name__)
"""The first parts of modules that start tasks for those who call them."""


class TaskOwner(BaseUser):
    """A user whose session may start tasks."""

    __slots__ = ("tasks",)

    def __init__(self, number: int, due: float) -> None:
        super().__init__(number, due)
        self.tasks: UserTasks | None = None
        """Its tasks; None until its session starts one, and once it is over."""

    def own_tasks(self) -> "UserTasks":
        """Returns its tasks, from the first use on."""
        if self.tasks is None:
            self.tasks = UserTasks(self)
        return self.tasks

    def task_failed(self) -> None:
        """Ends the session: the exception of a task was not retrieved."""
        raise NotImplementedError

    def tasks_over(self) -> None:
        """Ends the user, if its session is over: no task runs any more."""
        raise NotImplementedError


class UserTasks:
    """The tasks of one user that have not ended, and what became of the others."""

    __slots__ = ("_failed", "_owner", "_pauses", "end", "error", "reason", "running", "timer")

    def __init__(self, owner: TaskOwner) -> None:
        self._owner = owner
        self.running: set[asyncio.Task[Any]] = set()
        self._failed: WeakSet[asyncio.Task[Any]] = WeakSet()
        """Those that raised. Weak: asyncio tells of an exception when its task is freed."""
        self._pauses: set[asyncio.Future[None]] = set()
        """The think times of tasks."""
        self.error: BaseException | None = None
        """The first exception that can't be retrieved any more."""
        self.end: BaseException | None = None
        """What ended the session."""
        self.reason = ""
        """Why plan, operator or a task end the session; "" while they do not."""
        self.timer: asyncio.TimerHandle | None = None
        """Ends the user although tasks run."""

    def add(self, task: "SessionTask") -> None:
        """Takes a task that was started."""
        self.running.add(task)
        task.add_done_callback(self._done)

    def cancel(self) -> None:
        """Cancels those that run."""
        for task in tuple(self.running):
            task.cancel()

    def fail(self, error: BaseException) -> bool:
        """Takes an exception that can't be retrieved any more.

        Returns False once the user is over.
        """
        if self._owner.tasks is not self:
            return False
        if not _is_expected(error) and self.error is None:
            self.error = error
            asyncio.get_running_loop().call_soon(self._owner.task_failed)
        return True

    def take_error(self) -> BaseException | None:
        """Returns an exception that was not retrieved, if there is one."""
        for task in tuple(self._failed):
            if _is_unretrieved(task):
                error = task.exception()
                if self.error is None and error is not None and not _is_expected(error):
                    self.error = error
        return self.error

    async def pause(self, seconds: float) -> None:
        """Waits; raises ConnectionEnded when `interrupt` says so."""
        with self._paused() as future:
            try:
                async with asyncio.timeout(seconds):
                    await future
            except TimeoutError:
                return

    def interrupt(self, reason: str) -> None:
        """Raises ConnectionEnded in the tasks that think: no connection is left."""
        for future in self._pauses:
            if not future.done():
                future.set_exception(ConnectionEnded(reason))

    @contextmanager
    def _paused(self) -> "Iterator[asyncio.Future[None]]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pauses.add(future)
        try:
            yield future
        finally:
            self._pauses.discard(future)
            future.cancel()

    def _done(self, task: "SessionTask") -> None:
        self.running.discard(task)
        task.forget()
        if _is_unretrieved(task):
            self._failed.add(task)
        if not self.running and self._owner.tasks is self:
            self._owner.tasks_over()


class SessionTask(asyncio.Task[Any]):
    """A task of a user's session."""

    __slots__ = ("_awaits", "owned")

    def __init__(self, awaits: Awaitable[Any], owned: UserTasks, **options: Any) -> None:
        """`owned` are all tasks of its user, which it joins."""
        self._awaits: Awaitable[Any] | None = awaits
        self.owned = owned
        super().__init__(_contained(awaits, owned), **options)
        owned.add(self)

    def forget(self) -> None:
        """Frees what it awaited, which never ran if it was cancelled before."""
        if iscoroutine(self._awaits):
            self._awaits.close()
        self._awaits = None


async def _contained(awaits: Awaitable[Any], owned: UserTasks) -> Any:
    """Awaits it; a task that wants to end the whole process ends its session alone."""
    try:
        return await awaits
    except (KeyboardInterrupt, SystemExit) as error:
        owned.fail(error)
        raise asyncio.CancelledError from None


async def _awaited(awaits: Awaitable[Any]) -> Any:
    return await awaits


def own_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Makes the tasks that sessions start on this loop their own."""
    loop.set_task_factory(_new_task)  # type: ignore[arg-type]  # it takes any awaitable
    loop.set_exception_handler(_handle)


def _new_task(
    loop: asyncio.AbstractEventLoop, coro: Awaitable[Any], **options: Any
) -> "asyncio.Task[Any]":
    """Returns a task for any awaitable, also for one that asyncio would refuse.

    No task runs before the one that starts it has had its turn: a session waits in another way than
    its tasks do.
    """
    options.pop("eager_start", None)
    current = asyncio.current_task(loop)
    if isinstance(current, TaskOwner):
        owned: UserTasks | None = current.own_tasks()
    else:
        owned = current.owned if isinstance(current, SessionTask) else None
    if owned is not None and _by_session():
        return SessionTask(coro, owned, loop=loop, **options)
    return asyncio.Task(coro if iscoroutine(coro) else _awaited(coro), loop=loop, **options)


def _by_session() -> bool:
    """Returns False when a library starts the task that is being made."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in _MEMBERS:
        frame = frame.f_back
    return not frame.f_code.co_filename.startswith(_LIBRARIES)


def _handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Gives a user the exceptions of its tasks; all else is logged as always."""
    task, error = context.get("future"), context.get("exception")
    if not (isinstance(task, SessionTask) and error is not None and task.owned.fail(error)):
        loop.default_exception_handler(context)


def _is_unretrieved(task: "asyncio.Task[Any]") -> bool:
    return task._log_traceback


def cause_of(end: BaseException) -> BaseException:
    """Returns the exception that ended a session, of a group that which says most."""
    if not isinstance(end, BaseExceptionGroup):
        return end
    causes = [cause_of(one) for one in end.exceptions]
    return next(
        (one for one in causes if not isinstance(one, ConnectFailed | ConnectionEnded)), causes[0]
    )


def _is_expected(error: BaseException) -> bool:
    """Returns True for the end of a connection that the session itself closed."""
    reason = str(error)
    return isinstance(error, ConnectionEnded) and (
        is_sessions_own(reason) or reason == UNCLEAN_CLOSE
    )
