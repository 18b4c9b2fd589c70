"""The engine of one worker: launches users, wakes them, drains connections.

Launches, turns and churn happen when they are due, to the grain; deadlines are looked at every
twenty milliseconds.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from math import inf
from time import monotonic

from loadgen.grain import EXACT, GRAINS, grain_at
from loadgen.net.connection import Connection
from loadgen.net.drain import Drain
from loadgen.net.redirects import Redirects
from loadgen.net.states import OPEN, UPGRADING
from loadgen.plan.plan import Plan
from loadgen.plan.reassign import Reassignment
from loadgen.plan.sessions import Loop
from loadgen.plan.steer import PlanChange, SteeredSchedule
from loadgen.sessions.population import Population
from loadgen.sessions.receiver import Subscription
from loadgen.sessions.scenario import Scenario
from loadgen.stats.ledger import Held
from loadgen.stats.peak import Peak
from loadgen.stats.reasons import CHURN, DRAINED, STORM, TIMEOUT
from loadgen.stats.recorder import Recorder, microseconds
from loadgen.worker.arrivals import Arrivals
from loadgen.worker.routes import Routes

TURN = 0.02
"""Seconds between two looks at deadlines, and between two steps of a drain."""
MAX_BATCH = 32
"""Launches in one go, before connections get their turn again."""
MAX_SLEEP = 0.1
"""Seconds that the worker sleeps at most: it has seconds to report."""
LATE = 0.1
"""Seconds after its due time from which a launch counts as late."""
MAX_CONNECTING = 1024
"""Handshakes in flight; more users wait, and the wait counts into their `open` time."""
CLOSE_TIMEOUT = 5.0
"""Seconds that a server has to end a connection after the CLOSE; then it is aborted."""
PONGS_TIMEOUT = 5.0
"""Seconds that a drain waits for pongs still owed."""
GRACE = 0.5
"""Seconds after a standstill of the worker until it looks at deadlines: what came meanwhile is read
first."""
DRAIN_TIMEOUT = 120.0
"""Seconds after which a drain aborts what is left; a million on two cores take a minute."""


def grain_of(plan: Plan, part: float, rate: float = 0.0) -> float:
    """Returns the seconds between two wakes of a worker with a part of a plan.

    `rate` is one that was asked for later, in arrivals per second over the whole fleet.
    """
    if plan.grain != "auto":
        return GRAINS[plan.grain]
    loops = all(isinstance(spec, Loop) for spec in plan.session_specs)
    return grain_at(max(rate, plan.peak_rate) * part, plan.peak_pings * part, loops=loops)


class Engine:
    """All users of one worker, from the first launch to the last end.

    Times are seconds on the monotonic clock. Ages are seconds of the plan's own time, which stands
    still while arrivals are paused.
    """

    def __init__(
        self,
        start: float,
        population: Population,
        scenarios: Sequence[Scenario],
        arrivals: Arrivals,
        scenario_of: Callable[[int], int],
        max_open: int,
        delay: float = 0.0,
        grain: float = EXACT,
        free_since: float = -inf,
        routes: Routes | None = None,
    ) -> None:
        """`scenario_of` gives the place of a user's scenario.

        `delay` is the seconds of all pauses so far, `grain` the least seconds between two wakes
        from sleep. What is due before `free_since` is late, but not by this worker's fault.
        """
        self.start = start
        self.scenarios = scenarios
        self.routes = routes
        """The routes of its users; None in tests that make their own."""
        self.population = population
        self.recorder = population.recorder
        self.connections = population.connections
        self.redirects: Redirects | None = None
        """Follows redirects, where the plan says so."""
        self.schedule: SteeredSchedule | None = None
        """The schedule of its users; None in tests that make their own arrivals."""
        self.grain_at: Callable[[float], float] = lambda _: grain
        """The function from a rate that is asked for later to the grain."""
        self._churn = population.churn
        self._arrivals = arrivals
        self._scenario_of = scenario_of
        self._max_open = max_open
        self._delay = delay
        """Seconds of all pauses so far."""
        self._grain = grain
        self._paused = False
        self._free_since = free_since
        """The time until which an order, or the lack of a place, held launches up."""
        self._next_turn = 0.0
        """The time of the next look at deadlines."""
        self._abort_at = inf
        """The time at which a drain aborts the connections that are left."""

    @property
    def finished(self) -> bool:
        """True when nothing is open and nothing is to come."""
        return self._arrivals.over and not self._busy

    @property
    def waits_at(self) -> int:
        """The gate it waits at, once all sessions are over; 0 while it does not wait."""
        if self._busy or self._arrivals.next_launch < inf:
            return 0
        return self._arrivals.next_gate

    @property
    def _busy(self) -> bool:
        return bool(self._churn.returning or self.connections or self.population.idle)

    def held(self) -> Held:
        """Returns what it holds, counted on the objects themselves."""
        connecting = len(self.connections.connecting)
        arriving = sum(user.due is not None for user in self.population.idle)
        opened = len(self.connections) - connecting
        return Held(connecting + arriving, opened, self._churn.returning, self.recorder.alive)

    def take_peak(self, now: float) -> Peak:
        """Returns the most connections that were open at once since the last call."""
        return self.connections.peak.take(now, self.start)

    def subscribers(self) -> Iterator[Subscription]:
        """Yields the connections whose receipts of publications are measured."""
        return (one for one in self.connections if isinstance(one, Subscription))

    # Orders of the agent.

    def drain(self, now: float) -> None:
        """Launches nothing more and closes every connection, within DRAIN_TIMEOUT."""
        if self.connections.drain is None:
            self._arrivals.stop()
            self._churn.forget_returns()
            bound = DRAIN_TIMEOUT - 2 * CLOSE_TIMEOUT
            self.connections.drain = Drain(self.connections, now, turn=TURN, within=bound)
            self._abort_at = now + DRAIN_TIMEOUT

    def stop(self, now: float) -> None:
        """Launches nothing more and aborts every connection at the next tick."""
        self.drain(now)
        self._abort_at = now

    def pause(self) -> None:
        """Launches nothing more until `resume`; phases stand still, sessions go on."""
        if not self._paused:
            self._churn.owe(monotonic() - self.start - self._delay)
        self._paused = True

    def resume(self, delay: float) -> None:
        """Goes on with arrivals; `delay` is the seconds of all pauses so far."""
        self._delay = delay
        self._churn.origin = self.start + delay
        self._paused = False
        self._free_since = monotonic()

    def open_gate(self, gate: int, at: float) -> None:
        """Opens a gate at a time on the monotonic clock; harmless for an open gate."""
        age = at - self._delay - self.start
        if self._arrivals.open_gate(gate, age):
            self._churn.open_gate(gate, age)
            self._free_since = monotonic()

    def reassign(self, reassignment: Reassignment) -> None:
        """Adds what another worker left unfinished.

        Users that were launched before come again, the others when they are due.
        """
        if self.connections.drain is None:
            if not self._paused:
                self._churn.owe(monotonic() - self.start - self._delay)
            self._churn.take(reassignment.unfinished.share.part)
            for at, number in reassignment.again():
                self._churn.bring_back(at - self._delay, number)
            self._arrivals.reassign(reassignment, self._delay)
            self._free_since = monotonic()

    def steer(self, change: PlanChange) -> None:
        """Follows a change of the plan.

        Users that are due before it come as they were to. Where it comes late, what is due
        meanwhile is late, but not by this worker's fault.
        """
        assert self.schedule is not None
        self.schedule = schedule = self.schedule.steered(change)
        if self.connections.drain is None:
            first = change.first
            self._arrivals.steer(
                schedule.dues, first, lambda share: schedule.dues(share, first=first)
            )
            self._churn.follow(schedule.phases_with_spans)
            self._grain = max(self._grain, self.grain_at(change.rate or 0.0))
            self._free_since = monotonic()

    def move_start(self, by: float) -> None:
        """Moves the start of the run, and with it all that is still to come."""
        self.start += by
        self._churn.origin += by

    # Time.

    def put_off_deadlines(self, now: float) -> None:
        """Looks at no deadline for GRACE: the worker stood still, not the server."""
        self._next_turn = now + GRACE

    def tick(self, now: float) -> float:
        """Does everything that is due by now; returns when it wants to be called again."""
        drain = self.connections.drain
        if drain is not None:
            self._close_some(drain, now)
            if now >= self._next_turn:
                self.connections.expire(now)
            return now + TURN
        for scenario in self.scenarios:
            scenario.turn(now)
        if now >= self._next_turn:
            self._next_turn = now + TURN
            self.connections.expire(now)
        end = self._send_away(now)
        launch = self._launch_due(now)  # last: who ends in this tick may come back in it
        if launch <= now:
            return launch
        limit = min(now + MAX_SLEEP, max(self.connections.next_deadline, self._next_turn))
        due = min(launch, end, *(scenario.next_due(limit) for scenario in self.scenarios))
        return min(max(due, now + self._grain), limit)

    def _launch_due(self, now: float) -> float:
        """Launches the users that are due; returns when the next one is."""
        if self._paused:
            return inf
        origin = self.start + self._delay
        for _ in range(MAX_BATCH):
            next_return = self._churn.next_return
            age = min(self._arrivals.next_launch, next_return)
            if origin + age > now:
                return origin + age
            if not self._has_place():
                self._free_since = now
                return now + TURN
            if age == next_return:
                number = self._churn.take_return()
                self._recorder_of(number).tally.relaunched += 1
                self._launch(number, origin + age, origin + age)
            else:
                number, due = self._arrivals.take()
                self._launch(number, origin + due, origin + age)
        return now

    def _has_place(self) -> bool:
        """Returns True when one more user may start.

        A user that must wait for a handshake in flight is noted; one that must wait for a
        connection is not, since a plan may ask for more than its agents hold.
        """
        if len(self.connections.connecting) >= MAX_CONNECTING:
            self.recorder.delays.waited = True
            return False
        return len(self.connections) + len(self.population.idle) < self._max_open

    def _launch(self, number: int, due: float, planned: float) -> None:
        """Starts a user that was due at one time, and to be launched at the planned one.

        The two differ for reassigned users, which are late by design.
        """
        now = monotonic()
        scenario = self.scenarios[self._scenario_of(number)]
        tally = scenario.recorder_of(number).tally
        tally.launched += 1
        tally.sessions_started += 1
        tally.lag.record(microseconds(now - due))
        if now - due > LATE:
            tally.late += 1
            own = now - max(planned, self._free_since)
            if own > LATE:
                self.recorder.delays.launched_late(own)
        scenario.start_user(number, due)

    def _recorder_of(self, number: int) -> Recorder:
        return self.scenarios[self._scenario_of(number)].recorder_of(number)

    # Ends.

    def _send_away(self, now: float) -> float:
        """Applies the churn that is due by now; returns when some is due next."""
        if self._paused or self._churn.next_end == inf:
            return inf
        origin = self.start + self._delay
        if origin + self._churn.next_end <= now:
            self._apply_churn(now - origin)
        return origin + self._churn.next_end

    def _apply_churn(self, age: float) -> None:
        opened = (connection for connection in self.connections if connection.state == OPEN)
        for connection in list(islice(opened, self._churn.churned(age))):
            connection.owner.close_all(CHURN)
        storm = self._churn.storm(age)
        if storm is None:
            return
        for connection in list(self.connections):
            if connection.state == OPEN and storm.hits(connection.owner.number):
                connection.owner.abort_all(STORM)

    def _close_some(self, drain: Drain[Connection], now: float) -> None:
        """Closes the next connections; those that are not ready wait for another turn."""
        if now >= self._abort_at:
            self._abort_rest()
            return
        patient = now - drain.began < PONGS_TIMEOUT
        for user in list(self.population.idle):
            user.close_all(DRAINED)
        for connection in drain.take(now):
            if connection not in self.connections:
                continue
            connecting = connection.state == UPGRADING
            if patient and (connecting or connection.owed):
                drain.put_off(connection)
            elif connecting:
                self.connections.abort(connection, TIMEOUT)
            else:
                connection.owner.close_all(DRAINED)

    def _abort_rest(self) -> None:
        for user in list(self.population.idle):
            user.close_all(DRAINED)
        for connection in list(self.connections):
            connecting = connection.state == UPGRADING
            connection.owner.close_all(DRAINED)
            self.connections.abort(connection, TIMEOUT if connecting else DRAINED)
