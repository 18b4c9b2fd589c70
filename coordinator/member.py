"""One agent of the fleet, as the coordinator knows it."""

from math import inf

import msgspec

from loadgen.adoption import Adoption, Remains
from loadgen.arrivals import Share
from loadgen.capacity import Limit, first_to_give_out
from loadgen.wire import Hello, WorkerVitals

SILENT_AFTER = 3.0
"""Seconds without a word after which an agent is shown as silent; one that works speaks every second."""


class Member(msgspec.Struct):
    """An agent that joined. `share` is None until the run starts, and stays so while it is held in reserve."""

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
    held: list[Remains] = []
    """All that it was given to launch."""
    adoptions: list[Adoption] = []
    """What it was given of the lost."""
    adopted: int = 0
    """How many of those its seconds tell of."""
    short: Limit | None = None
    """The resource that gives out first under its share."""
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
        limit = first_to_give_out(self.hello.limits)
        return min(self.hello.max_connections, limit.connections if limit else self.hello.max_connections)

    @property
    def unaccounted(self) -> int:
        """Launches that it was asked for again, and of which it has not told yet."""
        return sum(adoption.remains.again() for adoption in self.adoptions[self.adopted :])

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
            f"agent {self.name}: share {self.planned:,}, holds {self.short.connections:,}:"
            f" {self.short.resource} gives out first ({self.short.detail}); {self.short.mend}"
        )
