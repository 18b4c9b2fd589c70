"""One worker's load: launches its numbers when due, turns the wheel, closes what is to be closed, and keeps the book.

Everything periodic happens in ticks of twenty milliseconds; launches happen when they are due.
"""

from collections.abc import Iterator
from math import inf
from time import monotonic

from loadgen.book import Book, Deadlines, microseconds
from loadgen.connection import Connection
from loadgen.dialer import Dialer
from loadgen.drain import Drain
from loadgen.plan import Plan
from loadgen.session import Session, User
from loadgen.tally import Held
from loadgen.wheel import Wheel

TICK = 0.02
"""Seconds between two turns of the wheel."""
GRAIN = TICK / 4
"""Seconds between two looks at what is due: launches in small batches cost a third less CPU than one by one."""
BURST = 32
"""Launches in one go, before connections get their turn again."""
SLUMBER = 5
"""Turns of the wheel that may be slept through when they hold nothing."""
LATE = 0.1
"""Seconds after its due time from which a launch counts as late."""
MOST_CONNECTING = 1024
"""Handshakes in flight; who is due then waits, and the wait counts into its `open` time."""
CONNECT_WITHIN = 30.0
"""Seconds from the dial to a valid 101, after which an attempt has failed by `timeout`."""
CLOSE_WITHIN = 5.0
"""Seconds a server has to end a connection after the CLOSE; then it is cut."""
PONGS_WITHIN = 5.0
"""Seconds that a drain waits for pongs still owed."""
DRAIN_WITHIN = 120.0
"""Seconds after which a drain cuts whatever is left; a million on two cores take a minute."""


def ticks(seconds: float) -> int:
    """A duration in turns of the wheel, at least one."""
    return max(1, round(seconds / TICK))


class Engine:
    """All users of one worker, from the first launch to the last end. Times are seconds on the monotonic clock."""

    def __init__(
        self, plan: Plan, session: Session, dues: Iterator[tuple[int, float]], start: float, most_open: int, book: Book,
        dialer: Dialer,
    ) -> None:  # fmt: skip
        self.plan = plan
        self.users: dict[User, None] = {}
        self.connecting: Deadlines[User] = Deadlines(CONNECT_WITHIN)
        self._session = session
        self._dues = dues
        self._start = start
        self._most_open = most_open
        self._book = book
        self._dialer = dialer
        self._next = next(dues, None)
        self._wheel: Wheel[User] = Wheel()
        self._think_ticks = ticks(plan.think)
        self._drain: Drain[User] | None = None
        self._cut_at = inf

    @property
    def finished(self) -> bool:
        """Whether nothing is open and nothing is to come."""
        return self._next is None and not self.users

    def held(self) -> Held:
        """What it holds, counted on the objects themselves."""
        return Held(connecting=len(self.connecting), open=len(self.users) - len(self.connecting))

    def drain(self, now: float) -> None:
        """Launches nothing more and closes every connection in good order, within DRAIN_WITHIN seconds."""
        if self._drain is None:
            self._next = None
            self._drain = Drain(self.users, now, turn=TICK, within=DRAIN_WITHIN - 2 * CLOSE_WITHIN)
            self._cut_at = now + DRAIN_WITHIN

    def stop(self, now: float) -> None:
        """Launches nothing more and cuts every connection at the next tick."""
        self.drain(now)
        self._cut_at = now

    def tick(self, now: float) -> float:
        """Does everything that is due by now; the result is when it wants to be called again."""
        turn = self._turn(now)
        if self._drain is not None:
            self._close_some(self._drain, now)
            self._expire(now)
            return self._start + (turn + 1) * TICK
        launch = self._launch_some(now)
        if turn > self._wheel.now:
            self._expire(now)
            self._turn_wheel(turn)
        return launch if launch <= now else min(max(launch, now + GRAIN), self._start + self._next_turn(turn) * TICK)

    def _turn(self, now: float) -> int:
        return int((now - self._start) / TICK)

    def _next_turn(self, turn: int) -> int:
        """Nobody is woken for nothing; but who is connecting or closing has a deadline, and resumes at any moment."""
        return turn + 1 if self.connecting or self._book.closing else self._wheel.next(turn + SLUMBER)

    def _turn_wheel(self, turn: int) -> None:
        for tick, users in self._wheel.turn(turn):
            due = self._start + tick * TICK
            thinking = [user for user in users if user.resume(due)]
            self._wheel.put_all(thinking, tick + self._think_ticks)

    def _launch_some(self, now: float) -> float:
        """Launches who is due, and says when the next one is."""
        for _ in range(BURST):
            if self._next is None:
                return inf
            if len(self.connecting) >= MOST_CONNECTING or len(self.users) >= self._most_open:
                return now + TICK
            number, due = self._next
            due += self._start
            if due > now:
                return due
            self._next = next(self._dues, None)
            self._launch(number, due)
        return now

    def _launch(self, number: int, due: float) -> None:
        now = monotonic()
        tally = self._book.tally
        tally.launched += 1
        tally.lag.record(microseconds(now - due))
        if now - due > LATE:
            tally.late += 1
        user = User(self, number, due)
        self.users[user] = None
        self.connecting.add(user, now)
        user.start(self._session)

    def dial(self, user: User) -> Connection:
        """A connection on its way to the target for this user."""
        connection = Connection(self._book, user)
        self._dialer.dial(connection, monotonic())
        return connection

    def think(self, user: User, turns: int = 1) -> None:
        """Puts the user on the wheel for its think time, or several in a row."""
        self._wheel.put(user, self._turn(monotonic()) + turns * self._think_ticks)

    def opened(self, user: User, now: float) -> None:
        """Marks the opening, from when the user was due and from when it dialed."""
        assert user.connection is not None
        assert user.due is not None
        self.connecting.remove(user)
        tally = self._book.tally
        tally.opened += 1
        tally.handshake.record(microseconds(now - user.connection.beat))
        tally.open.record(microseconds(now - user.due))

    def ended(self, user: User, reason: str) -> None:
        """Marks the end: a failure of what never opened, else a close."""
        if user.connection is not None:
            self._dialer.ended(user.connection)
        self.users.pop(user, None)
        tally = self._book.tally
        ends = tally.closed if user.due is None else tally.failed
        ends[reason] = ends.get(reason, 0) + 1
        self.connecting.remove(user)

    def _close_some(self, drain: Drain[User], now: float) -> None:
        """Closes the next connections in good order; who is not ready for it waits for another round."""
        if now >= self._cut_at:
            for user in list(self.users):
                self._give_up(user, "timeout" if user in self.connecting else "drained")
            return
        patient = now - drain.began < PONGS_WITHIN
        for user in drain.take(now):
            if user not in self.users:
                continue
            connection = user.connection
            if patient and (user in self.connecting or (connection is not None and connection.owed)):
                drain.put_off(user)
            elif user in self.connecting:
                self._give_up(user, "timeout")
            elif connection is not None:
                connection.close("drained")

    def _expire(self, now: float) -> None:
        for user in self.connecting.expired(now):
            self._give_up(user, "timeout")
        for connection in self._book.closing.expired(now):
            connection.abort()

    def _give_up(self, user: User, reason: str) -> None:
        connection = user.connection
        assert connection is not None
        if connection.transport is None:
            self._dialer.cancel(connection)
            connection.give_up(reason)
        else:
            connection.abort(reason)
