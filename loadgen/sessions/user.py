"""A user as a session written in Python sees it: what it may await and count.

A session awaits the clock (think), a connection (connect, receive, ping, close) or any awaitable of
asyncio. A task that it starts may await the same, by futures. The session itself is driven by hand,
without a Task; for libraries that ask for the current task, such as asyncio.timeout, the user
stands in for one (https://docs.python.org/3/library/asyncio-extending.html).
"""

import asyncio
import reprlib
import traceback
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from time import monotonic
from types import coroutine
from typing import TYPE_CHECKING, Any

from loadgen.net.connection import FAILED, UPGRADING, Connection, Terms
from loadgen.net.route import Route
from loadgen.plan.request import Headers, RequestError, with_origin
from loadgen.plan.seeded import SeededRandom
from loadgen.sessions.compressed import session_kind
from loadgen.sessions.errors import CheckFailed, ConnectFailed, ConnectionEnded
from loadgen.sessions.scenario import NO_SETUP, Scenario
from loadgen.sessions.tasks import LEAVE_TIMEOUT, TaskOwner, cause_of
from loadgen.sessions.think_times import ThinkTimes
from loadgen.sessions.user_state import Pause, UserState
from loadgen.sessions.websocket import Awaited, Handler, WebSocket
from loadgen.stats.reasons import BAD_REQUEST, DONE, DRAINED, ERROR, NOT_CONNECTED, TIMEOUT
from loadgen.stats.recorder import (
    MAX_CHECK_SAMPLES,
    MAX_REMARK_LENGTH,
    Recorder,
    microseconds,
    sendable,
)
from loadgen.stats.tally import CHECK, MEET, name_of

if TYPE_CHECKING:
    from aiohttp import CookieJar

    from loadgen.sessions.http import UserHttp

BLOCKED_AFTER = 0.5
"""Seconds that a session may run without an await before it counts as blocking its whole worker."""
MAX_SAMPLE_LENGTH = 8192
"""Characters of a traceback that a sample keeps: those of its beginning and of its end."""

_ASKED = StopIteration | asyncio.CancelledError | ConnectionEnded
"""What may end a session that is told to end."""

Session = Callable[["User"], Coroutine[Any, Any, None]]


def _failed_check(number: int, name: str, condition: object, sample: object) -> str:
    """Returns the sample of a failed check, with the author's line."""
    line = "".join(traceback.format_list(traceback.extract_stack(limit=3)[:1]))
    lines = [f"user {number}: check {name!r} failed: the condition was {reprlib.repr(condition)}"]
    if sample is not None:
        lines.append(sample if isinstance(sample, str) else repr(sample))
    return "\n".join([*lines, line])[:MAX_SAMPLE_LENGTH]


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


@contextmanager
def _current(loop: asyncio.AbstractEventLoop, user: "User") -> Iterator[None]:
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


class User(TaskOwner):
    """One user of the whole fleet, from its arrival to the end of its session."""

    __slots__ = (
        "_alarm",
        "_cancelling",
        "_deadline",
        "_jar",
        "_must_cancel",
        "_random",
        "_vars",
        "_waiting",
        "burst",
        "raised",
        "recorder",
        "scenario",
        "sockets",
    )

    def __init__(self, scenario: Scenario, number: int, due: float) -> None:
        super().__init__(number, due)
        self.scenario = scenario
        self.recorder: Recorder = scenario.recorder
        self.sockets: tuple[WebSocket, ...] = ()
        """Its connections that have not ended."""
        self.burst = 0
        """Bytes sent since others had their turn; see WebSocket.send."""
        self.raised = False
        """True once its session has ended by an exception, or a script by its error."""
        self._waiting: object = None
        """The Pause, WebSocket or future that the session awaits; None while it runs."""
        self._deadline = inf
        """The time at which the wait ends at the latest; seconds on the monotonic clock."""
        self._alarm = inf
        """The time at which its place on the wheel is due.

        Subtle: a user may have older places on the wheel, which stay there; they are due at other
        times, and so `resume` ignores them."""
        self._cancelling = 0
        self._must_cancel = False
        """True while a CancelledError is still to be raised in the session."""
        self._jar: CookieJar | None = None
        """Its cookies; None until an HTTP reply sets one."""
        self._random: SeededRandom | None = None
        self._vars: dict[str, Any] | None = None

    # What sessions use.

    @property
    def agent(self) -> str:
        """The name of the agent that it runs on."""
        return self.scenario.agent

    @property
    def target(self) -> str:
        """The URL of its target."""
        return self.scenario.route_of(self.number).url

    @property
    def random(self) -> SeededRandom:
        """A generator like random.Random; one plan gives a user the same numbers."""
        if self._random is None:
            self._random = SeededRandom(self.scenario.seed, self.number)
        return self._random

    @property
    def vars(self) -> dict[str, Any]:
        """Values that the session keeps by name."""
        if self._vars is None:
            self._vars = {}
        return self._vars

    @property
    def http(self) -> "UserHttp":
        """HTTP requests: `async with user.http.post(url, json=…) as reply:`."""
        # Here, since it loads aiohttp: workers whose sessions send no request do without.
        from loadgen.sessions.http import UserHttp  # noqa: PLC0415

        return UserHttp(self)

    def cookie_jar(self, wanted: bool) -> "CookieJar | None":
        """Returns its cookies, or None; with `wanted` it makes a jar for them."""
        if self._jar is None and wanted:
            from loadgen.sessions.http import new_jar  # noqa: PLC0415

            self._jar = new_jar()
        return self._jar

    @property
    def row(self) -> Mapping[str, Any]:
        """Its row of the plan's feeders, read only and read anew each time.

        A user that comes back has the same one. Raises RuntimeError where the plan has no feeder
        for its session.
        """
        rows = self.scenario.rows
        if rows is None:
            raise RuntimeError(
                f"user.row needs a plan with [[feeders]] for the session {self.scenario.name!r}"
            )
        return rows[self.number]

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters of the plan, by name; read only.

        A name that the plan does not have raises KeyError.
        """
        return self.scenario.params

    @property
    def data(self) -> Any:
        """The value that the plan's setup returned; all users of a worker share it.

        Raises RuntimeError where the plan has no setup.
        """
        data = self.scenario.data
        if data is NO_SETUP:
            raise RuntimeError("user.data needs a plan with [setup], or --setup FILE.py")
        return data

    @property
    def think(self) -> ThinkTimes:
        """Think times in seconds: `think(30)`, `think.uniform(1, 5)` and others."""
        return ThinkTimes(self)

    @coroutine
    def connect(
        self,
        resource: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        origin: str = "",
        url: str = "",
        timeout: float | None = None,
        read_rate: float = 0.0,
    ) -> Generator[Any, Any, WebSocket]:
        """Opens a connection to the target.

        `resource` is another path and query. A header replaces the plan's of the same name, and
        `subprotocols` replace the plan's; one of them may be a str. `url` is another of the plan's
        targets, `timeout` is in seconds, `read_rate` the most that the connection reads, in bytes a
        second.

        Raises ConnectFailed, counted by its reason; ValueError for a URL that is not in the plan.
        """
        scenario = self.scenario
        route = scenario.route_to(self.number, url)
        own = with_origin((headers or {}).items(), origin)
        offer = (subprotocols,) if isinstance(subprotocols, str) else tuple(subprotocols)
        terms = self._terms(route, resource, own, offer, read_rate)
        if terms is None:
            yield None  # others get their turn: the session may try the same again at once
            raise ConnectFailed(BAD_REQUEST)
        now = monotonic()
        due = now if self.due is None else self.due
        answers = scenario.replies is not None
        kind = session_kind(terms, receives=scenario.receives, answers=answers)
        socket = kind(self.recorder, terms, self, due)
        scenario.connections.dial(socket, route.dialer, now, planned=self.due is not None)
        self._hold((*self.sockets, socket))
        try:
            yield from self.wait_for(socket, Awaited.OPENING, timeout)
        except TimeoutError:
            scenario.connections.abort(socket, TIMEOUT)
            raise ConnectFailed(TIMEOUT) from None
        except asyncio.CancelledError:
            leaving = "" if self.tasks is None else self.tasks.reason
            scenario.connections.abort(socket, leaving or TIMEOUT)
            raise
        return socket

    def _terms(
        self,
        route: Route,
        resource: str,
        headers: Headers,
        subprotocols: tuple[str, ...],
        read_rate: float,
    ) -> Terms | None:
        """Returns the terms of a connection.

        Returns None, and counts it as failed, when its request can't be sent.
        """
        scenario = self.scenario
        try:
            return route.terms(0.0, resource, headers, scenario.wrap(read_rate), subprotocols)
        except RequestError as error:
            self.recorder.sample(BAD_REQUEST, self.number, f"{error}\n")
        scenario.connections.refuse(BAD_REQUEST, planned=self.due is not None)
        self.due = None
        return None

    def count(self, name: str, by: int = 1) -> None:
        """Adds to a counter that the session names."""
        tally = self.recorder.tally
        if name not in tally.counters:
            name = self.recorder.name_for("counters", name, self.number)
        tally.count(name, by)

    def check(
        self, name: str, condition: object, *, fatal: bool = False, sample: object = None
    ) -> bool:
        """Counts a check as passed or failed; returns whether its condition is true.

        `sample` is what was checked: the report shows that of the first failure. A failed check
        that is `fatal` raises CheckFailed, which ends the session unless it is caught.
        """
        passed = bool(condition)
        tally = self.recorder.tally
        counted = name
        if name not in tally.checks:
            counted = self.recorder.name_for("checks", name, self.number)
        tally.check(counted, passed=passed)
        if not passed:
            reason = f"{CHECK}{name_of(name)}"
            if self.recorder.claim(reason, MAX_CHECK_SAMPLES):
                self.recorder.samples[reason] = _failed_check(self.number, name, condition, sample)
            if fatal:
                raise CheckFailed(name)
        return passed

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Times a block under a name; a block that raises is not timed."""
        begin = monotonic()
        yield
        self.took(name, monotonic() - begin)

    @contextmanager
    def transaction(self, name: str) -> Iterator[None]:
        """Times a block as `tr_NAME`; a block that raises is counted as `tr_NAME_failed`."""
        begin = monotonic()
        try:
            yield
        except BaseException:  # cancelled or drained in the middle is not done either
            self.count(f"tr_{name}_failed")
            raise
        self.took(f"tr_{name}", monotonic() - begin)

    def stamp(self, channel: str = "") -> str:
        """Returns the stamp of a publication, to be sent at once as a part of a message.

        Its delivery is measured: all subscribers of the channel have to receive it, without a
        channel all subscribers.

        Raises RuntimeError where the plan has no `[publish]` table with `by = "session"`.
        """
        deliveries = self.recorder.deliveries
        if deliveries is None or not deliveries.publisher:
            raise RuntimeError('user.stamp() needs a plan with [publish] and by = "session" in it')
        channel.encode()  # raises for surrogates, which can't be told to other workers
        return deliveries.publish(channel, monotonic())

    async def meet(self, users: int) -> None:
        """Waits until a number of users of the whole fleet have come to this call."""
        self.count(f"{MEET}{users}")
        await self.scenario.population.meeting(users)

    def remark(self, text: str) -> None:
        """Writes a line into the agent's log; a worker writes the first few each second."""
        self.recorder.remark(f"user {self.number}: {text}")

    def abort_run(self, why: str) -> None:
        """Drains the whole run, which has failed; `why` is for the report."""
        self.recorder.abort = self.recorder.abort or sendable(why, MAX_REMARK_LENGTH)

    def took(self, name: str, seconds: float) -> None:
        """Records a duration in seconds under a name."""
        tally = self.recorder.tally
        if name not in tally.timings:
            name = self.recorder.name_for("timings", name, self.number)
        tally.time(name, microseconds(seconds))

    # The trampoline.

    @property
    def state(self) -> UserState:
        """The state of its session."""
        if self.coroutine is None:
            return UserState.OVER
        if self._waiting is None:
            return UserState.RUNNING
        if isinstance(self._waiting, Pause):
            return UserState[self._waiting.name]
        on_connection = isinstance(self._waiting, WebSocket)
        return UserState.ON_CONNECTION if on_connection else UserState.ON_FUTURE

    @property
    def woken(self) -> float | None:
        """The end of the think time that its session has just left, else None.

        It is in seconds on the monotonic clock.
        """
        return self.scenario.woken

    def start(self, session: Session) -> None:
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
        self, socket: WebSocket, what: Awaited, seconds: float | None
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

    def happened(self, what: WebSocket, value: Any) -> None:
        """Resumes the session with a value, if it waits for this connection."""
        if self._waiting is what:
            self._go_on(value)

    def broken_off(self, what: WebSocket, reason: str) -> None:
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
            with _current(asyncio.get_running_loop(), self):
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
        with _current(loop, self):
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
        elif isinstance(awaits, Pause | WebSocket):
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

    def opened(self, connection: Connection, now: float) -> None:
        """Resumes the session with its connection: the 101 is valid. `now` is monotonic."""
        assert isinstance(connection, WebSocket)
        self.due = None
        self.scenario.connections.opened(connection, connection.due, now)
        connection.happened(Awaited.OPENING, None)

    def ended(self, connection: Connection, reason: str) -> None:
        """Ends the wait of a session for this connection.

        A session that thinks goes on when its last connection has ended.
        """
        assert isinstance(connection, WebSocket)
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

    def _resume_at_end(self, socket: WebSocket, reason: str) -> None:
        if socket.awaited is Awaited.END:
            self._go_on(None)
        elif socket.awaited is Awaited.OPENING:
            self._go_on(ConnectFailed, reason)
        else:
            self._go_on(ConnectionEnded, reason)

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
        population.ended(self, reason, failed=failed, raised=self.raised)

    def _hold(self, sockets: tuple[WebSocket, ...]) -> None:
        if sockets:
            self.scenario.population.idle.pop(self, None)
        elif self.sockets:
            self.scenario.population.idle[self] = None
        self.sockets = sockets

    # The end of a session that has started tasks.

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
            self.remark(f"{len(tasks.running)} of its tasks did not end when they were cancelled")
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

    # The part of asyncio.Task that libraries use of the current task.

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
