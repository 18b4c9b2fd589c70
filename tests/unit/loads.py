"""An engine under way against a real server, ticking in the background as a worker would let it."""

import asyncio
from time import monotonic

from loadgen.net.dialer import Dialer
from loadgen.net.ports import SourcePorts
from loadgen.net.route import Route
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import Loop
from loadgen.plan.shares import NO_SHARE, Share
from loadgen.sessions.loop import BUILT_IN
from loadgen.sessions.scenario import LoopScenario, SessionScenario
from loadgen.stats.recorder import Recorder
from loadgen.stats.tally import Held, Ledger, Tally
from loadgen.worker.churn import Churn
from loadgen.worker.engine import TICK, Assignment, Engine
from tests.unit.wire_ends import until


def only(dues):
    """One role, one target, one gate."""
    return Assignment(lambda _, __: iter(dues), Share(), scenario=lambda _: 0, target=lambda _: 0)


class Load:
    """All users of a plan on one worker: of its loop, or of a session in Python."""

    def __init__(
        self,
        plan: Plan,
        port: int,
        *,
        source: str,
        ports: range,
        session=None,
        late=0.0,
        most_open=1000,
        tls=None,
        phases=(),
        nobody=False,
    ) -> None:
        self.plan = plan
        self.recorder = Recorder(seed=1, close_within=1.0)
        loop = asyncio.get_running_loop()
        self.dialer = Dialer(
            loop,
            ("127.0.0.1", port),
            SourcePorts((source,), ports),
            self.recorder,
            tls,
            "localhost",
        )
        route = Route(plan.target, f"127.0.0.1:{port}", "/", self.dialer)
        start = monotonic() - late
        churn = Churn(phases, 1.0, plan.seed)
        assignment = Assignment(
            plan.schedule.dues,
            NO_SHARE if nobody else Share(),
            scenario=lambda _: 0,
            target=lambda _: 0,
        )
        self.engine = Engine(start, most_open, self.recorder, (route,), assignment, churn, 30.0)
        self.engine.scenarios = [self._scenario(session)]
        self.ticking = asyncio.create_task(self._tick())

    def _scenario(self, session):
        if session is not None:
            return SessionScenario(self.engine, "mine", session, self.plan.seed, "the agent")
        (loop,) = self.plan.session_specs
        assert isinstance(loop, Loop)
        return LoopScenario(self.engine, BUILT_IN[loop.ping], loop.think, loop.loops)

    async def _tick(self) -> None:
        while not self.engine.finished:
            self.engine.tick(monotonic())
            await asyncio.sleep(TICK / 2)

    @property
    def tally(self) -> Tally:
        return self.recorder.tally

    @property
    def ledger(self) -> Ledger:
        return Ledger.of(self.plan.max, self.recorder.tally)

    async def over(self) -> Ledger:
        """Waits for the end of everything, by itself; the ledger then."""
        await until(lambda: self.engine.finished)
        breaches = self.ledger.breaches(Held())
        assert breaches == []
        return self.ledger

    async def end(self) -> None:
        """Drains what is left."""
        self.engine.drain(monotonic())
        await asyncio.wait_for(self.ticking, 10)
        self.dialer.close()
        await self.settled()

    async def settled(self) -> None:
        """Lets the engine's last ends be told."""
        await asyncio.sleep(2 * TICK)
