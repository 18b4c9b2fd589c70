"""A coordinator's run on its own port, for agents that join it.

It is inside the test's loop.
"""

import asyncio
from contextlib import asynccontextmanager, closing

from coordinator.clock import Clock
from coordinator.http.server import Server
from coordinator.run.run import Run
from loadgen.agent.process import WORKER
from loadgen.agent.run import AgentRun
from loadgen.agent.settings import AgentSettings
from loadgen.forkserver import ForkServer
from loadgen.http.client import CoordinatorClient
from loadgen.net.allowed import AllowedTargets
from loadgen.plan.plan import Plan
from loadgen.values import Endpoint
from loadgen.wire import Welcome, from_wire, to_wire
from tests.processes import PATIENCE
from tests.unit.coordinator.fleet import hello
from tests.unit.wire_ends import until


class Gathering:
    """A run that ticks as the controller lets it tick, and the URL of its port."""

    def __init__(self, plan, out, token=None):
        self.clock = Clock()
        self.run = Run(plan, wanted=1)
        self.server = Server(self.run, self.clock.now, token, out=out)
        self.url = ""

    async def tick(self):
        """Ticks the run ten times a second."""
        while True:
            self.run.tick(self.clock.now())
            await asyncio.sleep(0.1)

    @property
    def agent(self):
        """The one agent that joined."""
        (agent,) = self.run.agents.by_id.values()
        return agent


@asynccontextmanager
async def gathering(plan, out, token=None):
    """A coordinator that waits for one agent."""
    found = Gathering(plan, out, token)
    found.url = f"http://{await found.server.start(Endpoint('127.0.0.1', 0))}"
    ticking = asyncio.create_task(found.tick())
    try:
        yield found
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])
        await found.server.stop()


def settings_for(url, **options):
    """Returns the settings of an agent with one worker."""
    given = {"name": "a", "workers": 1, "allowed_targets": AllowedTargets(), "orphan_after": 30.0}
    return AgentSettings(coordinator=url, **given | options)


LIMIT = 1 << 20
"""Bytes of a welcome."""


SESSION = "async def session(user): ...\n"


def plan_on(server, **changes):
    fields = {"rate": 1000.0, "max": 20, "think": 0.1, "hold": 600.0} | changes
    return Plan(target=server.ws, **fields)


@asynccontextmanager
async def joined(found, *, token=None, **options):
    """A run of an agent that has joined; its workers have ended after the block."""
    settings = settings_for(found.url, **options)
    async with CoordinatorClient(found.url, token, True, PATIENCE) as client:
        status, body = await client.post("/v1/agents", to_wire(hello("a")), LIMIT)
        assert status == 200
        with closing(ForkServer(WORKER)) as fork_server:
            running = AgentRun(settings, fork_server, client, from_wire(body, Welcome))
            try:
                yield running
            finally:
                await running.pool.stop()


async def served(running):
    """Serves a run to its end."""
    async with asyncio.timeout(PATIENCE):
        await running.serve()


async def refusal_of(found, running):
    """Serves a run that the agent refuses; returns the reason.

    The coordinator has it from the agent's post.
    """
    agent = found.agent
    serving = asyncio.create_task(served(running))
    await until(lambda: agent.refusal != "", PATIENCE)
    found.run.stop(found.clock.now())
    await serving
    assert running.pool.employed == []
    return agent.refusal
