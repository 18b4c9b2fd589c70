"""The built-in think-time loop: its sessions, its users, and their scenario.

The sessions are generators: they yield what an `async def` would await, which saves a fifth of a
microsecond and 112 bytes for each turn and user.
"""

from collections.abc import Callable, Generator
from enum import Enum, auto
from time import monotonic
from typing import Any

from loadgen.net.connection import FAILED, Connection
from loadgen.net.route import Route
from loadgen.sessions.errors import ConnectionEnded
from loadgen.sessions.population import Population
from loadgen.sessions.receiver import ReceiverConnection
from loadgen.sessions.scenario import Scenario
from loadgen.sessions.trampoline import BaseUser
from loadgen.stats.reasons import DONE
from loadgen.timers import TICK, ticks


class Await(Enum):
    """The events that a built-in session may await."""

    THINK_TIME = auto()
    """The end of the think time; the answer is when that was due."""
    ALL_THINK_TIMES = auto()
    """The end of all the loop's think times in a row; no user is woken in between."""
    UPGRADE = auto()
    """The server's answer to the upgrade; the connection resumes the session."""


THINK_TIME = Await.THINK_TIME
ALL_THINK_TIMES = Await.ALL_THINK_TIMES
UPGRADE = Await.UPGRADE


class LoopUser(BaseUser):
    """A user of the built-in loop: one connection, and a place on the wheel."""

    __slots__ = ("connection", "scenario")

    def __init__(self, scenario: "LoopScenario", number: int, due: float) -> None:
        super().__init__(number, due)
        self.scenario = scenario
        self.connection: Connection | None = None

    def start(self, session: "LoopSession") -> None:
        """Starts the session."""
        self.coroutine = session(self)
        self._go_on(None)

    def connect(self) -> Connection:
        """Dials the user's target; returns the connection, which is not open yet."""
        scenario = self.scenario
        route = scenario.route_of(self.number)
        terms = route.terms(scenario.think, wrap=scenario.wrap())
        kind = ReceiverConnection if scenario.receives else Connection
        self.connection = connection = kind(scenario.recorder, terms, self)
        scenario.connections.dial(connection, route.dialer, monotonic(), planned=True)
        return connection

    def resume(self, value: Any) -> bool:
        """Resumes the session; True when it thinks next: the caller sleeps whole slots."""
        if self.coroutine is None:
            return False
        try:  # as `send` does it, without the call: this runs once for every ping
            awaits = self.coroutine.send(value)
        except BaseException as end:  # StopIteration; `session_ended` raises anything else again
            self.coroutine = None
            self.session_ended(end)
            return False
        if awaits is ALL_THINK_TIMES:
            self.scenario.sleep(self, self.scenario.loops)
        return awaits is THINK_TIME

    def _go_on(self, value: Any) -> None:
        if self.resume(value):
            self.scenario.sleep(self, 1)

    def session_ended(self, end: BaseException) -> None:
        """Closes the connection of a session that is done; raises what is a bug."""
        if isinstance(end, StopIteration) and self.connection is not None:
            self.connection.begin_close(DONE)
        elif not isinstance(end, StopIteration | ConnectionEnded):
            raise end

    def opened(self, connection: Connection, now: float) -> None:
        """Resumes the session: the 101 is valid. `now` is monotonic."""
        assert self.due is not None
        self.scenario.connections.opened(connection, self.due, now)
        self.due = None
        self._go_on(None)

    def ended(self, connection: Connection, reason: str) -> None:
        """Ends the session, wherever it waits: its connection is over."""
        scenario = self.scenario
        scenario.connections.ended(connection, reason)
        scenario.population.ended(self, reason, failed=connection.state == FAILED)
        self.throw(ConnectionEnded, reason)
        self.connection = None

    def close_all(self, reason: str) -> None:
        """Closes the connection in good order."""
        if self.connection is not None:
            self.connection.begin_close(reason)

    def abort_all(self, reason: str) -> None:
        """Aborts the connection."""
        if self.connection is not None:
            self.connection.abort(reason)


LoopSession = Callable[[LoopUser], Generator[Await, Any, None]]


class LoopScenario(Scenario):
    """Users of the built-in loop.

    They all think equally long, so whole slots of the wheel move on together.
    """

    sleeps = True

    def __init__(
        self,
        population: Population,
        start: float,
        route_of: Callable[[int], Route],
        session: LoopSession,
        think: float,
        loops: int,
        *,
        name: str = "loop",
        read_rate: float = 0.0,
    ) -> None:
        """`start` is seconds on the monotonic clock, `think` in seconds.

        `read_rate` is in bytes a second (0: no limit).
        """
        super().__init__(population, start, route_of, name=name, read_rate=read_rate)
        self.loops = loops
        """Turns of the loop."""
        self._session = session
        self._ticks = ticks(think)
        self.think = self._ticks * TICK
        """Seconds, in whole ticks of the wheel."""

    def start_user(self, number: int, due: float) -> None:
        """Starts the session of a user that has arrived; `due` is monotonic."""
        LoopUser(self, number, due).start(self._session)

    def turn(self, tick: int) -> None:
        """Resumes every user whose think time is over.

        Users that think again stay together in one slot.
        """
        for now, users in self.wheel.turn(tick):
            due = self.wheel.due(now)
            thinking = [user for user in users if user.resume(due)]
            self.wheel.put_all(thinking, now + self._ticks)

    def sleep(self, user: LoopUser, turns: int) -> None:
        """Wakes the user after a number of think times in a row."""
        self.wheel.put(user, self.wheel.tick_at(monotonic()) + turns * self._ticks)


def protocol_pings(user: LoopUser) -> Generator[Await, Any, None]:
    """The think-time loop with one PING frame a turn."""
    connection = user.connect()
    yield UPGRADE
    loops = user.scenario.loops
    while connection.pinged < loops:
        connection.send_ping((yield THINK_TIME))


def app_pings(user: LoopUser) -> Generator[Await, Any, None]:
    """The think-time loop with Appwrite's ping a turn."""
    connection = user.connect()
    yield UPGRADE
    loops = user.scenario.loops
    while connection.pinged < loops:
        connection.send_app_ping((yield THINK_TIME))


def silence(user: LoopUser) -> Generator[Await, Any, None]:
    """The loop of the reference run: it sends nothing and holds the connection."""
    user.connect()
    yield UPGRADE
    if user.scenario.loops:
        yield ALL_THINK_TIMES


BUILT_IN: dict[str, LoopSession] = {
    "protocol": protocol_pings,
    "app": app_pings,
    "none": silence,
}
"""The built-in sessions by a loop's `ping`."""
