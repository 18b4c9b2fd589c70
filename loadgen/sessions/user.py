"""A user, as a session written in Python sees it: what it may await, what it may count, and the
trampoline under it.

A session awaits the clock (think), a connection (connect, receive, ping, close) or any awaitable of
asyncio. It is driven by hand and no Task stands behind it; for libraries that ask for the current
task, such as asyncio.timeout, the user stands in for one
(https://docs.python.org/3/library/asyncio-extending.html).
"""

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from time import monotonic
from types import coroutine
from typing import Any, NamedTuple, Protocol

from loadgen.net.connection import Connection
from loadgen.plan.seeded import SeededRandom
from loadgen.sessions.errors import ConnectFailed, ConnectionEnded
from loadgen.sessions.loop import BaseUser
from loadgen.sessions.websocket import Awaited, WebSocket
from loadgen.stats.reasons import DONE, DRAINED, ERROR, TIMEOUT
from loadgen.stats.recorder import microseconds
from loadgen.stats.tally import MAX_NAME_LENGTH, MEET, Tally

BLOCKS = 0.5
"""Seconds that a session may compute, or sleep without await, before it is told that it blocks
its whole worker."""
SAMPLE = 8192
"""The longest traceback kept as a sample, in characters; its end says most."""


class Scenario(Protocol):
    """What a user needs of the part of a worker that it belongs to."""

    agent: str
    """The name of its agent."""
    seed: int

    @property
    def tally(self) -> Tally:
        """Of the current second."""

    def dial(self, user: "User", call: "Call", due: float) -> WebSocket:
        """A connection on its way; raises ValueError for a url that is not one of the plan's."""

    @property
    def draining(self) -> bool:
        """Whether all are to go."""

    def give_up(self, socket: WebSocket, reason: str) -> None:
        """An attempt is to end."""

    def wake(self, user: "User", at: float) -> float:
        """Resumes the user at the first tick that is not before a time; the result is when that
        tick is due."""

    def opened(self, connection: Connection, due: float, now: float) -> None:
        """The 101 was valid."""

    def ended(self, connection: Connection, reason: str) -> None:
        """The connection is over, or never was."""

    def target_of(self, user: "User") -> str:
        """The URL of its target."""

    def sample(self, reason: str, traceback: str) -> None:
        """How a session failed."""

    def remark(self, text: str) -> None:
        """Something for the agent's log."""

    def meeting(self, users: int) -> "asyncio.Future[None]":
        """Done once so many users have come."""

    def abort(self, why: str) -> None:
        """The whole run is to end."""

    def blocked(self, number: int, seconds: float) -> None:
        """This user's session kept everybody on its worker waiting."""

    def idle(self, user: "User", *, idle: bool) -> None:
        """Whether the user holds no connection now."""

    def over(self, user: "User", reason: str, *, failed: bool) -> None:
        """The session is over and holds nothing any more; the reason is for who never connected."""


class Call(NamedTuple):
    """Where a connection goes and what it asks for, beyond what the plan says."""

    resource: str
    headers: tuple[tuple[str, str], ...]
    subprotocols: tuple[str, ...]
    origin: str
    url: str
    read_rate: float
    """Bytes a second; 0: as its role has it."""


class Clock:
    """What a session waits for when it thinks."""


THINKING = Clock()
YIELDED = Clock()
"""It lets others go first: asyncio.sleep(0)."""
Session = Callable[["User"], Coroutine[Any, Any, None]]


class ThinkTimes:
    """`await user.think(30)`, and the same with random times."""

    __slots__ = ("_user",)

    def __init__(self, user: "User") -> None:
        self._user = user

    def __call__(self, seconds: float) -> Generator[Any, Any, None]:
        """Waits; raises ConnectionEnded when the last connection ends meanwhile."""
        return self._user.pause(seconds)

    def uniform(self, low: float, high: float) -> Generator[Any, Any, None]:
        """Waits for a time between both."""
        return self._user.pause(self._user.random.uniform(low, high))

    def exponential(self, mean: float) -> Generator[Any, Any, None]:
        """Waits for an exponentially distributed time, Tsung's random think time."""
        return self._user.pause(self._user.random.expovariate(1 / mean) if mean > 0 else 0.0)


@contextmanager
def _current(loop: asyncio.AbstractEventLoop, user: "User") -> Iterator[None]:
    """Makes the user the current task, as asyncio documents it for whatever is driven like one."""
    outer = asyncio.current_task(loop)
    if outer is not None:
        asyncio.tasks._leave_task(loop, outer)
    asyncio.tasks._enter_task(loop, user)  # type: ignore[arg-type]  # as much of a task as libraries ask for
    try:
        yield
    finally:
        asyncio.tasks._leave_task(loop, user)  # type: ignore[arg-type]
        if outer is not None:
            asyncio.tasks._enter_task(loop, outer)


class User(BaseUser):
    """One user of the whole fleet, from its arrival to the end of its session."""

    __slots__ = (
        "_alarm",
        "_cancelling",
        "_deadline",
        "_random",
        "_vars",
        "_waiting",
        "scenario",
        "sockets",
    )

    def __init__(self, scenario: Scenario, number: int, due: float) -> None:
        super().__init__(number, due)
        self.scenario = scenario
        self.sockets: tuple[WebSocket, ...] = ()
        """Its connections that have not ended."""
        self._waiting: object = None
        """What the session waits for: THINKING, a WebSocket, a future."""
        self._deadline = inf
        """Until when."""
        self._alarm = inf
        """When its place on the wheel comes round; the time of any other place of its own is
        overtaken."""
        self._cancelling = 0
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
        return self.scenario.target_of(self)

    @property
    def random(self) -> SeededRandom:
        """A generator of its own, as random.Random; the same plan gives the same numbers to the
        same user."""
        if self._random is None:
            self._random = SeededRandom(self.scenario.seed, self.number)
        return self._random

    @property
    def vars(self) -> dict[str, Any]:
        """Whatever the session wants to keep by name."""
        if self._vars is None:
            self._vars = {}
        return self._vars

    @property
    def think(self) -> ThinkTimes:
        """Think times: `think(30)`, `think.uniform(1, 5)`, `think.exponential(30)`; seconds."""
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
        """Opens a connection to the target; raises ConnectFailed, counted by its reason.

        `resource` is another path and query, `url` another of the plan's targets, `timeout` in
        seconds, `read_rate` the most that it reads in bytes a second.
        """
        call = Call(
            resource, tuple((headers or {}).items()), tuple(subprotocols), origin, url, read_rate
        )
        socket = self.scenario.dial(self, call, monotonic() if self.due is None else self.due)
        self._hold((*self.sockets, socket))
        try:
            yield from self.wait_for(socket, timeout)
        except TimeoutError:
            self.scenario.give_up(socket, TIMEOUT)
            raise ConnectFailed(TIMEOUT) from None
        socket.awaited = None
        return socket

    def count(self, name: str, by: int = 1) -> None:
        """Adds to a counter of the session's own."""
        self.scenario.tally.count(name, by)

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Times what is done inside, under a name of the session's own; what raises is not
        timed."""
        begin = monotonic()
        yield
        self.took(name, monotonic() - begin)

    @contextmanager
    def transaction(self, name: str) -> Iterator[None]:
        """Times what belongs together as `tr_NAME`; what raises is counted as `tr_NAME_failed`."""
        begin = monotonic()
        try:
            yield
        except BaseException:  # cancelled or drained in the middle is not done either
            self.count(f"tr_{name}_failed")
            raise
        self.took(f"tr_{name}", monotonic() - begin)

    async def meet(self, users: int) -> None:
        """Waits until so many users of the whole fleet have come here; who comes later goes on
        at once."""
        self.count(f"{MEET}{users}")
        await self.scenario.meeting(users)

    def remark(self, text: str) -> None:
        """Has something said in the agent's log: the first few of each second on each worker."""
        self.scenario.remark(f"user {self.number}: {text}")

    def abort_run(self, why: str) -> None:
        """Ends the whole run in good order: it has failed."""
        self.scenario.abort(why)

    def took(self, name: str, seconds: float) -> None:
        """Records a duration under a name of the session's own."""
        self.scenario.tally.time(name, microseconds(seconds))

    # The trampoline.

    def start(self, session: Session) -> None:
        """Begins the session."""
        self.scenario.idle(self, idle=True)
        try:
            self.coroutine = session(self)
        except Exception as error:  # a TypeError, most likely: it does not take one user
            self.over(error)
            return
        self._go_on(None)

    def resume(self, due: float) -> bool:
        """Its place on the wheel has come round."""
        if due == self._alarm:
            self._alarm = inf
            if self._deadline > due:
                if self._deadline < inf:
                    self._alarm = self.scenario.wake(self, self._deadline)
            elif self._waiting is THINKING:
                self._go_on(None)
            elif self._waiting is not None:
                self._go_on(TimeoutError)
        return False

    @coroutine
    def pause(self, seconds: float) -> Generator[Any, Any, None]:
        """Waits on the wheel."""
        self._set_deadline(seconds)
        yield THINKING

    def wait_for(self, what: WebSocket, seconds: float | None) -> Generator[Any, Any, Any]:
        """Suspends the session until `happened` is told of this connection; raises TimeoutError
        after so long."""
        if seconds is not None:
            self._set_deadline(seconds)
        return (yield what)

    def happened(self, what: WebSocket, value: Any) -> None:
        """Resumes the session, if this is what it waits for."""
        if self._waiting is what:
            self._go_on(value)

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = monotonic() + seconds
        if self._deadline < self._alarm:
            self._alarm = self.scenario.wake(self, self._deadline)

    def _go_on(self, value: Any, *about: str) -> None:
        """Lets the session run to its next await; a kind of exception as the value is raised
        inside."""
        self._waiting, self._deadline = None, inf
        loop = asyncio.get_running_loop()
        began = monotonic()
        with _current(loop, self):
            wish = self.throw(value, *about) if isinstance(value, type) else self.send(value)
        if monotonic() - began > BLOCKS:
            self.scenario.blocked(self.number, monotonic() - began)
        if self.coroutine is not None:
            self._grant(wish, loop)

    def _grant(self, wish: Any, loop: asyncio.AbstractEventLoop) -> None:
        if self.scenario.draining and not any(socket.open for socket in self.sockets):
            self.leave(DRAINED)  # a session that always tries again would never come to an end
        elif wish is THINKING or isinstance(wish, WebSocket):
            self._waiting = wish
        elif asyncio.isfuture(wish):
            wish._asyncio_future_blocking = (
                False  # seen: the next one may await it, as asyncio's tasks do it
            )
            self._waiting = wish
            wish.add_done_callback(self._done)
        elif wish is None:
            self._waiting = YIELDED
            loop.call_soon(self._done, YIELDED)
        else:
            self._go_on(TypeError, f"a session can't await {wish!r}")

    def _done(self, what: object) -> None:
        """Goes on, when that is still what it waits for; a future gives its result, or raises,
        inside the session."""
        if self._waiting is what:
            self._go_on(None)

    def opened(self, connection: Connection, now: float) -> None:
        """A 101 was valid: the session goes on with its connection."""
        assert isinstance(connection, WebSocket)
        self.due = None
        self.scenario.opened(connection, connection.due, now)
        self.happened(connection, None)

    def ended(self, connection: Connection, reason: str) -> None:
        """A connection is over: the session hears of it where it waits for that, or where it
        thinks without any."""
        assert isinstance(connection, WebSocket)
        self.due = None
        self.scenario.ended(connection, reason)
        self._hold(tuple(socket for socket in self.sockets if socket is not connection))
        if self.coroutine is None:
            self._part(reason)
        elif self._waiting is connection:
            self._end_of(connection, reason)
        elif self._waiting is THINKING and not self.sockets:
            self._go_on(ConnectionEnded, reason)

    def _end_of(self, socket: WebSocket, reason: str) -> None:
        if socket.awaited is Awaited.END:
            self._go_on(None)
        else:
            self._go_on(
                ConnectFailed if socket.awaited is Awaited.OPENING else ConnectionEnded, reason
            )

    def leave(self, reason: str, *, abruptly: bool = False) -> None:
        """Ends the session where it waits (its `finally` blocks are done), and closes what it
        has."""
        if self.coroutine is not None:
            running, self.coroutine = self.coroutine, None
            try:
                running.close()
            except (
                Exception
            ) as error:  # a session may fail while it is being ended, or await something even then
                self.over(error)
                return
            self._close_all(reason, abruptly=abruptly)

    def over(self, end: BaseException) -> None:
        """The session is over: what it left open is closed, as done or as what it failed by."""
        if isinstance(end, StopIteration | ConnectFailed | ConnectionEnded):
            self._close_all(DONE, failed=isinstance(end, ConnectFailed))
        else:
            reason = f"{ERROR}{type(end).__name__[:MAX_NAME_LENGTH]}"
            self.scenario.sample(reason, "".join(traceback.format_exception(end))[-SAMPLE:])
            self._close_all(reason)

    def _close_all(self, reason: str, *, failed: bool = False, abruptly: bool = False) -> None:
        for socket in self.sockets:
            if abruptly or socket.awaited is Awaited.OPENING:
                self.scenario.give_up(socket, reason)
            else:
                socket.begin_close(reason)
        self._part(reason, failed=failed or self.due is not None)

    def _part(self, reason: str, *, failed: bool = False) -> None:
        """Is gone, once nothing of it is left."""
        if not self.sockets:
            self.scenario.idle(self, idle=False)
            self.scenario.over(self, reason, failed=failed)

    def _hold(self, sockets: tuple[WebSocket, ...]) -> None:
        if bool(sockets) != bool(self.sockets):
            self.scenario.idle(self, idle=not sockets)
        self.sockets = sockets

    # As libraries see it, which ask for the current task.

    def cancel(self, msg: object = None) -> bool:
        """Raises CancelledError where the session waits, in the loop's next turn."""
        self._cancelling += 1
        if isinstance(self._waiting, asyncio.Future):
            self._waiting.cancel(msg)
        else:
            asyncio.get_running_loop().call_soon(self._go_on_cancelled)
        return self.coroutine is not None

    def _go_on_cancelled(self) -> None:
        if self.coroutine is not None and self._waiting is not None:
            self._go_on(asyncio.CancelledError)

    def cancelling(self) -> int:
        """How often it was asked to cancel."""
        return self._cancelling

    def uncancel(self) -> int:
        """Takes one of them back."""
        self._cancelling = max(0, self._cancelling - 1)
        return self._cancelling

    def done(self) -> bool:
        """Whether the session is over."""
        return self.coroutine is None

    def get_name(self) -> str:
        """A name, as tasks have one."""
        return f"user-{self.number}"
