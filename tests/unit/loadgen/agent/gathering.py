"""A coordinator's run on its own port, for agents that join it.

It is inside the test's loop.
"""

import asyncio
from contextlib import asynccontextmanager

from coordinator.clock import Clock
from coordinator.http.server import Server
from coordinator.run.run import Run
from loadgen.agent.settings import AgentSettings
from loadgen.net.allowed import AllowedTargets
from loadgen.values import Endpoint


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
