"""One agent of the fleet, as the coordinator knows it."""

import math
from collections.abc import Iterator
from math import inf

import msgspec

from coordinator.text import clean_name
from loadgen.errors import FleetError
from loadgen.machine.limits import Limit, limiting_resource
from loadgen.plan.reassign import Reassignment, Unfinished
from loadgen.plan.shares import Share
from loadgen.stats.tally import WorkerVitals
from loadgen.wire import Hello

BROKEN_FOR = 2.0
"""Seconds that an agent whose connection broke has to come back; a killed one never does."""
STALLED = 1.0
"""Seconds without a look after which the coordinator itself was stopped; it looks five times a
second."""
DEAF_AFTER, DEAF_FOR = 5.0, 60.0
"""From when and up to how many seconds the silence of all agents is taken for the coordinator's
own network's."""

LOST_AFTER = 10.0
"""Seconds of silence after which an agent is given up."""
MAX_AGENTS = 1000
"""How many may join a run."""

SILENT_AFTER = 3.0
"""Seconds without a word after which an agent is shown as silent; one that works speaks every
second."""


class AgentState(msgspec.Struct):
    """An agent that joined. `share` is None until the run starts, and stays so while it is held
    in reserve."""

    id: str
    name: str
    """Unique in the fleet and safe to print; often the host's name."""
    hello: Hello
    seen: float
    """When it last spoke, on the coordinator's clock."""
    ready: bool = False
    refusal: str = ""
    """Why it will not load the target; empty when it will."""
    share: Share | None = None
    first: int = 0
    """The first second that it reports."""
    planned: int = 0
    """How many connections its share has, and what it took up of others' for the first time."""
    held: list[Unfinished] = []
    """All that it was given to launch."""
    reassignments: list[Reassignment] = []
    """What it was given of the lost."""
    reassigned: int = 0
    """How many of those its seconds tell of."""
    short: Limit | None = None
    """The limit that its share is above."""
    gate: int = 0
    """The gate at which its workers wait; 0: they do not."""
    cut: float = inf
    """When its connection broke that it has not spoken on again; infinite as long as it stands."""
    finished: bool = False
    lost: bool = False
    dismissed: bool = False
    """Whether it was told to leave."""
    workers: tuple[WorkerVitals, ...] = ()
    agent_cpu_s: float = 0.0

    @property
    def active(self) -> bool:
        """Whether it takes part and more is to come from it."""
        return self.share is not None and not self.finished and not self.lost

    @property
    def status(self) -> str:
        """One word for people: joined, ready, refused, running, finished, lost."""
        if self.share is not None:
            return "lost" if self.lost else "finished" if self.finished else "running"
        return "refused" if self.refusal else "ready" if self.ready else "joined"

    def status_at(self, now: float) -> str:
        """The same, or `silent` when nothing was heard of it for too long."""
        silent = self.active and now - self.seen > SILENT_AFTER
        return "silent" if silent else self.status

    @property
    def capacity(self) -> int:
        """How many connections its machine can hold, and its owner allows."""
        limit = limiting_resource(self.hello.limits)
        return min(
            self.hello.max_connections, limit.connections if limit else self.hello.max_connections
        )

    @property
    def unaccounted(self) -> int:
        """Launches that it was asked for again, and of which it has not told yet."""
        return sum(
            reassignment.unfinished.again()
            for reassignment in self.reassignments[self.reassigned :]
        )

    @property
    def cpu_s(self) -> float:
        """CPU seconds that its workers and itself have used."""
        return sum(vitals.cpu_s for vitals in self.workers) + self.agent_cpu_s

    @property
    def warning(self) -> str:
        """What its machine can't carry of its share, in one line; empty when it carries all."""
        if self.short is None:
            return ""
        return (
            f"agent {self.name}: share {self.planned:,}, holds {self.short.connections:,},"
            f" limited by {self.short.resource} ({self.short.detail}); {self.short.fix}"
        )


class Agents:
    """The agents by their ids."""

    def __init__(self) -> None:
        self.members: dict[str, AgentState] = {}

    def name_for(self, text: str) -> str:
        """A name that is safe to print and that no other agent has, also none that is lost."""
        name, taken = clean_name(text), {member.name for member in self.members.values()}
        candidates = (
            name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2)
        )
        return next(candidate for candidate in candidates if candidate not in taken)

    def ready(self, now: float) -> list[AgentState]:
        """The agents that looked at the target, will load it, and still speak."""
        return [
            member
            for member in self.members.values()
            if member.ready and not member.refusal and now - member.seen <= LOST_AFTER
        ]

    def active(self) -> list[AgentState]:
        """The agents of which more is to come."""
        return [member for member in self.members.values() if member.active]

    def sharers(self) -> list[AgentState]:
        """The agents that were given something to launch."""
        return [member for member in self.members.values() if member.share is not None]

    def not_gathered(self, wanted: int, wait: float, now: float) -> FleetError:
        """So many were wanted within `wait` seconds: who is missing, and why."""
        ready = self.ready(now)
        here = f" ({', '.join(member.name for member in ready)})" if ready else ""
        away = [member for member in self.members.values() if member not in ready]
        missing = max(0, wanted - len(self.members))
        others = [*_whys(away), *([f"{missing} never joined"] if missing else [])]
        refused = not missing and all(member.refusal for member in away)
        fix = "mend that" if refused else "start the missing agents, or ask for fewer with --agents"
        return FleetError(
            f"{len(ready)} of {wanted} agents were ready after {wait:.0f} s{here};"
            f" {'; '.join(others)}; {fix}"
        )


def _whys(members: list[AgentState]) -> list[str]:
    """Why these are not ready, those together that have the same to say."""
    alike: dict[str, list[str]] = {}
    for member in members:
        alike.setdefault(member.refusal, []).append(member.name)
    return [
        (
            f"{', '.join(names)} {'refuses' if len(names) == 1 else 'refuse'}: {refusal}"
            if refusal
            else f"{', '.join(names)} fell silent or did not get ready"
        )
        for refusal, names in alike.items()
    ]


class FailureDetector:
    """Over one roster."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._looked = math.nan
        self._heard = math.nan
        """When any agent last spoke."""

    def hear(self, member: AgentState, now: float) -> None:
        """An agent spoke."""
        member.seen, member.cut, self._heard = now, math.inf, now

    def hang_up(self, member: AgentState, now: float) -> None:
        """The connection of an agent is broken; it may come on another one, or has left."""
        member.cut = min(member.cut, now)

    def look(self, now: float) -> None:
        """Forgives the silence that is the coordinator's own: it was stopped, or is cut off from
        all."""
        passed = now - self._looked
        deaf = DEAF_AFTER < now - self._heard <= DEAF_FOR and len(self._agents.active()) > 1
        if passed > STALLED or deaf:
            for member in self._agents.members.values():
                member.seen += passed
                member.cut += passed
        self._looked = now

    def fallen(self, now: float) -> Iterator[tuple[AgentState, str]]:
        """The agents to be given up, each with the reason."""
        for member in self._agents.active():
            if now - member.cut > BROKEN_FOR:
                yield (
                    member,
                    f"its connection broke, and it did not come back within {BROKEN_FOR:.0f} s",
                )
            elif now - member.seen > LOST_AFTER:
                yield member, f"silent for {now - member.seen:.0f} s"
