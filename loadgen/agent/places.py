"""The places that redirects lead to, resolved by an agent for its workers."""

import asyncio

from loadgen.agent.jobs import AgentPart, destination_of, numbered_as
from loadgen.agent.orders import place_line
from loadgen.agent.process import WorkerProcess
from loadgen.agent.targets import ResolvedTarget
from loadgen.errors import PlanError
from loadgen.wire import Place


class RedirectPlaces:
    """The places of one run, each resolved once."""

    def __init__(self) -> None:
        self.part: AgentPart | None = None
        """The facts that jobs are made from; None until the order to start has come."""
        self._found: dict[str, asyncio.Task[ResolvedTarget | str]] = {}
        """Each place by URL: resolved, or why it may not be loaded."""

    def find(self, url: str, worker: WorkerProcess) -> None:
        """Resolves a place that a redirect leads to, once, and tells a worker of it."""
        finding = self._found.get(url)
        if finding is None:
            assert self.part is not None
            finding = self._found[url] = asyncio.create_task(resolve_place(url, self.part))
        finding.add_done_callback(lambda done: self._tell(url, done.result(), worker))

    def _tell(self, url: str, found: ResolvedTarget | str, worker: WorkerProcess) -> None:
        if isinstance(found, str):
            worker.send(place_line(Place(url, refusal=found)))
            return
        assert self.part is not None
        assert worker.job is not None
        to = numbered_as(worker.job, destination_of(found, self.part))
        worker.send(place_line(Place(url, to)))


async def resolve_place(url: str, part: AgentPart) -> ResolvedTarget | str:
    """Returns the place of a redirect, or why connections may not go there."""
    settings, proxy = part.settings, part.welcome.plan.transport.via
    try:
        target = await asyncio.to_thread(ResolvedTarget.find, url, settings.sources, proxy)
    except PlanError as error:
        return f"can't go there: {error}"
    return target.refusal(settings.allowed_targets) or target
