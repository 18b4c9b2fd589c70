"""The errands of a run: who calls setup or teardown, and what is said of it.

`now` is in seconds on the clock of the run.
"""

from coordinator.run.agents import Agents, FailureDetector
from coordinator.run.notices import Notices
from coordinator.run.setup import RunSetup
from loadgen.errors import PlanError
from loadgen.plan.setup import SetupSpec
from loadgen.wire import Post


class SetupErrands:
    """Gives the errands of a run's setup to its agents, and tells what came of them."""

    def __init__(
        self,
        spec: SetupSpec | None,
        setup: RunSetup,
        agents: Agents,
        detector: FailureDetector,
        notices: Notices,
    ) -> None:
        self._spec = spec
        self._setup = setup
        self._agents = agents
        self._detector = detector
        self._notices = notices

    @property
    def current(self) -> str:
        """The function that an agent calls now, for people; empty while none does."""
        agent = self._agents.by_id.get(self._setup.agent)
        return f"{self._setup.stage} on {agent.name}" if self._setup.under_way and agent else ""

    def give(self, now: float) -> PlanError | None:
        """Has an agent call setup or teardown, another one where that is lost.

        Returns the failure of setup, if it has failed for that.
        """
        assert self._spec is not None
        if self._setup.give([agent.id for agent in self._detector.reachable(now)], now):
            name = self._agents.by_id[self._setup.agent].name
            self._notices.warn(f"agent {name} calls {self._setup.stage} ({self._spec.file})")
            return None
        return self._tell()

    def take(self, agent_id: str, post: Post) -> PlanError | None:
        """Takes what came of an errand, where a post says that.

        Returns the failure of setup, if it has failed.
        """
        if post.errand is None or not self._setup.take(agent_id, post.errand):
            return None
        return self._tell()

    def _tell(self) -> PlanError | None:
        """Tells that setup is over; returns its failure, if it has failed."""
        setup = self._setup
        if setup.stage == "load":
            self._notices.warn(f"setup is over: {len(setup.data):,} bytes of JSON for all users")
        if setup.under_way or not setup.problem:
            return None
        agent = self._agents.by_id.get(setup.agent)
        where = f" on agent {agent.name}" if agent else ""
        return PlanError(f"setup failed{where}: {setup.problem}; nothing was loaded")
