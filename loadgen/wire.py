"""The messages between worker, agent and coordinator, and their JSON form.

Between agent and worker they are lines on pipes, between agent and coordinator bodies of HTTP
requests. Seconds are numbered from the start of the run on each process's monotonic clock, so that
wall clocks need not agree.
"""

from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from loadgen.machine.limits import Limit
from loadgen.plan.credentials import NO_CREDENTIALS, Credentials
from loadgen.plan.plan import Plan
from loadgen.plan.reassign import Reassignment
from loadgen.plan.sessions import PythonSession
from loadgen.plan.shares import Share
from loadgen.plan.steer import PlanChange
from loadgen.stats.delivery import Published, PublisherClock
from loadgen.stats.fanin import Second
from loadgen.stats.histogram import MAX_VALUE
from loadgen.stats.tally import Count
from loadgen.stats.vitals import CpuSeconds, WorkerVitals
from loadgen.values import nests_deeper, printable

WIRE = 12
"""The version of these messages; coordinator and agent must have the same one."""
MAX_ADDRESSES = 1000
"""The most addresses of one target; a name has rarely more than 16."""
MAX_NESTING = 8
"""The most values inside each other in the facts of a machine."""
MAX_AHEAD = 3600.0
"""The most seconds from an order to start until the start."""

Capacity = Annotated[int, msgspec.Meta(ge=0, le=MAX_VALUE)]
ClockName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.]{1,60}$")]
"""The name of a host's monotonic clock."""
Addresses = Annotated[
    dict[
        str,
        Annotated[
            tuple[Annotated[str, msgspec.Meta(pattern=r"^\S{1,200}$")], ...],
            msgspec.Meta(max_length=MAX_ADDRESSES),
        ],
    ],
    msgspec.Meta(max_length=10_000),
]
"""The IP addresses of URLs, or the path of a Unix socket, by URL."""
Message = TypeVar("Message")


class Sources(msgspec.Struct, frozen=True):
    """The local (address, port) pairs of one worker: every `workers`-th of its agent.

    SourcePorts says how the pairs are numbered.
    """

    addresses: tuple[str, ...]
    low: int
    high: int
    """Inclusive."""
    worker: int = 0
    workers: int = 1
    start: int = 0
    """The number of the agent's first pair; several agents on one host begin at different ones."""
    left_out: tuple[int, ...] = ()
    """Ports that no worker binds: reserved, privileged, and some that the machine itself needs."""


NO_SOURCES = Sources((), 0, 0)
"""The pairs towards a Unix socket."""


class Way(msgspec.Struct, frozen=True):
    """One address of a target, and the pairs to connect to it from."""

    address: str
    """An IP address, or the path of a Unix socket, which begins with a slash."""
    sources: Sources = NO_SOURCES
    """A worker's ways to one address share pairs, workers do not; none for a Unix socket."""


class Destination(msgspec.Struct, frozen=True):
    """One of the URLs that a plan connects to, as an agent resolved it."""

    url: str
    """As the plan has it."""
    ways: tuple[Way, ...]
    """Its addresses: a name is resolved by the agent, never by its workers."""
    port: int
    name: str
    """Its host name, for TLS."""
    host: str
    """The Host header."""
    resource: str
    """Path and query."""
    secure: bool
    asked: str = ""
    """The name or address that a proxy is asked for, with `asked_port`; empty without a proxy, else
    `ways` and `port` are the proxy's."""
    asked_port: int = 0

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses; users are spread over them by number."""
        return tuple(way.address for way in self.ways)

    @property
    def is_unix(self) -> bool:
        """True where its one address is the path of a Unix socket."""
        return self.ways[0].address.startswith("/")


class Rehearsal(msgspec.Struct, tag=True):
    """Agent → worker, before its job: the session files that it will run."""

    sessions: tuple[PythonSession, ...]
    tree: str = ""
    """The folder with their files; empty without one."""


class Rehearsed(msgspec.Struct):
    """Worker → agent: the result of importing the session files."""

    problem: str = ""
    """Why one can't be imported; empty when all can."""
    traceback: str = ""
    notes: tuple[str, ...] = ()


class ErrandCall(msgspec.Struct):
    """Agent → a process of its own: setup or teardown, to call it once."""

    code: PythonSession
    """The function, and the file that it is in."""
    tree: str
    """The folder with that file and its neighbours."""
    argument: bytes
    """Its one argument, as JSON."""


class Called(msgspec.Struct):
    """A process → agent: the result of its call."""

    data: bytes = b""
    """What the function returned, as JSON."""
    problem: str = ""
    """Why it failed; empty when it did not."""
    traceback: str = ""
    notes: tuple[str, ...] = ()
    """What it printed."""


class Job(msgspec.Struct, tag=True):
    """Agent → worker: its part of the run."""

    plan: Plan
    share: Share
    start: float
    """The start of the run, in seconds on this host's monotonic clock."""
    destinations: tuple[Destination, ...]
    """The plan's servers in their order, and then the other URLs that its sessions may use."""
    most_open: int
    """The most connections that this worker holds at once; users that are due wait for a place."""
    agent: str = ""
    """The name of its agent in this run."""
    tree: str = ""
    """The folder with the files of its sessions in Python; empty without one."""
    worker: int = 0
    """The number of this worker on its agent."""
    crowded: bool = False
    """True where its machine has more workers than cores."""
    reassignments: tuple[Reassignment, ...] = ()
    """The parts of lost workers' shares that it continues."""
    first: int = 0
    """The number of the first second that it reports."""
    delay: float = 0.0
    """Seconds that the run had been paused in all before this job."""
    publisher: str = ""
    """The id of its agent, for the streams that its sessions publish."""
    clock: str = ""
    """The name of this host's monotonic clock."""
    allowed: tuple[str, ...] = ()
    """The networks and host names of `--allow-target`: HTTP requests may go there as well."""
    credentials: Credentials = NO_CREDENTIALS
    """The certificates that connections with TLS show and trust."""
    changes: tuple[PlanChange, ...] = ()
    """The changes of the plan so far."""
    data: bytes = b""
    """The result of the plan's setup, as JSON; empty without a setup."""


class Wanted(msgspec.Struct, tag=True):
    """Worker → agent: a redirect leads to this place, which the worker does not know."""

    url: str


class Place(msgspec.Struct):
    """Agent → worker: the place that it wanted."""

    url: str
    destination: Destination | None = None
    """None where it may not be loaded."""
    refusal: str = ""
    """Why it may not; goes on after "the agent"."""


class Report(msgspec.Struct, tag=True):
    """Worker → agent, one line a second."""

    second: Second
    finished: bool = False
    """True in its last line: it has no connection, and will not launch another."""
    gate: int = 0
    """The gate that it waits at, all its sessions being over; 0: it does not wait."""
    notes: tuple[str, ...] = ()
    abort: str = ""
    """Why a session asks for the end of the whole run; empty when none does."""
    tracebacks: dict[str, str] = {}
    """A sample for a reason, when it first occurs: the traceback of a session, or the reply that
    refused a handshake."""


class Hello(msgspec.Struct):
    """Agent → coordinator: the agent joins."""

    name: str
    wire: int
    version: str
    max_connections: Capacity
    limits: tuple[Limit, ...]
    machine: dict[str, Any]
    """Facts and kernel settings of its machine, for run.json."""
    metrics: Annotated[str, msgspec.Meta(pattern=r"^([^\s/@?#]{1,253}:[0-9]{1,5})?$")] = ""
    """The HOST:PORT at which it serves /metrics; empty when it does not."""

    def __post_init__(self) -> None:
        if nests_deeper(self.machine, MAX_NESTING):
            raise ValueError(f"`machine` has more than {MAX_NESTING} values inside each other")


class Welcome(msgspec.Struct):
    """Coordinator → agent: its id, its name in this run, and the plan."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    """The id by which it posts. The part after the dot is its secret."""
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    index: Annotated[int, msgspec.Meta(ge=0, le=MAX_VALUE)]
    """The number of agents that joined before it."""
    plan: Plan
    agents: Annotated[int, msgspec.Meta(ge=1, le=MAX_VALUE)] = 1
    """The number of agents that the run waits for."""
    credentials: Credentials = NO_CREDENTIALS
    """The certificates that connections with TLS show and trust."""

    @property
    def public_id(self) -> str:
        """The id without the secret."""
        return self.id.partition(".")[0]


class ClockOffset(msgspec.Struct, frozen=True):
    """An agent's clocks beside the clock of the run, by repeated exchanges."""

    name: ClockName
    """The name of its monotonic clock."""
    offset: float
    """Seconds to add to the agent's monotonic clock."""
    bound: Annotated[float, msgspec.Meta(ge=0)]
    """Seconds by which the offset is wrong at most."""
    drift_ppm: float | None = None
    """Parts per million by which the offset grows; None in the first seconds."""
    drift_bound_ppm: float | None = None
    """Parts per million by which the drift is wrong at most."""
    wall: float = 0.0
    """The agent's wall clock when the clock of the run shows 0, in seconds since 1970."""
    steps: Count = 0
    """How often the monotonic clock has stepped, as after a suspension of the machine."""


class Errand(msgspec.Struct, frozen=True):
    """The order to call the plan's setup or teardown, to one agent at a time."""

    number: Count
    """1, 2, 3…: another number is another attempt."""
    kind: Literal["setup", "teardown"]
    data: bytes = b""
    """What setup returned, as JSON; for teardown."""


class ErrandResult(msgspec.Struct, frozen=True):
    """The result of an errand."""

    number: Count
    data: bytes = b""
    """What setup returned, as JSON."""
    problem: str = ""
    """Why it failed; empty when it did not."""


class Post(msgspec.Struct):
    """Agent → coordinator, every second or sooner: all seconds not taken yet."""

    seconds: tuple[Second, ...] = ()
    ready: bool = False
    """True once it has resolved the target and will load it."""
    refusal: str = ""
    """Why it refuses the target: it is not in --allow-target, or the name does not resolve."""
    max_connections: Capacity = 0
    """The most connections it opens under this plan; 0 once it has its share.

    `limits` are the limits that this follows from.
    """
    limits: tuple[Limit, ...] = ()
    """The limits of its machine by the plan's settings; empty once it has its share."""
    addresses: Addresses = {}
    """The addresses that it loads of each URL of the plan; empty when nothing has changed."""
    finished: bool = False
    """True when its workers have ended, and these are its last seconds."""
    gate: Count = 0
    """The gate that all its living workers wait at, or are past; 0: they do not wait."""
    workers: Annotated[tuple[WorkerVitals, ...], msgspec.Meta(max_length=10_000)] = ()
    agent_cpu_s: CpuSeconds = 0.0
    clock: ClockOffset | None = None
    """None before the first reply."""
    began: Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)] | None = None
    """When its second 0 began, on the clock of the run; None before its workers have jobs."""
    reassigned: Count = 0
    """The number of reassignments that its workers have, and that these seconds include."""
    steered: Count = 0
    """The number of changes of the plan that its workers have."""
    announced: Count = 0
    """The number of the run's publications that its workers were told of, or were too early."""
    notes: tuple[str, ...] = ()
    abort: str = ""
    """Why a session asks for the end of the whole run; empty when none does."""
    tracebacks: dict[str, str] = {}
    """A sample for a reason, when it is first reported."""
    after: Annotated[int, msgspec.Meta(ge=-1, le=2**31)] = -1
    """The newest of the seconds that it keeps and does not repeat, since they were taken."""
    errand: ErrandResult | None = None
    """What came of its errand; repeated until it has that errand no more."""
    has_data: bool = False
    """True once it has what the plan's setup returned."""

    @property
    def newest(self) -> int:
        """The newest of its seconds; -1: it has none."""
        return max((second.number for second in self.seconds), default=-1)


class Start(msgspec.Struct):
    """The order to start a share of the plan."""

    share: Share
    after: Annotated[float, msgspec.Meta(ge=-1e9, le=MAX_AHEAD)]
    """Seconds from the reply until the start of the run; negative when it has started."""
    first: Count = 0
    """The number of the first second that it reports."""
    again: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Launches per second to replace the connections of a worker that died; 0: none is replaced."""

    def __post_init__(self) -> None:
        positions = self.share.positions
        ascending = all(position < next_ for position, next_ in pairwise(positions))
        if not ascending or (
            positions and not 0 <= positions[0] <= positions[-1] < self.share.length
        ):
            raise ValueError("the positions of `share` must ascend, and be below its length")


Order = Literal["wait", "run", "pause", "drain", "stop"]
"""What an agent has to do; `pause` is `run` without launches."""


class Orders(msgspec.Struct):
    """Coordinator → agent, the reply to a post: the acknowledgement and the orders."""

    acknowledged: int
    """The agent may forget every second up to this number."""
    do: Order = "wait"
    start: Start | None = None
    """When to start; repeated with every `run` and `pause`, so that a lost reply does no harm."""
    gates: tuple[float, ...] = ()
    """The openings so far of gates 1, 2, 3…, in seconds from the start of the run; repeated too."""
    met: tuple[int, ...] = ()
    """The meetings that are over, by the number of users that they waited for; repeated too."""
    delay: float = 0.0
    """Seconds that the run has been paused in all, which put off everything later; repeated too."""
    reassignments: tuple[Reassignment, ...] = ()
    """The parts of lost shares that it continues; repeated until `Post.reassigned` counts them."""
    reassigned: int = 0
    """The number of reassignments before these."""
    changes: tuple[PlanChange, ...] = ()
    """What the operator changed of the plan; repeated until `Post.steered` counts them."""
    steered: int = 0
    """The number of changes before these."""
    received: float = 0.0
    """The time at which the coordinator received the post, on the clock of the run."""
    replied: float = 0.0
    """The time at which it replied, on the clock of the run."""
    published: tuple[Published, ...] = ()
    """Publications that its subscribers receive; repeated until `Post.announced` counts them."""
    announced: int = 0
    """The number of publications before these."""
    clocks: dict[ClockName, PublisherClock] = {}
    """The clocks of publishers, beside the clock of the run; repeated with every reply."""
    taken: int = -1
    """The agent need not repeat the seconds up to this number, but keeps them until then."""
    errand: Errand | None = None
    """What it has to call now, beside its load; None: nothing, and what it calls is given up."""
    stay: bool = False
    """True while an errand may come when its load is over: it does not leave then."""
    data: bytes = b""
    """The result of the plan's setup, as JSON; repeated with `start` until it has that."""


def to_wire(message: Any) -> bytes:
    """Returns the JSON form of a message."""
    return msgspec.json.encode(message)


def from_wire(data: bytes | str, kind: type[Message]) -> Message:
    """Returns a message from its JSON form.

    Raises msgspec.DecodeError, which names the field that is wrong and says what is wrong with it.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (UnicodeError, RecursionError) as error:  # not UTF-8; nested too deeply
        raise msgspec.DecodeError(str(error)) from error


def from_agent(data: bytes, kind: type[Message]) -> Message:
    """Returns a message of an agent, in which every text can be printed.

    What a session or a server says reaches terminals, logs and reports: control characters would
    move the cursor there, or forge a line. Names have none; other texts keep line ends and tabs.

    Raises msgspec.DecodeError as `from_wire` does.
    """
    if data.isascii() and b"\\" not in data and b"\x7f" not in data:
        return from_wire(data, kind)  # nearly every post
    try:
        return msgspec.convert(_printable(from_wire(data, Any)), kind, str_keys=True)
    except RecursionError as error:
        raise msgspec.DecodeError(str(error)) from error


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value, kept="\n\t")
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {printable(name): _printable(item) for name, item in value.items()}
    return value
