"""The agents of a run as the coordinator knows them, and which of them are lost.

`now` is always in seconds on the clock of the run.
"""

import hmac
import math
from collections.abc import Iterator, Mapping
from hashlib import sha256
from math import inf
from typing import NamedTuple

import msgspec

from coordinator.text import clean_name
from loadgen.errors import FleetError
from loadgen.machine.limits import MAX_CONNECTIONS, Limit, limiting_resource
from loadgen.plan.reassign import Reassignment, Unfinished
from loadgen.plan.secrets import shown_url
from loadgen.plan.shares import Share
from loadgen.stats.vitals import WorkerVitals
from loadgen.values import DEFAULT_MAX_CONNECTIONS, REFERENCE_CONNECTIONS
from loadgen.wire import ClockOffset, Hello, Post

MAX_AGENTS = 1000
"""The number of agents that may join a run."""
MAX_DETAILED = 64
"""Agents up to which each has histograms of its own, and its figures in every row. A larger fleet
has those of all agents together: docs/control-plane.md."""
SILENT_AFTER = 3.0
"""Seconds without a post after which an agent is shown as silent; a running one posts every
second."""
LOST_AFTER = 10.0
"""Seconds without a post after which an agent is lost."""
FORGOTTEN_AFTER = 60.0
"""Seconds without a post after which an agent without a share is forgotten; one that has not posted
at all is so after LOST_AFTER."""
RECONNECT_TIMEOUT = 2.0
"""Seconds that an agent whose connection broke has to come back; a killed one never does."""
STALL = 1.0
"""Seconds between two checks from which on the coordinator itself stood still; it checks five times
a second."""
ALL_SILENT_AFTER = 5.0
"""Seconds of silence of all agents from which on the coordinator's own network is taken to be
down."""
ALL_SILENT_UNTIL = 60.0
"""Seconds of silence of all agents after which they are taken to be gone."""


class Unkept(NamedTuple):
    """The facts that an agent may be told once a call to the run is in the journal."""

    call: int
    """The number of that call."""
    second: int
    """The agent may forget every second up to this number."""
    assigned: int
    """The number of shares and parts of shares that it may launch."""


class AgentState(msgspec.Struct):
    """An agent that joined."""

    id: str
    name: str
    """Unique in the fleet and safe to print; often the host's name."""
    hello: Hello
    seen: float
    """The time of its last post, on the clock of the run."""
    digest: str = ""
    """The digest of its secret, for which it must post; empty: it can't post."""
    heard: bool = False
    """True once it has posted."""
    ready: bool = False
    refusal: str = ""
    """The reason that it will not load the target; empty when it will."""
    addresses: dict[str, tuple[str, ...]] = {}
    """The addresses that it loads of each URL of the plan, as it has said last."""
    share: Share | None = None
    """None until the run starts; it stays None while the agent is held in reserve."""
    first: int = 0
    """The first second that it reports."""
    planned: int = 0
    """The connections of its share, plus those of others that it launches for the first time."""
    assigned: list[Unfinished] = []
    """Everything that it was given to launch."""
    dealt: list[Unfinished] = []
    """The parts of it that others were given."""
    reassignments: list[Reassignment] = []
    """The parts of lost shares that it was given."""
    reassigned: int = 0
    """The number of reassignments that its seconds include."""
    unkept: list[Unkept] = []
    """The facts that it may be told later, in the order of the calls."""
    told: Unkept = Unkept(0, -1, 0)
    """The facts that it may be told."""
    steered: int = 0
    """The number of changes of the plan that its workers have."""
    announced: int = 0
    """The number of publications that its workers were told of, or were too early for it."""
    limiting: Limit | None = None
    """The limiting resource, where its machine can't hold its share."""
    gate: int = 0
    """The gate at which its workers wait; 0: they do not."""
    has_data: bool = False
    """True once it has what setup returned."""
    disconnected: float = inf
    """The time at which its connection broke, on the clock of the run; infinite while it stands."""
    finished: bool = False
    lost: bool = False
    stop_ordered: bool = False
    """True once a reply ordered it to stop."""
    workers: tuple[WorkerVitals, ...] = ()
    agent_cpu_s: float = 0.0
    """CPU seconds of the agent process, without its workers."""
    clock: ClockOffset | None = None
    """The offset of its clock to the clock of the run."""
    began: float | None = None
    """When its second 0 began by that offset, on the clock of the run; None while unknown."""

    @property
    def active(self) -> bool:
        """True while it has a share and more seconds are to come from it."""
        return self.share is not None and not self.finished and not self.lost

    def take(self, post: Post, changes: int) -> None:
        """Takes what a post says of the agent itself.

        `changes` is how often the plan was changed. An agent can't have more of what it was given
        than there is.
        """
        if post.workers:
            self.workers = post.workers
        self.addresses = post.addresses or self.addresses
        self.gate = post.gate
        self.agent_cpu_s = max(self.agent_cpu_s, post.agent_cpu_s)
        self.reassigned = max(self.reassigned, min(post.reassigned, len(self.reassignments)))
        self.steered = max(self.steered, min(post.steered, changes))
        self.announced = max(self.announced, post.announced)
        self.has_data = self.has_data or post.has_data

    def shown_addresses(self, shown_urls: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Returns the addresses that it loads, by the URLs as the plan shows them."""
        return {
            shown_urls.get(url) or shown_url(url): addresses
            for url, addresses in self.addresses.items()
        }

    def note(self, call: int, second: int) -> None:
        """Takes note of what it may be told, once this call is kept."""
        assigned = (self.share is not None) + len(self.reassignments)
        newest = self.unkept[-1] if self.unkept else self.told
        if (second, assigned) != newest[1:]:
            self.unkept.append(Unkept(call, second, assigned))

    def keep(self, calls: float) -> None:
        """Takes note of how many calls are kept."""
        while self.unkept and self.unkept[0].call <= calls:
            self.told = self.unkept.pop(0)

    @property
    def status(self) -> str:
        """One word for people: joined, ready, refused, running, finished or lost."""
        if self.share is not None:
            return "lost" if self.lost else "finished" if self.finished else "running"
        return "refused" if self.refusal else "ready" if self.ready else "joined"

    def status_at(self, now: float) -> str:
        """Returns the status, or `silent` for an active agent without a recent post."""
        silent = self.active and now - self.seen > SILENT_AFTER
        return "silent" if silent else self.status

    @property
    def capacity(self) -> int:
        """The number of connections that its machine can hold and its owner allows.

        An agent that tells no resource of its machine is taken for one of the default size, and
        none is believed to hold more than a million.
        """
        told = [limit for limit in self.hello.limits if limit.resource != MAX_CONNECTIONS]
        limit = limiting_resource(told)
        holds = limit.connections if limit else DEFAULT_MAX_CONNECTIONS
        return min(self.hello.max_connections, holds, REFERENCE_CONNECTIONS)

    @property
    def unconfirmed(self) -> int:
        """The number of connections to launch again that its seconds do not include yet."""
        return sum(
            reassignment.unfinished.again()
            for reassignment in self.reassignments[self.reassigned :]
        )

    @property
    def host(self) -> str:
        """The id of its host, which other agents may share; its name if unknown."""
        return str(self.hello.machine.get("kernel.random.boot_id") or self.name)

    @property
    def cpu_s(self) -> float:
        """CPU seconds that the agent and its workers have used."""
        return sum(vitals.cpu_s for vitals in self.workers) + self.agent_cpu_s

    @property
    def warning(self) -> str:
        """One line on what its machine can't hold of its share; empty when it holds all."""
        limit = self.limiting
        if limit is None:
            return ""
        return (
            f"agent {self.name}: share {self.planned:,}, holds {limit.connections:,},"
            f" limited by {limit.resource} ({limit.detail}); {limit.fix}"
        )


def digest_of(secret: str) -> str:
    """Returns what the run keeps of an agent's secret: its SHA-256."""
    return sha256(secret.encode()).hexdigest()


class Agents:
    """The agents that joined a run."""

    def __init__(self) -> None:
        self.by_id: dict[str, AgentState] = {}
        """In the order in which they joined."""
        self.forgotten = 0
        """The number of agents that were forgotten."""

    def authentic(self, secret_id: str) -> str | None:
        """Returns the id of the agent that posts; None when none has that id and secret.

        `secret_id` is both of them with a dot between, as the agent was told.
        """
        agent_id, _, secret = secret_id.rpartition(".")
        agent = self.by_id.get(agent_id)
        known = agent is not None and hmac.compare_digest(agent.digest, digest_of(secret))
        return agent_id if known else None

    def unique_name(self, text: str) -> str:
        """Returns a name that is safe to print and that no agent has, lost or not."""
        name = clean_name(text)
        taken = {agent.name for agent in self.by_id.values()}
        candidates = (
            name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2)
        )
        return next(candidate for candidate in candidates if candidate not in taken)

    def forget_silent(self, now: float) -> None:
        """Forgets the agents without a share that are gone.

        Others get their places and their names.
        """
        for agent in list(self.by_id.values()):
            patience = FORGOTTEN_AFTER if agent.heard else LOST_AFTER
            if agent.share is None and now - agent.seen > patience:
                del self.by_id[agent.id]
                self.forgotten += 1

    def ready(self, now: float) -> list[AgentState]:
        """Returns the agents that have checked the target, will load it, and still post."""
        return [
            agent
            for agent in self.by_id.values()
            if agent.ready and not agent.refusal and now - agent.seen <= LOST_AFTER
        ]

    def active(self) -> list[AgentState]:
        """Returns the agents that have a share and from which more seconds are to come."""
        return [agent for agent in self.by_id.values() if agent.active]

    def with_share(self) -> list[AgentState]:
        """Returns the agents that were given something to launch."""
        return [agent for agent in self.by_id.values() if agent.share is not None]

    def gathering_error(self, wanted: int, wait: float, now: float) -> FleetError:
        """Returns the error that names the agents not ready after `wait` seconds."""
        ready = self.ready(now)
        names = f" ({', '.join(agent.name for agent in ready)})" if ready else ""
        others = [agent for agent in self.by_id.values() if agent not in ready]
        missing = max(0, wanted - len(self.by_id) - self.forgotten)
        reasons = _reasons(others)
        if self.forgotten:
            reasons.append(f"{self.forgotten} joined and fell silent")
        if missing:
            reasons.append(f"{missing} never joined")
        refused = not missing and all(agent.refusal for agent in others)
        fix = "fix that" if refused else "start the missing agents, or ask for fewer with --agents"
        return FleetError(
            f"{len(ready)} of {wanted} agents were ready after {wait:.0f} s{names};"
            f" {'; '.join(reasons)}; {fix}"
        )


def _reasons(agents: list[AgentState]) -> list[str]:
    """Returns why these agents are not ready, those with the same reason together."""
    names_by_refusal: dict[str, list[str]] = {}
    for agent in agents:
        names_by_refusal.setdefault(agent.refusal, []).append(agent.name)
    return [
        (
            f"{', '.join(names)} {'refuses' if len(names) == 1 else 'refuse'}: {refusal}"
            if refusal
            else f"{', '.join(names)} fell silent or did not get ready"
        )
        for refusal, names in names_by_refusal.items()
    ]


class FailureDetector:
    """Finds the lost agents by their silence and by their broken connections."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._checked = math.nan
        """The time of the last check, on the clock of the run."""
        self._heard = math.nan
        """The time of the last post of any agent, on the clock of the run."""

    def posted(self, agent: AgentState, now: float) -> None:
        """Takes note that an agent has posted."""
        agent.seen = now
        agent.heard = True
        agent.disconnected = math.inf
        self._heard = now

    def disconnected(self, agent: AgentState, now: float) -> None:
        """Takes note that the connection of an agent broke.

        It may come back on another one.
        """
        agent.disconnected = min(agent.disconnected, now)

    def reachable(self, now: float) -> list[AgentState]:
        """Returns the agents that are ready and whose connections stand, in their order."""
        return [
            agent
            for agent in self._agents.ready(now)
            if not agent.lost and now - agent.disconnected <= RECONNECT_TIMEOUT
        ]

    def excuse_own_silence(self, now: float) -> float:
        """Leaves out the time in which the coordinator could not hear its agents.

        Returns the seconds for which it stood still itself, most often 0.

        Subtle: the coordinator was stopped, or its clock jumped, when much time has passed since
        the last check. Its own network is down when all of several agents fall silent at once. In
        these cases the time that has passed is added to every agent's `seen`, so each has as long
        as ever to come back. When all stay silent for longer, they are gone after all, and the time
        counts again.
        """
        passed = now - self._checked
        silence = now - self._heard
        all_silent = ALL_SILENT_AFTER < silence <= ALL_SILENT_UNTIL
        if passed > STALL or (all_silent and len(self._agents.active()) > 1):
            for agent in self._agents.by_id.values():
                agent.seen = min(now, agent.seen + passed)
                if agent.disconnected < math.inf:
                    agent.disconnected = min(now, agent.disconnected + passed)
        self._checked = now
        return passed if passed > STALL else 0.0

    def lost(self, now: float) -> Iterator[tuple[AgentState, str]]:
        """Yields the active agents that are lost, each with the reason."""
        for agent in self._agents.active():
            if now - agent.disconnected > RECONNECT_TIMEOUT:
                yield (
                    agent,
                    f"its connection broke, and it did not come back within"
                    f" {RECONNECT_TIMEOUT:.0f} s",
                )
            elif now - agent.seen > LOST_AFTER:
                yield agent, f"silent for {now - agent.seen:.0f} s"
