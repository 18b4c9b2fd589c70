"""The gathering of a run's agents: who joins, who is ready, and the first shares.

`now` is always in seconds on the clock of the run.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from coordinator.run.agents import MAX_AGENTS, Agents, AgentState
from coordinator.run.notices import Notices
from coordinator.run.shares import ShareTable, empty_share_error, shares_of
from coordinator.text import one_line
from loadgen.errors import OperatorError
from loadgen.plan.clients import weights_of
from loadgen.plan.credentials import Credentials
from loadgen.plan.plan import Plan
from loadgen.plan.shares import Share, longest_run
from loadgen.values import DEFAULT_MAX_CONNECTIONS
from loadgen.version import VERSION
from loadgen.wire import WIRE, Hello, Post, Welcome

MAX_PART = 4 * DEFAULT_MAX_CONNECTIONS
"""Connections beyond which what an agent claims to hold gives it no larger part of the arrivals."""


class RefusedError(OperatorError):
    """An agent that can't take part; the text is the one line that it is sent."""


class Gathering:
    """The gathering of at least `wanted` agents for a plan.

    `key` is the beginning of their ids: agents of another run are unknown.
    """

    def __init__(
        self,
        plan: Plan,
        wanted: int,
        key: str,
        credentials: Credentials,
        agents: Agents,
        share_table: ShareTable,
        notices: Notices,
    ) -> None:
        self._plan = plan
        self._wanted = wanted
        self._key = key
        self._credentials = credentials
        self._agents = agents
        self._share_table = share_table
        self._notices = notices
        self._joined = 0
        """The number of agents that have joined so far, with those that are gone."""

    def check(self, hello: Hello, too_late: str = "") -> None:
        """Raises RefusedError when an agent can't take part.

        `too_late` says what has become of the run, where it takes no more agents.
        """
        if hello.wire != WIRE:
            raise RefusedError(
                f"the agent speaks wire version {hello.wire} (loadgen"
                f" {one_line(hello.version, 40)}), the coordinator {WIRE} (loadgen {VERSION});"
                " install the same loadgen version on both"
            )
        if too_late:
            raise RefusedError(f"the run {too_late}; it can join the next one")
        if len(self._agents.by_id) >= MAX_AGENTS:
            raise RefusedError(f"{MAX_AGENTS:,} agents have joined, which is the limit of a run")

    def join(self, hello: Hello, now: float, digest: str) -> Welcome:
        """Adds an agent under a unique name; `digest` is that of its secret."""
        name = self._agents.unique_name(hello.name)
        agent = AgentState(f"{self._key}-{self._joined}", name, hello, seen=now, digest=digest)
        self._agents.by_id[agent.id] = agent
        self._joined += 1
        return Welcome(
            agent.id,
            name,
            self._joined - 1,
            self._plan.for_agents,
            self._wanted,
            self._credentials,
        )

    def take(self, agent: AgentState, post: Post) -> None:
        """Takes from a post whether an agent without a share is ready, or gone."""
        if post.finished:
            del self._agents.by_id[agent.id]
        if post.limits:
            agent.hello = replace(
                agent.hello, max_connections=post.max_connections, limits=post.limits
            )
        refusal = one_line(post.refusal)
        if refusal and refusal not in {other.refusal for other in self._agents.by_id.values()}:
            for line in post.refusal.splitlines():
                self._notices.warn(f"agent {agent.name} refuses: {one_line(line)}")
        if post.ready and not agent.ready:
            self._share_table.agent_became_ready()
        agent.ready = post.ready
        agent.refusal = refusal

    def shares(self, ready: Sequence[AgentState]) -> list[Share]:
        """Returns the share of each agent; raises PlanError when one would be empty."""
        total = self._plan.total
        weights = weights_of(
            self._plan.clients, [(agent.name, min(agent.capacity, MAX_PART)) for agent in ready]
        )
        shares = shares_of(weights, total, longest_run(self._plan.peak_rate))
        idle = [
            agent.name
            for agent, share in zip(ready, shares, strict=True)
            if share.count(total) == 0
        ]
        if idle:
            raise empty_share_error(idle, self._plan, self._wanted)
        return shares

    def assign(self, ready: Sequence[AgentState], shares: Sequence[Share], now: float) -> None:
        """Gives the agents their shares."""
        for agent, share in zip(ready, shares, strict=True):
            self._share_table.assign(agent, share, share.count(self._plan.total), now)

    def warn_of_others(self) -> None:
        """Warns of the agents that the run starts without."""
        for agent in self._agents.by_id.values():
            if agent.share is None:
                self._notices.warn(
                    f"agent {agent.name} was not ready in time; the run started without it"
                )
