"""The messages between worker, agent and coordinator, and their one JSON form.

Between agent and worker they are lines on pipes, between coordinator and agent bodies of HTTP
requests. Numbers of seconds count from the run's own start on each process's monotonic clock, so
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
from loadgen.stats.histogram import MAX_VALUE
from loadgen.stats.tally import Count, CpuSeconds, WorkerVitals

WIRE = 3
"""The version of these messages; a coordinator and an agent of different ones do not work
together."""

MAX_AHEAD = 3600.0
"""Seconds that a start may be ahead."""

Capacity = Annotated[int, msgspec.Meta(ge=0, le=MAX_VALUE)]
Message = TypeVar("Message")


class Sources(msgspec.Struct, frozen=True):
    """The local (address, port) pairs of one worker: every `workers`-th pair of its agent's; see
    SourcePorts."""

    addresses: tuple[str, ...]
    low: int
    high: int
    """Inclusive."""
    worker: int = 0
    workers: int = 1
    start: int = 0
    """The number of the pair of the agent's first connection, so that several agents on one host
    do not meet."""
    left_out: tuple[int, ...] = ()
    """Ports that no worker binds: reserved, privileged, and a few that the machine itself needs."""


class Destination(msgspec.Struct, frozen=True):
    """One of the URLs that a plan connects to, as an agent found it."""

    url: str
    """As the plan says it."""
    address: str
    """Its IP address: names are resolved once, by the agent."""
    port: int
    name: str
    """Its host name, for TLS."""
    host: str
    """The Host header."""
    resource: str
    """Path and query."""
    secure: bool
    sources: Sources
    """From where this worker connects to it; its destinations may share pairs, different workers
    never do."""


class Rehearsal(msgspec.Struct, tag=True):
    """Agent → worker, before its job: the files of sessions that it will run."""

    sessions: tuple[PythonSession, ...]


class Rehearsed(msgspec.Struct):
    """Worker → agent: whether all of them can be imported."""

    problem: str = ""
    """Why one can't; empty when all can."""
    traceback: str = ""
    notes: tuple[str, ...] = ()


class Job(msgspec.Struct, tag=True):
    """Agent → worker: everything it has to know."""

    plan: Plan
    share: Share
    start: float
    """When the run starts, on this host's monotonic clock, in seconds."""
    destinations: tuple[Destination, ...]
    """The plan's servers, in their order, and then whatever else its sessions may connect to."""
    most_open: int
    """How many connections this worker may hold at once; numbers that are due wait for a place."""
    agent: str = ""
    """The name that its agent goes by."""
    reassignments: tuple[Reassignment, ...] = ()
    """What it takes up of the lost."""
    first: int = 0
    """The first second that it reports."""
    delay: float = 0.0
    """Seconds that all pauses have taken before it got this job."""


class Report(msgspec.Struct):
    """Worker → agent, a line a second."""

    second: Second
    finished: bool = False
    """Its last line: nothing is open and nothing is to come."""
    gate: int = 0
    """All its sessions are over, and more come only behind this gate; 0: it does not wait."""
    notes: tuple[str, ...] = ()
    abort: str = ""
    """Why a session asks for the end of the whole run, if any does."""
    tracebacks: dict[str, str] = {}
    """A sample of each reason that an exception in a session made, the first time it occurs."""


class Hello(msgspec.Struct):
    """Agent → coordinator: it joins."""

    name: str
    wire: int
    version: str
    max_connections: Capacity
    limits: tuple[Limit, ...]
    machine: dict[str, Any]
    """Facts and kernel settings of its host, for run.json."""
    metrics: Annotated[str, msgspec.Meta(pattern=r"^([^\s/@?#]{1,253}:[0-9]{1,5})?$")] = ""
    """Where it serves /metrics, HOST:PORT; empty when it does not."""


class Welcome(msgspec.Struct):
    """Coordinator → agent: its id and the name it goes by, and the target it will be asked to
    load."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    index: Annotated[int, msgspec.Meta(ge=0, le=MAX_VALUE)]
    """How many agents joined before it."""
    plan: Plan
    agents: Annotated[int, msgspec.Meta(ge=1, le=MAX_VALUE)] = 1
    """How many agents are awaited."""


class Post(msgspec.Struct):
    """Agent → coordinator, every second and sooner when there is news: all seconds that are not
    acknowledged yet."""

    seconds: tuple[Second, ...] = ()
    ready: bool = False
    """It looked at the target and will load it."""
    refusal: str = ""
    """Why it will not: outside its --allow-target, or the name does not resolve."""
    max_connections: Capacity = 0
    """How many it opens at most, and what gives out when, by the plan's word; until it has its
    share."""
    limits: tuple[Limit, ...] = ()
    finished: bool = False
    """Its workers are gone and these are its last seconds."""
    gate: Count = 0
    """All its workers that live wait at this gate, or at a later one; 0: they do not."""
    workers: Annotated[tuple[WorkerVitals, ...], msgspec.Meta(max_length=10_000)] = ()
    agent_cpu_s: CpuSeconds = 0.0
    reassigned: Count = 0
    """How many adoptions its workers have, and these seconds tell of."""
    notes: tuple[str, ...] = ()
    abort: str = ""
    """Why a session asks for the end of the whole run, if any does."""
    tracebacks: dict[str, str] = {}
    """A sample of each reason that an exception in a session made, the first time a worker tells
    it."""


class Start(msgspec.Struct):
    """The order to start: a share of the plan, so many seconds from now."""

    share: Share
    after: Annotated[float, msgspec.Meta(ge=-1e9, le=MAX_AHEAD)]
    first: Count = 0
    """The first second that it reports."""
    again: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Launches a second by which it brings back what a worker held that died; 0: not at all."""

    def __post_init__(self) -> None:
        positions = self.share.positions
        ascending = all(one < next_ for one, next_ in pairwise(positions))
        if not ascending or (
            positions and not 0 <= positions[0] <= positions[-1] < self.share.length
        ):
            raise ValueError("`share` is none: its positions do not ascend below its length")


class Orders(msgspec.Struct):
    """Coordinator → agent, the reply to a post: the acknowledgement, and what to do."""

    acknowledged: int
    """Every second up to this number may be forgotten."""
    do: Literal["wait", "run", "pause", "drain", "stop"] = "wait"
    """`pause`: as `run`, but nothing is launched."""
    start: Start | None = None
    """Repeated with every `run` and `pause`, so that a lost reply does no harm."""
    gates: tuple[float, ...] = ()
    """When gates 1, 2, 3… open, as far as that is known, in seconds from the start of the run;
    repeated too."""
    met: tuple[int, ...] = ()
    """The meetings that are over, by how many users they waited for; repeated too."""
    delay: float = 0.0
    """Seconds by which pauses have put off what is still to come; repeated too."""
    reassignments: tuple[Reassignment, ...] = ()
    """What it takes up of the lost; repeated until it says by their number that it has them."""
    reassigned: int = 0
    """How many came before those."""


def to_wire(message: Any) -> bytes:
    """The JSON form of a message."""
    return msgspec.json.encode(message)


def from_wire(data: bytes | str, kind: type[Message]) -> Message:
    """A message from its JSON form; raises msgspec.DecodeError, whose text says which field is
    wrong and how."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (UnicodeError, RecursionError) as error:  # not UTF-8; nested without end
        raise msgspec.DecodeError(str(error)) from error
