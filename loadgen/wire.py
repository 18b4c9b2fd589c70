"""The messages between worker, agent and coordinator, and their JSON form.

Between agent and worker they are lines on pipes, between coordinator and agent bodies of HTTP
requests. Seconds are numbered from the start of the run on each process's monotonic clock, so that
wall clocks need not agree.
"""

from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from loadgen.machine.limits import Limit
from loadgen.plan.plan import Plan
from loadgen.plan.reassign import Reassignment
from loadgen.plan.sessions import PythonSession
from loadgen.plan.shares import Share
from loadgen.stats.fanin import Second
from loadgen.stats.histogram import MAX
from loadgen.stats.tally import Count, CpuSeconds, WorkerVitals

WIRE = 3
"""The version of these messages; coordinator and agent must have the same one."""

MAX_AHEAD = 3600.0
"""Seconds that the start of a run may be ahead."""

Capacity = Annotated[int, msgspec.Meta(ge=0, le=MAX)]
Message = TypeVar("Message")


class Sources(msgspec.Struct, frozen=True):
    """The (address, port) pairs of one worker: every `workers`-th of its agent's (SourcePorts)."""

    addresses: tuple[str, ...]
    low: int
    high: int
    """Inclusive."""
    worker: int = 0
    workers: int = 1
    start: int = 0
    """The number of the pair of the agent's first connection, so that agents on one host begin at
    different pairs."""
    left_out: tuple[int, ...] = ()
    """The ports that no worker binds: reserved, privileged, and a few that the machine needs."""


class Destination(msgspec.Struct, frozen=True):
    """One of the URLs of a plan, as an agent resolved it."""

    url: str
    """The URL as the plan has it."""
    address: str
    """Its IP address: a name is resolved once, by the agent."""
    port: int
    name: str
    """Its host name, for TLS."""
    host: str
    """The Host header."""
    resource: str
    """Path and query."""
    secure: bool
    sources: Sources
    """The pairs from which this worker connects to it; destinations may share pairs, workers never
    do."""


class Rehearsal(msgspec.Struct, tag=True):
    """Agent → worker, before its job: the session files to import."""

    sessions: tuple[PythonSession, ...]


class Rehearsed(msgspec.Struct):
    """Worker → agent: whether it could import all of them."""

    problem: str = ""
    """Why it could not import one; empty when it imported all."""
    traceback: str = ""
    notes: tuple[str, ...] = ()


class Job(msgspec.Struct, tag=True):
    """Agent → worker: everything that a worker has to know."""

    plan: Plan
    share: Share
    start: float
    """When the run starts, in seconds on this host's monotonic clock."""
    destinations: tuple[Destination, ...]
    """The plan's servers, in their order, then the other URLs that its sessions may connect to."""
    most_open: int
    """The connections that this worker may hold at once; users that are due wait for a place."""
    agent: str = ""
    """The name of its agent."""
    reassignments: tuple[Reassignment, ...] = ()
    """What it launches of other workers' or agents' unfinished shares."""
    first: int = 0
    """The number of the first second that it reports."""
    delay: float = 0.0
    """Seconds that all pauses had taken before it got this job."""


class Report(msgspec.Struct):
    """Worker → agent, one line a second."""

    second: Second
    finished: bool = False
    """True in its last line: nothing is open, and nothing is still to be launched."""
    gate: int = 0
    """The gate at which it waits, with all sessions over; 0: none."""
    notes: tuple[str, ...] = ()
    abort: str = ""
    """Why a session asks for the end of the whole run, if any does."""
    tracebacks: dict[str, str] = {}
    """A sample traceback of each reason that an exception in a session made, once."""


class Hello(msgspec.Struct):
    """Agent → coordinator: an agent joins."""

    name: str
    wire: int
    version: str
    max_connections: Capacity
    limits: tuple[Limit, ...]
    machine: dict[str, Any]
    """The facts and kernel settings of its host, for run.json."""
    metrics: Annotated[str, msgspec.Meta(pattern=r"^([^\s/@?#]{1,253}:[0-9]{1,5})?$")] = ""
    """Where it serves /metrics, HOST:PORT; empty when it serves none."""


class Welcome(msgspec.Struct):
    """Coordinator → agent: its id, its name in this run, and the plan."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    index: Annotated[int, msgspec.Meta(ge=0, le=MAX)]
    """The number of agents that joined before it."""
    plan: Plan
    agents: Annotated[int, msgspec.Meta(ge=1, le=MAX)] = 1
    """The number of agents that the run waits for."""


class Post(msgspec.Struct):
    """Agent → coordinator, every second, sooner with news: all unacknowledged seconds."""

    seconds: tuple[Second, ...] = ()
    ready: bool = False
    """True when it has resolved the targets, warmed its workers, and is allowed to load."""
    refusal: str = ""
    """Why it does not load: a target outside its --allow-target, a name that does not resolve…"""
    max_connections: Capacity = 0
    """The connections that it opens at most, by the plan's settings for it."""
    limits: tuple[Limit, ...] = ()
    """The limits of its machine by the plan's settings; empty once it has its share."""
    finished: bool = False
    """True when its workers are gone and these are its last seconds."""
    gate: Count = 0
    """The first gate at which its workers wait, when all that live wait at one; else 0."""
    workers: Annotated[tuple[WorkerVitals, ...], msgspec.Meta(max_length=10_000)] = ()
    agent_cpu_s: CpuSeconds = 0.0
    reassigned: Count = 0
    """The number of reassignments that its workers have and these seconds account for."""
    notes: tuple[str, ...] = ()
    abort: str = ""
    """Why a session asks for the end of the whole run, if any does."""
    tracebacks: dict[str, str] = {}
    """A sample traceback of each reason that an exception in a session made, once."""


class Start(msgspec.Struct):
    """The order to start a share of the plan, `after` seconds from now."""

    share: Share
    after: Annotated[float, msgspec.Meta(ge=-1e9, le=MAX_AHEAD)]
    first: Count = 0
    """The number of the first second that it reports."""
    again: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Launches a second at which the users of a worker that died come back; 0: they do not."""

    def __post_init__(self) -> None:
        positions = self.share.positions
        ascending = all(position < next_ for position, next_ in pairwise(positions))
        if not ascending or (
            positions and not 0 <= positions[0] <= positions[-1] < self.share.length
        ):
            raise ValueError("`share` is malformed: its positions do not ascend below its length")


class Orders(msgspec.Struct):
    """Coordinator → agent, the reply to a post: the acknowledgement, and what to do."""

    acknowledged: int
    """Every second up to this number may be forgotten."""
    do: Literal["wait", "run", "pause", "drain", "stop"] = "wait"
    """What to do; `pause` is `run` without launches."""
    start: Start | None = None
    """When to start; repeated with every `run` and `pause`, so that a lost reply does no harm."""
    gates: tuple[float, ...] = ()
    """When gates 1, 2, 3… open, up to the last known, in seconds from the start of the run;
    repeated too."""
    met: tuple[int, ...] = ()
    """The meetings that are over, by how many users they waited for; repeated too."""
    delay: float = 0.0
    """Seconds by which pauses have put off what is still to come; repeated too."""
    reassignments: tuple[Reassignment, ...] = ()
    """What it launches of lost agents' shares; repeated until its `Post.reassigned` counts them."""
    reassigned: int = 0
    """The number of reassignments before those."""


def to_wire(message: Any) -> bytes:
    """Returns the JSON form of a message."""
    return msgspec.json.encode(message)


def from_wire(data: bytes | str, kind: type[Message]) -> Message:
    """Returns the message of a JSON form.

    Raises msgspec.DecodeError, whose text says which field is wrong and how.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (UnicodeError, RecursionError) as error:  # not UTF-8; nested too deeply
        raise msgspec.DecodeError(str(error)) from error
