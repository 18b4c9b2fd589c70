"""One worker's load: launches its numbers when due, turns the wheels, closes what is to be closed,
keeps the accounts.

Everything periodic happens in ticks of twenty milliseconds; launches happen when they are due.
"""

from asyncio import Future, get_running_loop
from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush, merge
from itertools import dropwhile, islice
from math import inf
from time import monotonic

from loadgen.net.connection import FAILED, OPEN, Connection
from loadgen.net.route import Route
from loadgen.plan.reassign import Reassignment
from loadgen.plan.shares import Share
from loadgen.sessions.loop import BaseUser
from loadgen.sessions.scenario import Scenario
from loadgen.sessions.user import User
from loadgen.stats.reasons import CHURN, DONE, DRAINED, NOT_CONNECTED, STORM, TIMEOUT
from loadgen.stats.recorder import Recorder, microseconds
from loadgen.stats.tally import Held
from loadgen.timers import TICK, Deadlines
from loadgen.worker.churn import Churn, Storm
from loadgen.worker.drain import Drain

LAUNCH_INTERVAL = TICK / 4
"""Seconds between two looks at what is due: launches in small batches cost a third less CPU than
one by one."""
BURST = 32
"""Launches in one go, before connections get their turn again."""
MAX_IDLE_TURNS = 5
"""Turns of the wheel that may be slept through when they hold nothing."""
LATE = 0.1
"""Seconds after its due time from which a launch counts as late."""
MAX_CONNECTING = 1024
"""Handshakes in flight; who is due then waits, and the wait counts into its `open` time."""
CLOSE_TIMEOUT = 5.0
"""Seconds a server has to end a connection after the CLOSE; then it is cut."""
PONGS_TIMEOUT = 5.0
"""Seconds that a drain waits for pongs still owed."""
DRAIN_TIMEOUT = 120.0
"""Seconds after which a drain cuts whatever is left; a million on two cores take a minute."""
RETRY_AFTER = 1.0
"""Seconds after which someone comes back who could not connect."""
Arrival = tuple[float, int, float]
"""When someone is launched at the earliest, its number, and when it was due: both the same unless
it was adopted.

All pauses come on top of both.
"""


class Assignment:
    """What follows from a user's number: which role and which target it has, and behind each
    gate who is due when."""

    def __init__(
        self,
        dues: Callable[[Share, int], Iterator[tuple[int, float]]],
        share: Share,
        scenario: Callable[[int], int],
        target: Callable[[int], int],
        gates: int = 1,
    ) -> None:
        self.dues = dues
        """Who of a share is due behind a gate, and how long after its opening."""
        self.share = share
        """Of this worker's own."""
        self.scenario = scenario
        self.target = target
        self.gates = gates


class Engine:
    """All visits of one worker, from the first launch to the last end. Times are seconds on the
    monotonic clock."""

    def __init__(
        self,
        start: float,
        most_open: int,
        recorder: Recorder,
        routes: Sequence[Route],
        assignment: Assignment,
        churn: Churn,
        connect_within: float,
        delay: float = 0.0,
    ) -> None:
        self.recorder = recorder
        self.start = start
        self.routes = routes
        self._dialers = tuple(dict.fromkeys(route.dialer for route in routes))
        """Each once: routes to one server share theirs."""
        self.scenarios: Sequence[Scenario] = ()
        self.connections: dict[Connection, None] = {}
        """Dialed, and not ended."""
        self.connecting: Deadlines[Connection] = Deadlines(connect_within)
        self.idlers: dict[BaseUser, None] = {}
        """Visits that hold no connection now."""
        self._most_open = most_open
        self._assignment = assignment
        self._gates = assignment.gates
        self._churn = churn
        self._storm: Storm | None = None
        self._looked = -inf
        self._opened_at = [start]
        """When each gate opened, as far as they are open, less the pauses before that."""
        self._reassignments: list[Reassignment] = []
        self._arrivals: Iterator[Arrival] = self._own(0)
        self._next = next(self._arrivals, None)
        self._returns: list[tuple[float, int]] = []
        """A heap of when users come back."""
        self._paused = False
        self._delay = delay
        """Seconds that all pauses so far have taken."""
        self._turned = 0
        self._meetings: dict[int, Future[None]] = {}
        """By how many users they wait for."""
        self._drain: Drain[Connection] | None = None
        self._cut_at = inf

    @property
    def finished(self) -> bool:
        """Whether nothing is open and nothing is to come."""
        to_come = self._next is not None or self._returns or self._gate + 1 < self._gates
        return not (to_come or self.connections or self.idlers)

    @property
    def waits_at(self) -> int:
        """The gate at which it waits: more come only behind it, and all sessions are over. 0: it
        does not wait."""
        busy = self._next is not None or self._returns or self.connections or self.idlers
        return self._gate + 1 if not busy and self._gate + 1 < self._gates else 0

    @property
    def _gate(self) -> int:
        """The last gate that is open."""
        return len(self._opened_at) - 1

    @property
    def draining(self) -> bool:
        """Whether all are to go."""
        return self._drain is not None

    def held(self) -> Held:
        """What it holds, counted on the objects themselves."""
        connecting = len(self.connecting)
        arriving = sum(user.due is not None for user in self.idlers)
        return Held(connecting + arriving, len(self.connections) - connecting, len(self._returns))

    def drain(self, now: float) -> None:
        """Launches nothing more and closes every connection in good order, within DRAIN_TIMEOUT
        seconds."""
        if self._drain is None:
            self._next = None
            self._returns.clear()
            self._gates = 0
            self._drain = Drain(
                self.connections, now, turn=TICK, within=DRAIN_TIMEOUT - 2 * CLOSE_TIMEOUT
            )
            self._cut_at = now + DRAIN_TIMEOUT

    def open_gate(self, gate: int, at: float) -> None:
        """Whoever is due behind a gate may come from then on; harmless when that was told
        before."""
        if gate == self._gate + 1 and self._drain is None:
            self._opened_at.append(at - self._delay)
            self._churn.open_gate(gate, at - self._delay - self.start)
            self._expect(
                self._own(gate),
                *(self._reassigned(reassignment, gate) for reassignment in self._reassignments),
            )

    def reassign(self, reassignment: Reassignment) -> None:
        """Takes up what is left of somebody's share: who had been launched comes again, the rest
        when it is due."""
        if self._drain is None:
            self._reassignments.append(reassignment)
            self._churn.take(reassignment.unfinished.share.part)
            self._returns += [(self.start + at, number) for at, number in reassignment.again()]
            heapify(self._returns)
            self._expect(*(self._reassigned(reassignment, gate) for gate in range(self._gate + 1)))

    def _own(self, gate: int) -> Iterator[Arrival]:
        opened = self._opened_at[gate]
        return (
            (opened + due, number, opened + due)
            for number, due in self._assignment.dues(self._assignment.share, gate)
        )

    def _reassigned(self, reassignment: Reassignment, gate: int) -> Iterator[Arrival]:
        """Whose time has passed comes no faster than those who come again, and is late."""
        opened, start, unfinished = (
            self._opened_at[gate],
            self.start - self._delay,
            reassignment.unfinished,
        )
        dues = dropwhile(
            lambda due: due[0] < unfinished.below, self._assignment.dues(unfinished.share, gate)
        )
        return (
            (max(opened + due, start + reassignment.not_before(number)), number, opened + due)
            for number, due in dues
        )

    def _expect(self, *more: Iterator[Arrival]) -> None:
        """Puts further arrivals among those to come."""
        pending = iter(() if self._next is None else (self._next,))
        self._arrivals = merge(pending, self._arrivals, *more)
        self._next = next(self._arrivals, None)

    def pause(self) -> None:
        """Launches nothing more until it is told to go on; phases stand still, sessions go on."""
        self._paused = True

    def resume(self, delay: float) -> None:
        """Goes on where it was, everything still to come put off; all pauses so far have taken
        `delay` seconds."""
        more, self._delay, self._paused = delay - self._delay, delay, False
        self._returns = [(due + more, number) for due, number in self._returns]  # still a heap

    def met(self, users: int) -> None:
        """So many users of the fleet have come to their meeting: it is over for all of them."""
        meeting = self.meeting(users)
        if not meeting.done():
            meeting.set_result(None)

    def meeting(self, users: int) -> Future[None]:
        """Done once so many users of the whole fleet have come."""
        if users not in self._meetings:
            self._meetings[users] = get_running_loop().create_future()
        return self._meetings[users]

    def stop(self, now: float) -> None:
        """Launches nothing more and cuts every connection at the next tick."""
        self.drain(now)
        self._cut_at = now

    def tick(self, now: float) -> float:
        """Does everything that is due by now; the result is when it wants to be called again."""
        turn = self._turn_at(now)
        if self._drain is not None:
            self._close_some(self._drain, now)
            self._expire(now)
            return self.start + (turn + 1) * TICK
        launch = self._launch_some(now)
        if turn > self._turned:
            self._turned = turn
            self._expire(now)
            for scenario in self.scenarios:
                scenario.turn(turn)
            if self._churn and not self._paused:
                self._apply_churn(now - self.start - self._delay)
        return (
            launch
            if launch <= now
            else min(max(launch, now + LAUNCH_INTERVAL), self.start + self._next_turn(turn) * TICK)
        )

    def turn(self) -> int:
        """The turn of the wheel that it is now."""
        return self._turn_at(monotonic())

    def _turn_at(self, now: float) -> int:
        return int((now - self.start) / TICK)

    def _next_turn(self, turn: int) -> int:
        """Nobody is woken for nothing; but who is connecting or closing has a deadline, and
        resumes at any moment."""
        if self.connecting or self.recorder.closing:
            return turn + 1
        return min(
            scenario.wheel.next(turn + MAX_IDLE_TURNS) if scenario.sleeps else turn + 1
            for scenario in self.scenarios
        )

    def _launch_some(self, now: float) -> float:
        """Launches who is due, and says when the next one is."""
        if self._paused:
            return inf
        for _ in range(BURST):
            due = self._next_due()
            if due > now:
                return due
            if (
                len(self.connecting) >= MAX_CONNECTING
                or len(self.connections) + len(self.idlers) >= self._most_open
            ):
                return now + TICK
            if self._returns and self._returns[0][0] == due:
                self.recorder.tally.relaunched += 1
                self._launch(heappop(self._returns)[1], due)
            else:
                assert self._next is not None
                _, number, due = self._next
                self._next = next(self._arrivals, None)
                self._launch(number, due + self._delay)
        return now

    def _next_due(self) -> float:
        due = self._next[0] + self._delay if self._next is not None else inf
        return min(due, self._returns[0][0]) if self._returns else due

    def _launch(self, number: int, due: float) -> None:
        now = monotonic()
        tally = self.recorder.tally
        tally.launched += 1
        tally.sessions_started += 1
        tally.lag.record(microseconds(now - due))
        if now - due > LATE:
            tally.late += 1
        self.scenarios[self._assignment.scenario(number)].enter(number, due)

    # What phases do to those who are here.

    def _apply_churn(self, age: float) -> None:
        going = islice(
            (one for one in self.connections if one.state == OPEN), self._churn.churned(age)
        )
        for connection in list(going):
            connection.owner.leave(CHURN)
        storm = self._churn.storm(self._looked, age)
        self._looked = age
        if storm is not None:
            self._storm = storm
            for connection in list(self.connections):
                if connection.state == OPEN and storm.hits(connection.owner.number):
                    connection.owner.leave(STORM, abruptly=True)

    def _come_back(self, number: int, reason: str, *, failed: bool) -> None:
        """Has a user who is gone come back, where a phase wants that."""
        now = monotonic()
        if reason == STORM and self._storm is not None:
            heappush(
                self._returns, (self.start + self._delay + self._storm.back_at(number), number)
            )
        elif reason == CHURN or self._churn.keeps(now - self.start - self._delay):
            heappush(self._returns, (now + RETRY_AFTER if failed else now, number))

    # What roles ask for and tell.

    def route_of(self, number: int) -> Route:
        """The target of a user."""
        return self.routes[self._assignment.target(number)]

    def dial(self, user: BaseUser, connection: Connection, route: Route) -> None:
        """Sends the SYN; a visit's further connections are launches beyond the plan's numbers."""
        if user.due is None:
            self.recorder.tally.launched += 1
            self.recorder.tally.relaunched += 1
        if self._drain is not None:
            self._drain.put_off(connection)
        now = monotonic()
        self.connections[connection] = None
        self.connecting.add(connection, now)
        route.dialer.dial(connection, now)

    def opened(self, connection: Connection, due: float, now: float) -> None:
        """Marks the opening, from when it was due and from when it dialed."""
        self.connecting.remove(connection)
        tally = self.recorder.tally
        tally.opened += 1
        tally.handshake.record(microseconds(now - connection.beat))
        tally.open.record(microseconds(now - due))

    def ended(self, connection: Connection, reason: str) -> None:
        """Marks the end: a failure of what never opened, else a close."""
        self.connecting.remove(connection)
        self.connections.pop(connection, None)
        for dialer in self._dialers:
            dialer.ended(connection)
        tally = self.recorder.tally
        ends = tally.failed if connection.state == FAILED else tally.closed
        ends[reason] = ends.get(reason, 0) + 1

    def idle(self, user: BaseUser, *, idle: bool) -> None:
        """Whether a visit holds no connection now."""
        if idle:
            self.idlers[user] = None
        else:
            self.idlers.pop(user, None)

    def over(self, user: BaseUser, reason: str, *, failed: bool) -> None:
        """A visit is gone; one that never dialed has failed as well."""
        tally = self.recorder.tally
        tally.sessions_done += 1
        if isinstance(user, User) and user.due is not None:
            reason = NOT_CONNECTED if reason == DONE else reason
            tally.failed[reason] = tally.failed.get(reason, 0) + 1
        if self._churn and self._drain is None:
            self._come_back(user.number, reason, failed=failed)

    def give_up(self, connection: Connection, reason: str) -> None:
        """Ends a connection at once, whatever it is about."""
        if connection.transport is None:
            for dialer in self._dialers:
                dialer.cancel(connection)
            connection.give_up(reason)
        else:
            connection.abort(reason)

    # Drains and deadlines.

    def _close_some(self, drain: Drain[Connection], now: float) -> None:
        """Closes the next ones in good order; who is not ready for it waits for another round."""
        if now >= self._cut_at:
            self._cut()
            return
        patient = now - drain.began < PONGS_TIMEOUT
        for user in list(self.idlers):
            user.leave(DRAINED)
        for connection in drain.take(now):
            if connection not in self.connections:
                continue
            if patient and (connection in self.connecting or connection.owed):
                drain.put_off(connection)
            elif connection in self.connecting:
                self.give_up(connection, TIMEOUT)
            else:
                connection.owner.leave(DRAINED)

    def _cut(self) -> None:
        for user in list(self.idlers):
            user.leave(DRAINED)
        for connection in list(self.connections):
            connection.owner.leave(DRAINED)
            self.give_up(connection, TIMEOUT if connection in self.connecting else DRAINED)

    def _expire(self, now: float) -> None:
        for connection in self.connecting.expired(now):
            self.give_up(connection, TIMEOUT)
        for connection in self.recorder.closing.expired(now):
            connection.abort()
