"""The figures of a whole run, in the form of summary.json."""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from coordinator.run.hosts import HostSummary
from coordinator.run.parts import WHOLE, Part
from coordinator.run.progress import PhaseProgress
from coordinator.run.publications import Missed, PublicationsSummary
from coordinator.run.row import Percentiles
from coordinator.run.steering import AskedChange
from loadgen.stats.histogram import MAX_VALUE
from loadgen.stats.reasons import unexpected
from loadgen.stats.tally import CheckCounts, Count, Counts

SCHEMA: Final = 1
"""The version of summary.json's form."""
Verdict = Literal["pass", "fail", "stopped", "lost"]
ByReason: TypeAlias = Annotated[dict[str, Count], msgspec.Meta(description="connections by reason")]
Derived: TypeAlias = Annotated[int, msgspec.Meta(ge=-MAX_VALUE, le=MAX_VALUE)]
"""A difference of counters: below 0 where the ledger does not add up."""
Verified: TypeAlias = Count | None
"""A figure of connections' life: None where no ping asked for a sign of it."""

LEADING_KEYS = (
    "schema",
    "verdict",
    "planned",
    "launched",
    "relaunched",
    "opened",
    "accepted",
    "open_peak",
    "open_end",
    "failed",
    "closed",
    "lost",
    "late",
    "unexpected",
)
"""The first keys of summary.json; the others follow in the order of the fields."""


class AgentSummary(msgspec.Struct):
    """The part of one agent in a run."""

    name: str
    status: str
    workers: Count
    share: Count
    """The connections that the agent was given."""
    launched: Count
    opened: Count
    failed: ByReason
    closed: ByReason
    lost: Count
    late: Count
    cpu_s: float
    """CPU seconds of all its processes."""
    rss_peak_mb: float
    """Megabytes that its processes held at most."""
    preflight: str
    """The warning that the agent's machine gave before the run; empty when it gave none."""


class InvalidSecond(msgspec.Struct):
    """A second that is marked, as invalid or as saturated, and the reasons."""

    second: int
    why: list[str]


class EarlyEnd(msgspec.Struct):
    """The early end of a run that could not pass any more."""

    why: str
    second: float
    """Seconds from the start of the run."""


class ExpectationResult(msgspec.Struct, omit_defaults=True):
    """An expectation beside the value that the run showed."""

    expr: str
    value: int | float | None
    """None: the figure was not measured, and the expectation does not hold."""
    held: bool
    samples: int | None = None
    """The number of values that a percentile or a mean is of."""
    bound: float | None = None
    """The value is wrong by this at most, and the expectation holds whatever it is within that;
    None: it is exact."""
    at_least: bool = False
    """True where the value is the least that the figure may be; the expectation holds whatever it
    is from there on."""


class ExportSummary(msgspec.Struct):
    """The settled seconds that a receiver of --export has."""

    url: str
    """Without its query and credentials."""
    seconds: Count
    missing: Count
    """Seconds that it does not have, or not in their newest version."""
    error: str = ""
    """The reason that the last post to fail did; empty when nothing is missing."""


class Summary(Counts, kw_only=True, omit_defaults=False):
    """The figures of a whole run.

    Fields with a default are missing in older run directories.

    The counters are those of `Counts`. Durations are in seconds, times in seconds from the start
    of the run, percentiles in milliseconds.
    """

    schema: Literal[1]
    verdict: Verdict
    planned: Count
    """Connections that the plan asks for, and those that were launched again."""
    open_peak: Derived
    """The most connections that were open at once, as far as that is known."""
    open_peak_most: Verified = None
    """No more than these were open at once: as many as `open_peak` where that is exact; None where
    it is unknown."""
    open_end: Derived
    """Connections that were open at the end of the run."""
    failed: ByReason
    closed: ByReason
    unexpected: Count = 0
    """Of the closed: those that plan, operator and session did not ask for."""
    appwrite: bool = False
    """True for a plan of Appwrite's, whose server says yes after the 101: `accepted`."""
    rate_asked: float
    """Arrivals a second, by the plan."""
    rate_achieved: float
    """Launches of the plan's connections a second."""
    duration_s: float
    plateau_s: Count
    """Seconds at whose end nearly as many connections were open as at the end of any, and alive
    where that is verified."""
    alive_within_s: int | None = None
    """The seconds within which a connection has to answer to count as alive; None where no ping
    was sent: then life is not verified."""
    alive_min: Verified = None
    """The fewest connections that were alive at the end of a second, from the first one that held
    the peak until the drain."""
    compress: str = ""
    """The offer of permessage-deflate that every handshake had; empty: none."""
    compression: dict[str, Count] = msgspec.field(default_factory=dict)
    """The opened connections by what the server chose of that offer; `none`: nothing."""
    histograms: dict[str, Percentiles]
    counters: dict[str, Count] = msgspec.field(default_factory=dict)
    """The counters of sessions, by their own names."""
    timings: dict[str, Percentiles] = msgspec.field(default_factory=dict)
    """The timings of sessions, by their own names."""
    checks: dict[str, CheckCounts] = msgspec.field(default_factory=dict)
    """The checks of sessions, by their own names."""
    http_replies: ByReason = msgspec.field(default_factory=dict)
    """The replies to HTTP requests of sessions, by status."""
    http_failed: ByReason = msgspec.field(default_factory=dict)
    """The HTTP requests of sessions that got no reply."""
    tracebacks: dict[str, str] = msgspec.field(default_factory=dict)
    """The file with a sample, by reason: a traceback, or a refused handshake. Paths are below the
    run directory."""
    retry_after: dict[str, str] = msgspec.field(default_factory=dict)
    """The Retry-After of the sample, by reason, where the server sent one."""
    phases: list[PhaseProgress] = msgspec.field(default_factory=list)
    insecure: bool = False
    """True when any certificate of a wss:// server was accepted."""
    parts: dict[str, Part] = msgspec.field(default_factory=dict)
    """The whole run, its plateau and its phases, with the percentiles of their valid seconds."""
    pauses: list[tuple[float, float | None]] = msgspec.field(default_factory=list)
    """Begin and end of each pause; no end: the pause lasted until the run was over."""
    changes: list[AskedChange] = msgspec.field(default_factory=list)
    """The changes that the operator made to the plan while the run went on."""
    breaches: list[str] = msgspec.field(default_factory=list)
    """Statements of the ledger that can't be true once a run is over; they fail the run."""
    not_launched: Count = 0
    """Users that were never launched although their agents had places and nothing ended the run
    early; they fail it."""
    teardown_failed: Count = 0
    """1 where the plan's teardown failed, or no agent was left to call it."""
    aborted: EarlyEnd | None = None
    """None: nothing ended the run early but, perhaps, the operator."""
    reach: float | None = None
    """Deliveries received in percent of those expected; None where none was expected."""
    publications: PublicationsSummary | None = None
    """None in a run that measures no delivery."""
    missed: list[Missed] = msgspec.field(default_factory=list)
    """Samples of subscribers that did not receive a publication."""
    agents: list[AgentSummary]
    invalid_seconds: list[InvalidSecond]
    """Seconds whose numbers prove nothing."""
    saturated_seconds: list[InvalidSecond] = msgspec.field(default_factory=list)
    """Seconds in which machines bounded what was measured: counts hold, latencies are theirs."""
    hosts: list[HostSummary] = msgspec.field(default_factory=list)
    """The machines of the agents, with the highest figures of any second."""
    expectations: list[ExpectationResult]
    exports: list[ExportSummary] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        """Derives `unexpected`, which older run directories lack."""
        self.unexpected = sum(self.unexpected_ends.values())

    @property
    def unexpected_ends(self) -> dict[str, int]:
        """The closes that plan, operator and session did not ask for, by reason."""
        return unexpected(self.closed)

    @property
    def judged(self) -> dict[str, Percentiles]:
        """The percentiles of the valid seconds; older run directories have those of all."""
        return self.parts[WHOLE].histograms if WHOLE in self.parts else self.histograms

    @property
    def bounds(self) -> dict[str, float]:
        """The milliseconds by which times of a histogram may be wrong, where they are.

        A time below it is unknown.
        """
        bound = self.publications.clock_bound_ms if self.publications else 0.0
        return {"delivery": bound} if bound else {}

    @property
    def peak_is_exact(self) -> bool:
        """True where no more connections can have been open at once than `open_peak`."""
        return self.open_peak_most == self.open_peak

    @property
    def awaits_yes(self) -> bool:
        """True where `accepted` says something: other servers say no more than their 101."""
        return self.appwrite or self.accepted > 0

    @property
    def arrivals(self) -> int:
        """The connections that the plan asks for, without those that were launched again."""
        return self.planned - self.relaunched

    @property
    def total_failed(self) -> int:
        """The connections that failed, for all reasons."""
        return sum(self.failed.values())

    @property
    def total_closed(self) -> int:
        """The connections that were closed, for all reasons."""
        return sum(self.closed.values())

    @property
    def pings_unanswered(self) -> int:
        """The pings that neither their own pong nor that of a newer one answered."""
        return self.pongs_missing + self.pings_cut

    @property
    def late_percent(self) -> float:
        """The late launches in percent of all launches."""
        return 100 * self.late / self.launched if self.launched else 0.0

    def to_json(self) -> bytes:
        """Returns the JSON text of summary.json: the verdict and the ledger come first."""
        values = msgspec.structs.asdict(self)
        return msgspec.json.encode({name: values[name] for name in LEADING_KEYS} | values)
