"""The parts that visits play on one worker: the built-in loop, or a session; each with a wheel of
its own.

A worker has one role for each kind of session in the plan. The engine launches, drains and
accounts; a role knows how its visits begin, how their connections are made, and when they want to
be woken.
"""

from asyncio import Future
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, Protocol

from loadgen.net.connection import FAILED, Connection, Wrap
from loadgen.net.route import Route, headers_of
from loadgen.net.throttle import Throttle
from loadgen.sessions.loop import BaseUser, LoopSession, LoopUser
from loadgen.sessions.user import Call, Session, User
from loadgen.sessions.websocket import WebSocket
from loadgen.stats.recorder import Recorder
from loadgen.stats.tally import Tally
from loadgen.timers import TICK, Wheel, ticks


class Engine(Protocol):
    """What a role needs of the worker's engine."""

    recorder: Recorder
    start: float
    routes: Sequence[Route]

    @property
    def draining(self) -> bool:
        """Whether all are to go."""

    def turn(self) -> int:
        """The turn of the wheel that it is now."""

    def route_of(self, number: int) -> Route:
        """The target of a user."""

    def dial(self, user: BaseUser, connection: Connection, route: Route) -> None:
        """Sends the SYN and accounts for it."""

    def opened(self, connection: Connection, due: float, now: float) -> None:
        """The 101 was valid."""

    def ended(self, connection: Connection, reason: str) -> None:
        """The connection is over, or never was."""

    def give_up(self, connection: Connection, reason: str) -> None:
        """Ends an attempt that is still under way."""

    def meeting(self, users: int) -> Future[None]:
        """Done once so many users of the whole fleet have come."""

    def idle(self, user: BaseUser, *, idle: bool) -> None:
        """Whether a visit holds no connection now."""

    def over(self, user: BaseUser, reason: str, *, failed: bool) -> None:
        """A visit is gone and holds nothing; it may have failed to connect."""


class LoopScenario:
    """Users of the built-in loop; they all think equally long, so that whole slots of the wheel
    move on together."""

    sleeps = True
    """Nobody is woken but by the wheel: turns that hold nothing may be slept through."""

    def __init__(
        self, engine: Engine, session: LoopSession, think: float, loops: int, read_rate: float = 0.0
    ) -> None:
        self.loops = loops
        self.wheel: Wheel[Any] = Wheel()
        self._engine = engine
        self._session = session
        self._ticks = ticks(think)
        self._think = self._ticks * TICK
        self._wrap = _slowly(read_rate, self._wake) if read_rate else None

    def _wake(self, item: Throttle, at: float) -> None:
        self.wheel.put(item, ceil((at - self._engine.start) / TICK))

    def enter(self, number: int, due: float) -> None:
        """A user arrives."""
        LoopUser(self, number, due).start(self._session)

    def turn(self, turn: int) -> None:
        """Resumes all whose think time is over; who thinks again moves on with its slot."""
        for tick, users in self.wheel.turn(turn):
            due = self._engine.start + tick * TICK
            thinking = [user for user in users if user.resume(due)]
            self.wheel.put_all(thinking, tick + self._ticks)

    def dial(self, user: LoopUser) -> Connection:
        """A connection on its way to the target."""
        route = self._engine.route_of(user.number)
        connection = Connection(
            self._engine.recorder, route.terms(self._think, wrap=self._wrap), user
        )
        self._engine.dial(user, connection, route)
        return connection

    def think(self, user: LoopUser, turns: int) -> None:
        """Puts the visit on the wheel for so many think times."""
        self.wheel.put(user, self._engine.turn() + turns * self._ticks)

    def opened(self, connection: Connection, due: float, now: float) -> None:
        """Marks the opening."""
        self._engine.opened(connection, due, now)

    def ended(self, connection: Connection, reason: str) -> None:
        """Marks the end, of the connection and with it of the visit."""
        self._engine.ended(connection, reason)
        self._engine.over(connection.owner, reason, failed=connection.state == FAILED)  # type: ignore[arg-type]


class SessionScenario:
    """Users of a session in Python, or of a script; each is woken for itself."""

    sleeps = False

    def __init__(
        self,
        engine: Engine,
        name: str,
        session: Session,
        seed: int,
        agent: str,
        read_rate: float = 0.0,
    ) -> None:
        self._name = name
        self.agent = agent
        self.seed = seed
        self.wheel: Wheel[Any] = Wheel()
        self._engine = engine
        self._session = session
        self._routes = {route.url: route for route in engine.routes}
        self._read_rate = read_rate
        self._wraps: dict[float, Wrap] = {}

    @property
    def tally(self) -> Tally:
        """Of the current second."""
        return self._engine.recorder.tally

    def enter(self, number: int, due: float) -> None:
        """A user arrives."""
        User(self, number, due).start(self._session)

    def turn(self, turn: int) -> None:
        """Resumes all who are due."""
        for tick, users in self.wheel.turn(turn):
            due = self._due(tick)
            for user in users:
                user.resume(due)

    def wake(self, item: User | Throttle, at: float) -> float:
        """Puts the user on the wheel; the result is when that tick is due."""
        tick = max(ceil((at - self._engine.start) / TICK), self.wheel.now + 1)
        self.wheel.put(item, tick)
        return self._due(tick)

    def _due(self, tick: int) -> float:
        return self._engine.start + tick * TICK

    def dial(self, user: User, call: Call, due: float) -> WebSocket:
        """A connection on its way; raises ValueError for a url that is not one of the plan's."""
        route = self._routes.get(call.url) if call.url else self._engine.route_of(user.number)
        if route is None:
            raise ValueError(
                f"{call.url} is not one of the plan's targets: {', '.join(self._routes)}"
            )
        terms = route.terms(
            0.0,
            call.resource,
            headers_of(call.headers, call.origin, call.subprotocols),
            self._wrap(call.read_rate or self._read_rate),
        )
        socket = WebSocket(self._engine.recorder, terms, user, due)
        self._engine.dial(user, socket, route)
        return socket

    def target_of(self, user: User) -> str:
        """The URL of a user's target."""
        return self._engine.route_of(user.number).url

    @property
    def draining(self) -> bool:
        """Whether all are to go."""
        return self._engine.draining

    def _wrap(self, rate: float) -> Wrap | None:
        if not rate:
            return None
        return self._wraps.setdefault(rate, _slowly(rate, self.wake))

    def give_up(self, socket: WebSocket, reason: str) -> None:
        """An attempt is to end."""
        self._engine.give_up(socket, reason)

    def opened(self, connection: Connection, due: float, now: float) -> None:
        """Marks the opening."""
        self._engine.opened(connection, due, now)

    def ended(self, connection: Connection, reason: str) -> None:
        """Marks the end of a connection."""
        self._engine.ended(connection, reason)

    def idle(self, user: User, *, idle: bool) -> None:
        """Whether the user holds no connection now."""
        self._engine.idle(user, idle=idle)

    def sample(self, reason: str, traceback: str) -> None:
        """Keeps the first of each kind."""
        self._engine.recorder.sample(reason, traceback)

    def blocked(self, number: int, seconds: float) -> None:
        """Counts that a session kept everybody on its worker waiting, and says whose it was."""
        self.tally.count(f"{self._name}_blocked_its_worker")
        self._engine.recorder.remark(
            f"session {self._name} of user {number} blocked its worker for {seconds:.1f} s"
        )

    def remark(self, text: str) -> None:
        """Something for the agent's log."""
        self._engine.recorder.remark(text)

    def meeting(self, users: int) -> Future[None]:
        """Done once so many users of the whole fleet have come."""
        return self._engine.meeting(users)

    def abort(self, why: str) -> None:
        """The whole run is to end."""
        self._engine.recorder.abort = self._engine.recorder.abort or why

    def over(self, user: User, reason: str, *, failed: bool) -> None:
        """The session is over and holds nothing any more."""
        self._engine.over(user, reason, failed=failed)


Scenario = LoopScenario | SessionScenario


def _slowly(rate: float, wake: Callable[[Throttle, float], object]) -> Wrap:
    return lambda connection: Throttle(connection, rate, wake)
