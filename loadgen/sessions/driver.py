"""The session of a user as it is driven: what it awaits, and how it ends.

A session awaits the clock (think), a connection (connect, receive, ping, close) or any awaitable of
asyncio. A task that it starts may await the same, by futures.
"""

import asyncio
import reprlib
import traceback
from collections.abc import Callable, Coroutine, Generator
from math import inf
from time import monotonic
from types import coroutine
from typing import Any, Self

from loadgen.net.connection import Connection
from loadgen.net.states import FAILED, UPGRADING
from loadgen.sessions.current_task import CurrentTask, as_current_task
from loadgen.sessions.errors import ConnectFailed, ConnectionEnded
from loadgen.sessions.scenario import Scenario
from loadgen.sessions.tasks import LEAVE_TIMEOUT, cause_of
from loadgen.sessions.user_state import Pause, UserState
from loadgen.sessions.waits import Awaited, AwaitedConnection, Handler
from loadgen.stats.reasons import DONE, DRAINED, ERROR, NOT_CONNECTED
from loadgen.stats.recorder import Recorder
from loadgen.stats.tally import name_of

BLOCKED_AFTER = 0.5
"""Seconds that a session may run without an await before it counts as blocking its whole worker."""
MAX_SAMPLE_LENGTH = 8192
"""Characters of a traceback that a sample keeps: those of its beginning and of its end."""

_ASKED = StopIteration | asyncio.CancelledError | ConnectionEnded
"""The exceptions by which a session may end when it is told to."""


def _shortened(text: str) -> str:
    """Returns a traceback without its middle, where it is long.

    The author's lines begin it, and the message that ends it may be long.
    """
    if len(text) <= MAX_SAMPLE_LENGTH:
        return text
    return f"{text[: MAX_SAMPLE_LENGTH // 4]}\n…\n{text[-3 * MAX_SAMPLE_LENGTH // 4 :]}"


def _call(handler: Handler, message: str | bytes) -> bool:
    """Returns True when a handler takes a message.

    Raises TypeError when it wants to wait.
    """
    answer = handler(message)
    if asyncio.iscoroutine(answer):
        answer.close()
        raise TypeError("a handler of messages can't wait: use send_soon(), not send()")
    return bool(answer)


class SessionDriver(CurrentTask):
    """A user whose session is driven on the trampoline."""

    __slots__ = (
        "_alarm",
        "_deadline",
        "_vars",
        "burst",
        "raised",
        "recorder",
        "scenario",
        "sockets",
    )

    def __init__(self, scenario: Scenario, number: int, due: float) -> None:
        super().__init__(number, due)
        self.scenario = scenario
        self.recorder: Recorder = scenario.recorder_of(number)
        self.sockets: tuple[AwaitedConnection, ...] = ()
        """Its connections that have not ended."""
        self.burst = 0
        """Bytes sent since others had their turn; see WebSocket.send."""
        self.raised = False
        """True once its session has ended by an exception, or a script by its error."""
        self._deadline = inf
        """The time at which the wait ends at the latest; seconds on the monotonic clock."""
        self._alarm = inf
        """The time at which its place on the wheel is due.

        Subtle: a user may have older places on the wheel, which stay there; they are due at other
        times, and so `resume` ignores them."""
        self._vars: dict[str, Any] | None = None
        """The values that the session keeps by name."""

    # What it awaits.

    @property
    def state(self) -> UserState:
        """The state of its session."""
        if self.coroutine is None:
            return UserState.OVER
        if self._waiting is None:
            return UserState.RUNNING
        if isinstance(self._waiting, Pause):
            return UserState[self._waiting.name]
        on_connection = isinstance(self._waiting, AwaitedConnection)
        return UserState.ON_CONNECTION if on_connection else UserState.ON_FUTURE

    @property
    def woken(self) -> float | None:
        """The end of the think time that its session has just left, else None.

        It is in seconds on the monotonic clock.
        """
        return self.scenario.woken

    def start(self, session: Callable[[Self], Coroutine[Any, Any, None]]) -> None:
        """Starts the session."""
        self.scenario.population.idle[self] = None
        try:
            coroutine = session(self)
        except BaseException as error:  # a TypeError, most likely: it does not take one user
            self.session_ended(error)
            return
        if not isinstance(coroutine, Coroutine):
            what = reprlib.repr(coroutine)
            self.session_ended(TypeError(f"the session returned {what}; write it as async def"))
            return
        self.coroutine = coroutine
        self._go_on(None)

    def resume(self, due: float) -> bool:
        """Goes on when its place on the wheel is due.

        `due` is seconds on the monotonic clock. Returns False: the wheel keeps no place for it.
        """
        if due == self._alarm:
            self._alarm = inf
            if self._deadline > due:
                if self._deadline < inf:
                    self._alarm = self.scenario.wake_at(self, self._deadline)
            elif self._waiting is Pause.THINKING:
                self.scenario.woken = due
                self._go_on(None)
                self.scenario.woken = None
            elif self._waiting is not None:
                self._go_on(TimeoutError)
        return False

    @coroutine
    def pause(self, seconds: float) -> Generator[Any, Any, None]:
        """Waits on the wheel for a number of seconds; a task waits in its own way."""
        if self._waiting is not None or self.coroutine is None:
            over = self.coroutine is None and self.tasks is None
            wait = asyncio.sleep(seconds) if over else self.own_tasks().pause(seconds)
            yield from wait.__await__()
            return
        self._set_deadline(seconds)
        yield Pause.THINKING

    def wait_for(
        self, socket: AwaitedConnection, what: Awaited, seconds: float | None
    ) -> Generator[Any, Any, Any]:
        """Suspends the session until `happened` reports this connection.

        A task awaits a future instead, and so does the session if a task waits for the same
        connection already: then they have their turns in the order of asking.

        Raises TimeoutError after a number of seconds; None: it waits without a bound.
        """
        if self._waiting is not None or self.coroutine is None or socket.waiters is not None:
            return (yield from socket.future(what, seconds).__await__())
        if seconds is not None:
            self._set_deadline(seconds)
        socket.awaited = what
        try:
            return (yield socket)
        finally:
            socket.awaited = None

    def happened(self, what: AwaitedConnection, value: Any) -> None:
        """Resumes the session with a value, if it waits for this connection."""
        if self._waiting is what:
            self._go_on(value)

    def broken_off(self, what: AwaitedConnection, reason: str) -> None:
        """Raises ConnectionEnded in the session, if it waits for this connection."""
        if self._waiting is what:
            self._go_on(ConnectionEnded, reason)

    def handle(self, handler: Handler, message: str | bytes) -> bool:
        """Calls a handler of messages; True: the session does not get the message.

        A handler that raises ends the session, as one that the session did not catch.
        """
        if self.coroutine is None:
            return False
        began = monotonic()
        try:
            with as_current_task(asyncio.get_running_loop(), self):
                taken = _call(handler, message)
        except BaseException as error:  # also SystemExit: it ends this user alone
            if self.tasks is not None:
                self.tasks.fail(error)
            elif self._close_coroutine():
                self.session_ended(error)
            return True
        took = monotonic() - began
        if took > BLOCKED_AFTER:
            self.scenario.count_blocked(self.number, took)
        return taken

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = monotonic() + seconds
        if self._deadline < self._alarm:
            self._alarm = self.scenario.wake_at(self, self._deadline)

    def _go_on(self, value: Any, *about: str) -> None:
        """Runs the session to its next await; a value that is an exception is raised."""
        self._waiting = None
        self._deadline = inf
        loop = asyncio.get_running_loop()
        began = monotonic()
        with as_current_task(loop, self):
            awaits = self.throw(value, *about) if isinstance(value, type) else self.send(value)
        took = monotonic() - began
        if took > BLOCKED_AFTER:
            self.scenario.count_blocked(self.number, took)
        if self.coroutine is not None:
            self._wait(awaits, loop)

    def _wait(self, awaits: Any, loop: asyncio.AbstractEventLoop) -> None:
        draining = self.scenario.population.draining and not self._leaving
        if draining and not any(socket.open for socket in self.sockets):
            self.close_all(DRAINED)  # a session that always connects again would never end
        elif isinstance(awaits, Pause | AwaitedConnection):
            self._waiting = awaits
        elif asyncio.isfuture(awaits):
            # Reset, as asyncio's tasks do it: another coroutine may await it next.
            awaits._asyncio_future_blocking = False
            self._waiting = awaits
            awaits.add_done_callback(self._done)
        elif awaits is None:
            self._waiting = Pause.YIELDED
            loop.call_soon(self._done, Pause.YIELDED)
        else:
            self._go_on(TypeError, f"a session can't await {awaits!r}")

    def _done(self, what: object) -> None:
        """Goes on if it still waits for this.

        A future returns its result, or raises, inside of the session.
        """
        if self._waiting is what:
            if asyncio.isfuture(what) and what.cancelled():
                self._must_cancel = False  # it is raised now
            self._go_on(None)

    # What happens on its connections.

    def opened(self, connection: Connection, now: float) -> None:
        """Resumes the session with its connection: the 101 is valid. `now` is monotonic."""
        assert isinstance(connection, AwaitedConnection)
        self.due = None
        self.scenario.connections.opened(connection, connection.due, now)
        connection.happened(Awaited.OPENING, None)

    def ended(self, connection: Connection, reason: str) -> None:
        """Ends the wait of a session for this connection.

        A session that thinks goes on when its last connection has ended.
        """
        assert isinstance(connection, AwaitedConnection)
        self.due = None
        self.scenario.connections.ended(connection, reason)
        self._hold(tuple(socket for socket in self.sockets if socket is not connection))
        connection.end_waits(reason)
        never_open = connection.state == FAILED
        if self.tasks is not None and not self.sockets and not never_open:
            self.tasks.interrupt(reason)
        if self.coroutine is None:
            self._end_user(reason)
        elif self._waiting is connection:
            self._resume_at_end(connection, reason)
        elif self._waiting is Pause.THINKING and not self.sockets and not never_open:
            self._go_on(ConnectionEnded, reason)

    def _resume_at_end(self, socket: AwaitedConnection, reason: str) -> None:
        if socket.awaited is Awaited.END:
            self._go_on(None)
        elif socket.awaited is Awaited.OPENING:
            self._go_on(ConnectFailed, reason)
        else:
            self._go_on(ConnectionEnded, reason)

    # How it ends.

    def close_all(self, reason: str) -> None:
        """Ends the session where it waits, and closes its connections in good order."""
        if self._stop_session(reason):
            self._close_sockets(reason)

    def abort_all(self, reason: str) -> None:
        """Ends the session where it waits, and aborts its connections."""
        if self._stop_session(reason) or self._leaving:
            sockets = self.sockets
            for socket in sockets:
                self.scenario.connections.abort(socket, reason)
            if not sockets:
                self._end_user(reason, failed=self.due is not None)

    def _stop_session(self, reason: str) -> bool:
        """Closes the coroutine; returns False when it was over, fails, or has tasks.

        One with tasks is cancelled, and ends a moment later, for this reason.
        """
        if self.tasks is not None:
            self._cancel_all(reason)
            return False
        return self._close_coroutine()

    def _close_coroutine(self) -> bool:
        running = self.coroutine
        self.coroutine = None
        if running is None:
            return False
        try:
            running.close()
        except BaseException as error:  # of a `finally` block, or for an await in one
            self.session_ended(error)
            return False
        return True

    def session_ended(self, end: BaseException) -> None:
        """Ends the user; the tasks of its session have a moment to end before."""
        tasks = self.tasks
        if tasks is None:
            self._finish(end)
            return
        tasks.end = tasks.take_error() or end
        tasks.cancel()
        self._bound_leave()
        self.tasks_over()

    def _finish(self, end: BaseException) -> None:
        """Closes what the session left open: as done, or for its exception."""
        self.raised = self.raised or not isinstance(end, StopIteration)
        cause = cause_of(end)
        if isinstance(cause, StopIteration | ConnectFailed | ConnectionEnded):
            self._close_sockets(DONE, failed=isinstance(cause, ConnectFailed))
        else:
            reason = f"{ERROR}{name_of(type(cause).__name__)}"
            if self.recorder.claim(reason):
                text = "".join(traceback.format_exception(end))
                self.recorder.samples[reason] = _shortened(text)
            self._close_sockets(reason)

    def _close_sockets(self, reason: str, *, failed: bool = False) -> None:
        sockets = self.sockets
        for socket in sockets:
            if socket.state == UPGRADING:
                self.scenario.connections.abort(socket, reason)
            else:
                socket.begin_close(reason)
        if not sockets:  # else the end of the last connection calls `_end_user`, perhaps just now
            self._end_user(reason, failed=failed or self.due is not None)

    def _end_user(self, reason: str, *, failed: bool = False) -> None:
        """Ends the user; one that never dialed has failed."""
        if self.sockets or self.tasks is not None:
            return
        self._vars = None  # a task in it that failed holds the user, in a circle
        population = self.scenario.population
        population.idle.pop(self, None)
        if self.due is not None:
            reason = NOT_CONNECTED if reason == DONE else reason
            ends = self.recorder.tally.failed
            ends[reason] = ends.get(reason, 0) + 1
        population.ended(self, self.recorder, reason, failed=failed, raised=self.raised)

    def _hold(self, sockets: tuple[AwaitedConnection, ...]) -> None:
        if sockets:
            self.scenario.population.idle.pop(self, None)
        elif self.sockets:
            self.scenario.population.idle[self] = None
        self.sockets = sockets

    # How it ends when it has started tasks.

    @property
    def _leaving(self) -> bool:
        """True when a session with tasks has been told to end."""
        return self.tasks is not None and self.tasks.reason != ""

    def _cancel_all(self, reason: str) -> None:
        """Cancels the session and its tasks, which have a moment to end."""
        tasks = self.tasks
        if tasks is None or tasks.reason or self.coroutine is None:
            return
        tasks.reason = reason
        tasks.cancel()
        self._bound_leave()
        self._cancelling += 1
        self._go_on(asyncio.CancelledError)

    def task_failed(self) -> None:
        """Ends the session: the exception of a task was not retrieved."""
        self._cancel_all(DONE)

    def _bound_leave(self) -> None:
        assert self.tasks is not None
        if self.tasks.timer is None:
            loop = asyncio.get_running_loop()
            self.tasks.timer = loop.call_later(LEAVE_TIMEOUT, self._leave_now)

    def _leave_now(self) -> None:
        """Ends the user, whatever its session and its tasks do."""
        tasks = self.tasks
        if tasks is None:
            return
        if tasks.running:
            left = len(tasks.running)
            self.recorder.remark(
                f"user {self.number}: {left} of its tasks did not end when they were cancelled"
            )
        tasks.running.clear()
        if self.coroutine is None or self._close_coroutine():
            self.tasks_over()

    def tasks_over(self) -> None:
        """Ends the user, if its session is over and no task runs any more."""
        tasks = self.tasks
        if tasks is None or tasks.running or self.coroutine is not None:
            return
        self.tasks = None
        if tasks.timer is not None:
            tasks.timer.cancel()
        end = tasks.end
        if end is None or isinstance(end, StopIteration | asyncio.CancelledError):
            end = tasks.take_error() or end
        tasks.end = tasks.error = None  # its traceback holds the tasks, in a circle
        if tasks.reason and (end is None or isinstance(cause_of(end), _ASKED)):
            self._close_sockets(tasks.reason)
        else:
            assert end is not None
            self._finish(end)
