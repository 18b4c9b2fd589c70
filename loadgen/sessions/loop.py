"""The built-in think-time loop: its sessions, its users, and their scenario.

The sessions are generators: they yield what an `async def` would await, which saves a fifth of a
microsecond and 112 bytes for each turn and user.
"""

from collections.abc import Callable, Generator
from enum import Enum, auto
from math import ceil
from time import monotonic
from typing import Any

from loadgen.net.connection import Connection
from loadgen.net.route import Route
from loadgen.net.states import FAILED
from loadgen.sessions.compressed import loop_kind
from loadgen.sessions.errors import ConnectionEnded
from loadgen.sessions.population import Population
from loadgen.sessions.scenario import Scenario
from loadgen.sessions.trampoline import BaseUser
from loadgen.stats.reasons import DONE
from loadgen.timers import TICK, TurnQueue


class Await(Enum):
    """The events that a built-in session may await."""

    THINK_TIME = auto()
    """The end of the think time; the answer is when that was due."""
    ALL_THINK_TIMES = auto()
    """The end of all the loop's think times in a row; the user sleeps all the while."""
    UPGRADE = auto()
    """The server's answer to the upgrade; the connection resumes the session."""


THINK_TIME = Await.THINK_TIME
ALL_THINK_TIMES = Await.ALL_THINK_TIMES
UPGRADE = Await.UPGRADE


class LoopUser(BaseUser):
    """A user of the built-in loop: one connection, and a place in the queue."""

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
        route = scenario.route_to(self.number)
        terms = route.terms(scenario.think, wrap=scenario.wrap())
        kind = loop_kind(
            terms,
            receives=scenario.receives,
            reads=scenario.reads,
            answers=scenario.replies is not None,
        )
        self.connection = connection = kind(route.recorder, terms, self)
        scenario.connections.dial(connection, route.dialer, monotonic(), planned=True)
        return connection

    def resume(self, value: Any) -> bool:
        """Resumes the session; True when it thinks next: the caller puts it to sleep."""
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
        failed = connection.state == FAILED
        scenario.population.ended(self, connection.recorder, reason, failed=failed)
        self.throw(ConnectionEnded, reason)
        self.connection = None

    def close_all(self, reason: str) -> None:
        """Closes the connection in good order."""
        if self.connection is not None:
            self.connection.begin_close(reason)

    def abort_all(self, reason: str) -> None:
        """Aborts the connection."""
        if self.connection is not None:
            self.connection.cut(reason)


LoopSession = Callable[[LoopUser], Generator[Await, Any, None]]


class LoopScenario(Scenario):
    """Users of the built-in loop.

    They all think equally long, so the one that thought first is the next one. Ping n of a user is
    due exactly n think times after its connection opened, however late the pings before it were.
    """

    def __init__(
        self,
        population: Population,
        start: float,
        route_of: Callable[[int], Route],
        session: LoopSession,
        think: float,
        loops: int,
        *,
        grain: float = TICK,
        shift: float = 0.0,
        name: str = "loop",
        read_rate: float = 0.0,
    ) -> None:
        """`start` is on the monotonic clock; it and all other times are in seconds.

        First pings are due at multiples of the grain after `start` and the shift, which differs
        between workers: they do not all send at once. `read_rate` is in bytes a second (0: no
        limit).
        """
        super().__init__(population, start, route_of, name=name, read_rate=read_rate)
        self.loops = loops
        """Turns of the loop."""
        self._session = session
        self.user_kind: Callable[[LoopScenario, int, float], LoopUser] = LoopUser
        """Makes its users, from scenario, number and due time; a trace has another kind."""
        self.reads = session is app_pings
        """True when messages answer its pings."""
        self.think = think
        """Seconds."""
        self._grain = grain
        self._grid = start + shift
        self._first_due = 0.0
        """The time at which the last user to open is due. Users that are due together share the
        number: it takes 24 bytes."""
        self._thinking: TurnQueue[LoopUser] = TurnQueue(self._due)

    def start_user(self, number: int, due: float) -> None:
        """Starts the session of a user that has arrived; `due` is monotonic."""
        user = self.user_kind(self, number, due)
        if self.has_row(user):
            user.start(self._session)

    def turn(self, now: float) -> None:
        """Resumes every user whose think time is over."""
        super().turn(now)
        thinking = self._thinking
        while thinking.next() <= now:
            thinking.put_back(
                [user for user, due in thinking.take(now) if self._thinks_again(user, due)]
            )

    def next_due(self, limit: float) -> float:
        """Returns when a user is due next, or the limit if none is due before it."""
        return min(self._thinking.next(), super().next_due(limit))

    def sleep(self, user: LoopUser, turns: int) -> None:
        """Wakes the user after a number of think times in a row."""
        connection = user.connection
        assert connection is not None
        after = monotonic() + turns * self.think - self._grid
        due = self._grid + ceil(after / self._grain) * self._grain
        self._first_due = max(self._first_due, due)
        connection.first_ping_due = self._first_due
        self._thinking.put(user)
        self.population.alarm.no_later_than(due)

    def _due(self, user: LoopUser) -> float | None:
        connection = user.connection
        return (
            None
            if connection is None
            else connection.first_ping_due + connection.pinged * self.think
        )

    def _thinks_again(self, user: LoopUser, due: float) -> bool:
        """Resumes a user; True when it pinged and thinks again.

        One that could not ping is about to end: its connection is closing.
        """
        connection = user.connection
        assert connection is not None
        pinged = connection.pinged
        return user.resume(due) and connection.pinged > pinged


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
