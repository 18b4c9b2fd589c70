"""An engine under way against a real server; it ticks as on a worker."""

import asyncio
from time import monotonic

from loadgen.net.connections import Connections
from loadgen.net.dialer import Dialer
from loadgen.net.ports import SourcePorts
from loadgen.net.route import Route
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import Loop
from loadgen.plan.shares import NO_SHARE, Share
from loadgen.sessions.churn import Churn
from loadgen.sessions.loop import BUILT_IN, LoopScenario
from loadgen.sessions.population import Population
from loadgen.sessions.replies import Replies
from loadgen.sessions.session_scenario import SessionScenario
from loadgen.sessions.tasks import own_tasks
from loadgen.sessions.user import User
from loadgen.sessions.user_state import TRANSITIONS, UserState
from loadgen.stats.ledger import Held, Ledger
from loadgen.stats.recorder import Recorder
from loadgen.stats.tally import Tally
from loadgen.timers import TICK, Alarm, Deadlines
from loadgen.worker.arrivals import Arrivals
from loadgen.worker.engine import Engine
from tests.unit.timing import MS
from tests.unit.wire_ends import until


class CheckedUser(User):
    """A user that checks each of its transitions against the table."""

    __slots__ = ()

    def __setattr__(self, name, value):
        before = (
            self.state if name in ("coroutine", "_waiting") and hasattr(self, "_vars") else None
        )
        super().__setattr__(name, value)
        started = before is not None and not (before is UserState.OVER and name == "coroutine")
        if started and self.state is not before:
            assert self.state in TRANSITIONS[before]


class CheckedScenario(SessionScenario):
    """A scenario of checked users."""

    def __init__(self, *shared, **options):
        super().__init__(*shared, **options)
        self.user_kind = CheckedUser


def idle_population(seed: int = 1) -> Population:
    """Returns the users of a worker on which no user has arrived; it dials nothing."""
    recorder = Recorder(seed)
    connections = Connections((), Deadlines(1.0))
    return Population(recorder, connections, Churn((), 1.0, seed), Alarm(float))


def idle_user(number: int = 0) -> User:
    """Returns a user of a Python session that has not started."""
    scenario = SessionScenario(
        idle_population(), 0.0, _no_route, _no_session, name="mine", seed=1, agent="", routes=()
    )
    return User(scenario, number, due=0.0)


def _no_route(number: int) -> Route:
    raise AssertionError(f"user {number} of an idle population connects")


async def _no_session(user: User) -> None:
    raise AssertionError("the session of an idle user starts")


class Load:
    """All users of a plan on one worker, of its loop or of a session in Python."""

    def __init__(
        self,
        plan: Plan,
        port: int,
        *,
        source: str,
        ports: range,
        session=None,
        late=0.0,
        max_open=1000,
        tls=None,
        phases=(),
        empty_share=False,
        window=None,
        replies=(),
        grid=(TICK, 0.0),
    ) -> None:
        """`grid` is the grain and the shift of the loop's pings, in seconds."""
        self.plan = plan
        self.grid = grid
        self.recorder = Recorder(seed=1, window=window)
        loop = asyncio.get_running_loop()
        own_tasks(loop)
        address = ("127.0.0.1", port)
        pairs = SourcePorts((source,), ports)
        self.dialer = Dialer(loop, address, pairs, self.recorder, tls, "localhost")
        closing = Deadlines(1.0)
        host = f"127.0.0.1:{port}"
        self.route = Route(plan.target, host, "/", self.dialer, self.recorder, closing)
        self.start = monotonic() - late
        connections = Connections((self.dialer,), closing)
        churn = Churn(phases, 1.0, plan.seed, self.start)
        self.population = Population(self.recorder, connections, churn, Alarm(float))
        share = NO_SHARE if empty_share else Share()
        schedule = plan.schedule
        arrivals = Arrivals(schedule.dues, share, schedule.gates)
        self.scenario = self._scenario(session)
        self.scenario.replies = Replies(replies) if replies else None
        self.engine = Engine(
            self.start, self.population, [self.scenario], arrivals, lambda _: 0, max_open
        )
        self.ticking = asyncio.create_task(self._tick())

    def _scenario(self, session):
        shared = self.population, self.start, lambda _: self.route
        if session is not None:
            return CheckedScenario(
                *shared,
                session,
                name="mine",
                seed=self.plan.seed,
                agent="the agent",
                routes=[self.route],
            )
        (loop,) = self.plan.session_specs
        assert isinstance(loop, Loop)
        grain, shift = self.grid
        session = BUILT_IN[loop.ping]
        return LoopScenario(*shared, session, loop.think, loop.loops, grain=grain, shift=shift)

    async def _tick(self) -> None:
        while not self.engine.finished:
            self.engine.tick(monotonic())
            await asyncio.sleep(MS)

    @property
    def tally(self) -> Tally:
        return self.recorder.tally

    @property
    def ledger(self) -> Ledger:
        return Ledger.of(self.plan.max, self.recorder.tally)

    async def over(self) -> Ledger:
        """Waits until all sessions have ended without a drain; returns the ledger."""
        await until(lambda: self.engine.finished)
        breaches = self.ledger.breaches(Held())
        assert breaches == []
        return self.ledger

    async def end(self) -> None:
        """Drains the users that are left."""
        self.engine.drain(monotonic())
        await asyncio.wait_for(self.ticking, 10)
        self.dialer.close()
        await self.settled()

    async def settled(self) -> None:
        """Waits until the loop has reported the last ends."""
        await asyncio.sleep(40 * MS)
