"""The scenario of one kind of users on a worker: their targets and their wheel."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadgen.net.connection import Connection, Wrap
from loadgen.net.connections import refuse
from loadgen.net.route import Route
from loadgen.net.throttle import Throttle
from loadgen.plan.params import NONE
from loadgen.sessions.population import Population
from loadgen.sessions.replies import Replies
from loadgen.sessions.rows import UserRows
from loadgen.sessions.trampoline import BaseUser
from loadgen.stats.reasons import NO_ROW
from loadgen.stats.recorder import Recorder
from loadgen.timers import Wheel

NO_SETUP = object()
"""Stands for the data of a plan without a setup."""


class Scenario:
    """One kind of users on one worker. Times are seconds on the monotonic clock."""

    def __init__(
        self,
        population: Population,
        start: float,
        route_of: Callable[[int], Route],
        *,
        name: str = "loop",
        seed: int = 0,
        agent: str = "",
        routes: Sequence[Route] = (),
        read_rate: float = 0.0,
    ) -> None:
        """Sets up the parts that all users share.

        `route_of` gives the target of a user's number, `routes` are all targets of the plan.

        `read_rate` is in bytes a second; 0: no limit.
        """
        self.name = name
        self.receives = False
        """True when its connections are subscribers, whose receipts are measured."""
        self.replies: Replies | None = None
        """The automatic replies of its connections; None: it has none."""
        self.seed = seed
        self.agent = agent
        """The name of the agent."""
        self.population = population
        self.recorder = population.recorder
        """The worker's; a user has that of its slice where `sliced` is true."""
        self.sliced = False
        """True where results are split: then the route of a user has its recorder."""
        self.connections = population.connections
        self.rows: UserRows | None = None
        """The rows of its users; None where no feeder has any."""
        self.params: Mapping[str, Any] = NONE
        """The parameters of the plan."""
        self.data: Any = NO_SETUP
        """The result of the plan's setup."""
        self.wheel: Wheel[Any] = Wheel(start)
        self.woken: float | None = None
        """The end of the think time that the running session has just left, else None."""
        self.route_of = route_of
        self._routes = {route.url: route for route in routes}
        self._read_rate = read_rate
        self._wraps: dict[float, Wrap] = {}
        self.tap: Wrap | None = None
        """Makes what shows the bytes of each connection, where its users are traced."""

    def recorder_of(self, number: int) -> Recorder:
        """Returns the recorder of a user."""
        return self.route_of(number).recorder if self.sliced else self.recorder

    def start_user(self, number: int, due: float) -> None:
        """Starts the session of a user that has arrived."""
        raise NotImplementedError

    def turn(self, now: float) -> None:
        """Resumes everything on the wheel that is due by now."""
        for due, items in self.wheel.turn(now):
            for item in items:
                item.resume(due)

    def next_due(self, limit: float) -> float:
        """Returns when a user is due next, or the limit if none is due before it."""
        return self.wheel.next(limit)

    def wake_at(self, item: Any, time: float) -> float:
        """Resumes an item at the first tick of the wheel that is not before a time.

        Returns when that is due.
        """
        due = self.wheel.put_at(item, time)
        self.population.alarm.no_later_than(due)
        return due

    def wrap(self, read_rate: float = 0.0) -> Wrap | None:
        """Returns the throttle of connections; without a limit their tap, if any.

        `read_rate` is in bytes a second; 0: the scenario's own.
        """
        rate = read_rate or self._read_rate
        tap = self.tap
        if not rate:
            return tap

        def throttled(connection: Connection) -> Throttle:
            receiver = connection if tap is None else tap(connection)
            return Throttle(receiver, rate, self.wake_at)

        return self._wraps.setdefault(rate, throttled)

    def route(self, url: str) -> Route:
        """Returns the route to a target of the plan; raises ValueError for other URLs."""
        route = self._routes.get(url)
        if route is None:
            raise ValueError(f"{url} is not one of the plan's targets: {', '.join(self._routes)}")
        return route

    def route_to(self, number: int, url: str = "") -> Route:
        """Returns a user's way to a target of the plan, without a URL to the user's own.

        Raises ValueError for a URL that is not in the plan.
        """
        route = self.route(url) if url else self.route_of(number)
        return route if self.rows is None else route.filled(self.rows[number])

    def has_row(self, user: BaseUser) -> bool:
        """Returns whether every feeder has a row for a user that arrives.

        A user without one ends here, before it connects.
        """
        dry = "" if self.rows is None else self.rows.dry_for(user.number)
        if not dry:
            return True
        recorder = self.recorder_of(user.number)
        recorder.sample(NO_ROW, user.number, f"feeder {dry!r} has no row left\n")
        refuse(recorder, NO_ROW, planned=True)
        self.population.ended(user, recorder, NO_ROW, failed=True, raised=True)
        return False

    def count_blocked(self, number: int, seconds: float) -> None:
        """Counts and reports a session that kept all others of its worker waiting."""
        recorder = self.recorder_of(number)
        recorder.tally.count(f"{self.name}_blocked_its_worker")
        recorder.remark(
            f"session {self.name} of user {number} blocked its worker for {seconds:.1f} s"
        )
