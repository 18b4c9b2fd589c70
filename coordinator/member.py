"""One agent of the fleet, as the coordinator knows it."""

import msgspec

from loadgen.arrivals import Share
from loadgen.capacity import Limit
from loadgen.wire import Hello, WorkerVitals


class Member(msgspec.Struct):
    """An agent that joined. `share` is None until the run starts, and stays so when it started without this agent."""

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
    planned: int = 0
    """How many connections its share has."""
    short: Limit | None = None
    """The resource that gives out first under its share."""
    gate: int = 0
    """The gate at which its workers wait; 0: they do not."""
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
