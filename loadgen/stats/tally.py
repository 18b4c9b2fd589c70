"""The counts, reasons and histograms of one second, or of a whole run.

Merging adds, so that neither the order nor the grouping of merges matters.
"""

from collections.abc import Callable, Mapping
from operator import index
from typing import Annotated, Any, NamedTuple, get_type_hints

import msgspec

from loadgen.stats.histogram import MAX_VALUE, Histogram

MAX_NAMES = 200
"""The most counters, timings and checks each that a tally keeps by name for sessions."""
MAX_NAME_LENGTH = 80
"""In characters."""
MEET = "meet_"
"""Before the size of a meeting, in the name of the counter of the users that came to it."""
HTTP_TIMING = "http_"
"""Before the name of an HTTP request, in the name of its timing."""
CHECK = "check."
"""Before the name of a check, in the name of its figure and of its sample."""
OTHER = "other"
"""The name under which everything beyond MAX_NAMES is counted."""
MAX_REASONS = 20_000
"""The most different reasons in a tally; most of them have a number that a server chose."""
MAX_REASON_LENGTH = 200
"""In characters."""

MAX_BY = 10**12
"""The most by which a session's counter grows at once: more would soon be beyond MAX_VALUE."""
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_VALUE)]
Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_LENGTH)]
CountsByReason = Annotated[
    dict[Annotated[str, msgspec.Meta(max_length=MAX_REASON_LENGTH)], Count],
    msgspec.Meta(max_length=MAX_REASONS),
]


class Metric(NamedTuple):
    """The Prometheus metric that a field is exported as."""

    name: str
    """Without the `_total` of a counter."""
    help: str


class Counts(msgspec.Struct, omit_defaults=True):
    """The plain counters of a second or of a run: a new counter is a new field.

    Metrics, summary.json, CSV, --expect, page and Tsung log take them from these fields.
    """

    launched: Annotated[
        Count, Metric("loadgen_connections_launched", "Connections that were started.")
    ] = 0
    relaunched: Annotated[
        Count,
        Metric(
            "loadgen_connections_relaunched", "Of the launched: those beyond the plan's numbers."
        ),
    ] = 0
    """Users that came back, and a session's further connections."""
    late: Annotated[
        Count,
        Metric("loadgen_connections_late", "Of the launched: those launched over 100 ms late."),
    ] = 0
    """Beside the ledger: no connection is left out because it is late."""
    opened: Annotated[
        Count, Metric("loadgen_connections_opened", "Connections whose 101 was valid.")
    ] = 0
    accepted: Annotated[
        Count,
        Metric(
            "loadgen_connections_accepted", "Of the opened: those the server said yes to as well."
        ),
    ] = 0
    """Appwrite's `connected` frame after the 101 says yes."""
    lost: Annotated[
        Count,
        Metric("loadgen_connections_lost", "Connections open on an agent or worker that died."),
    ] = 0
    redirects: Annotated[
        Count, Metric("loadgen_redirects", "Redirects of handshakes that were followed.")
    ] = 0
    pings: Annotated[Count, Metric("loadgen_pings", "Pings sent.")] = 0
    pongs: Annotated[Count, Metric("loadgen_pongs", "Pongs received.")] = 0
    pongs_skipped: Annotated[
        Count,
        Metric("loadgen_pongs_skipped", "Pings that only the pong of a newer ping answered."),
    ] = 0
    """RFC 6455 section 5.5.3 allows it."""
    pongs_missing: Annotated[
        Count,
        Metric("loadgen_pongs_missing", "Pings without an answer at their connection's end."),
    ] = 0
    pings_cut: Annotated[
        Count,
        Metric(
            "loadgen_pings_cut",
            "Pings without an answer when the plan or the operator cut their connection.",
        ),
    ] = 0
    """A storm or the operator's stop sends no CLOSE: their answers may have been on the way."""
    drained_unanswered: Annotated[
        Count,
        Metric(
            "loadgen_connections_drained_unanswered",
            "Of the closed: those whose closing handshake the server did not answer.",
        ),
    ] = 0
    """Whatever the reason in the ledger: the generator sent a CLOSE, and TCP ended without one from
    the server (RFC 6455 section 7.1.5)."""
    messages_sent: Annotated[
        Count, Metric("loadgen_messages_sent", "Messages whose last byte the kernel took.")
    ] = 0
    messages_unsent: Annotated[
        Count,
        Metric(
            "loadgen_messages_unsent",
            "Messages whose connection ended before the kernel took them whole.",
        ),
    ] = 0
    """Every message that a session sends is in the end one of these two."""
    messages_received: Annotated[
        Count, Metric("loadgen_messages_received", "Messages received.")
    ] = 0
    messages_compressed: Annotated[
        Count,
        Metric("loadgen_messages_compressed", "Of the messages received: those compressed."),
    ] = 0
    replies: Annotated[
        Count, Metric("loadgen_replies", "Automatic replies to messages that were sent.")
    ] = 0
    replies_unsent: Annotated[
        Count,
        Metric(
            "loadgen_replies_unsent",
            "Automatic replies left out because the server did not take what was sent before.",
        ),
    ] = 0
    bytes_sent: Annotated[
        Count, Metric("loadgen_sent_bytes", "Bytes of connections that the kernel took.")
    ] = 0
    """Frames and upgrade requests; with TLS, as they are before it."""
    bytes_received: Annotated[
        Count, Metric("loadgen_received_bytes", "Bytes read from connections.")
    ] = 0
    ports_skipped: Annotated[
        Count,
        Metric(
            "loadgen_ports_skipped", "Source ports stepped over because somebody else held them."
        ),
    ] = 0
    addresses_passed: Annotated[
        Count,
        Metric(
            "loadgen_addresses_passed",
            "Addresses that took no TCP connection, so that the next of the name was dialed.",
        ),
    ] = 0
    """The connection goes on: it fails only once all addresses of its target were tried."""
    tls_handshakes: Annotated[
        Count, Metric("loadgen_tls_handshakes", "TLS handshakes with a target that were completed.")
    ] = 0
    tls_resumed: Annotated[
        Count,
        Metric("loadgen_tls_resumed", "Of the TLS handshakes: those that resumed a session."),
    ] = 0
    sessions_started: Annotated[
        Count, Metric("loadgen_sessions_started", "Sessions that began.")
    ] = 0
    sessions_done: Annotated[
        Count,
        Metric(
            "loadgen_sessions_done", "Sessions that returned, or that the plan or operator ended."
        ),
    ] = 0
    sessions_failed: Annotated[
        Count, Metric("loadgen_sessions_failed", "Sessions that raised an exception.")
    ] = 0
    """Of scripts: those that an error of theirs ended."""
    checks_passed: Annotated[
        Count, Metric("loadgen_checks_passed", "Checks of sessions whose condition was true.")
    ] = 0
    checks_failed: Annotated[
        Count, Metric("loadgen_checks_failed", "Checks of sessions whose condition was false.")
    ] = 0
    http_requests: Annotated[
        Count, Metric("loadgen_http_requests", "HTTP requests that sessions began.")
    ] = 0
    """In the end each is one of `http_replies` or `http_failed`; redirects are a part of it."""
    http_errors: Annotated[
        Count, Metric("loadgen_http_errors", "Replies to HTTP requests with status 400 or above.")
    ] = 0
    delivery_expected: Annotated[
        Count, Metric("loadgen_deliveries_expected", "Deliveries that subscribers had to get.")
    ] = 0
    """Counted, as the next two, when the grace of a publication is over."""
    delivery_received: Annotated[
        Count, Metric("loadgen_deliveries_received", "Of the expected: those that came in time.")
    ] = 0
    delivery_lost: Annotated[
        Count, Metric("loadgen_deliveries_lost", "Of the expected: those that did not.")
    ] = 0
    delivery_duplicates: Annotated[
        Count, Metric("loadgen_deliveries_duplicate", "Publications received once more.")
    ] = 0
    delivery_reordered: Annotated[
        Count, Metric("loadgen_deliveries_reordered", "Publications received after a later one.")
    ] = 0
    delivery_late: Annotated[
        Count, Metric("loadgen_deliveries_late", "Of the lost: those that came after the grace.")
    ] = 0
    delivery_negative: Annotated[
        Count, Metric("loadgen_deliveries_negative", "Receipts before the sending, by the clocks.")
    ] = 0
    """Their times are in no histogram."""
    delivery_untimed: Annotated[
        Count, Metric("loadgen_deliveries_untimed", "Receipts whose sender's clock is unknown.")
    ] = 0
    delivery_unregistered: Annotated[
        Count,
        Metric("loadgen_deliveries_unregistered", "Receipts of publications not known as sent."),
    ] = 0
    delivery_unstamped: Annotated[
        Count, Metric("loadgen_messages_unstamped", "Messages received without a stamp.")
    ] = 0

    @property
    def checks_made(self) -> int:
        """The checks of sessions, passed and failed."""
        return self.checks_passed + self.checks_failed


class CheckCounts(msgspec.Struct):
    """The counts of one check, by its result."""

    passed: Count = 0
    failed: Count = 0

    @property
    def total(self) -> int:
        """The passed and the failed ones."""
        return self.passed + self.failed

    @property
    def share(self) -> float:
        """The passed ones in percent of all."""
        return 100 * self.passed / self.total if self.total else 0.0

    def merge(self, other: "CheckCounts") -> None:
        """Adds the counts of another part to these."""
        self.passed += other.passed
        self.failed += other.failed


class Tally(Counts, omit_defaults=True):
    """The counts and histograms of one second or, merged, of a whole run.

    Histograms are in microseconds.
    """

    failed: Annotated[
        CountsByReason,
        Metric("loadgen_connections_failed", "Connections that never opened, by reason."),
    ] = msgspec.field(default_factory=dict)
    closed: Annotated[
        CountsByReason,
        Metric("loadgen_connections_closed", "Connections that opened and ended, by reason."),
    ] = msgspec.field(default_factory=dict)
    http_replies: Annotated[
        CountsByReason,
        Metric("loadgen_http_replies", "Replies to HTTP requests of sessions, by status."),
    ] = msgspec.field(default_factory=dict)
    http_failed: Annotated[
        CountsByReason,
        Metric("loadgen_http_failed", "HTTP requests of sessions without a reply, by reason."),
    ] = msgspec.field(default_factory=dict)
    compression: CountsByReason = msgspec.field(default_factory=dict)
    """The opened connections that offered permessage-deflate, by what the server chose: its
    extension, or `none`."""
    connect: Histogram = msgspec.field(default_factory=Histogram)
    """Until the request can be sent: `tcp` and `tls` are parts of it."""
    tcp: Annotated[
        Histogram, Metric("loadgen_tcp_seconds", "From dialing to a TCP connection that gets TLS.")
    ] = msgspec.field(default_factory=Histogram)
    tls: Annotated[Histogram, Metric("loadgen_tls_seconds", "The TLS handshake with a target.")] = (
        msgspec.field(default_factory=Histogram)
    )
    upgrade: Annotated[
        Histogram,
        Metric("loadgen_upgrade_seconds", "From the end of the TLS handshake to a reply."),
    ] = msgspec.field(default_factory=Histogram)
    """These three are of connections with TLS alone: without it, `connect` is the first."""
    handshake: Annotated[
        Histogram, Metric("loadgen_handshake_seconds", "From dialing to a valid 101.")
    ] = msgspec.field(default_factory=Histogram)
    open: Histogram = msgspec.field(default_factory=Histogram)
    ping_rtt: Annotated[
        Histogram, Metric("loadgen_ping_rtt_seconds", "From when a ping was due to its pong.")
    ] = msgspec.field(default_factory=Histogram)
    """A ping that nothing answers is in it with its age: no percentile is better by its absence."""
    ping_rtt_sent: Histogram = msgspec.field(default_factory=Histogram)
    """From the send; of the pings of sessions in Python and scripts."""
    delivery: Annotated[
        Histogram, Metric("loadgen_delivery_seconds", "From a publication's sending to a receipt.")
    ] = msgspec.field(default_factory=Histogram)
    http: Annotated[
        Histogram, Metric("loadgen_http_seconds", "From an HTTP request to the end of its reply.")
    ] = msgspec.field(default_factory=Histogram)
    """With the time to connect and with redirects; a request that failed is not in it."""
    lag: Annotated[
        Histogram,
        Metric("loadgen_launch_lag_seconds", "From when a connection was due to its launch."),
    ] = msgspec.field(default_factory=Histogram)
    loop_lag: Annotated[
        Histogram, Metric("loadgen_event_loop_lag_seconds", "How late the event loop ran a timer.")
    ] = msgspec.field(default_factory=Histogram)
    counters: Annotated[dict[Name, Count], msgspec.Meta(max_length=MAX_NAMES + 1)] = msgspec.field(
        default_factory=dict
    )
    """The counters of sessions' own, by name."""
    timings: Annotated[dict[Name, Histogram], msgspec.Meta(max_length=MAX_NAMES + 1)] = (
        msgspec.field(default_factory=dict)
    )
    """The timings of sessions' own, by name; those of transactions begin with `tr_`, those of HTTP
    requests with `http_`."""
    checks: Annotated[dict[Name, CheckCounts], msgspec.Meta(max_length=MAX_NAMES + 1)] = (
        msgspec.field(default_factory=dict)
    )
    """The checks of sessions, by name. Subtle: they are no counters, since a name beyond MAX_NAMES
    could take the failures of a check away and leave what passed."""

    def count(self, name: str, by: int = 1) -> None:
        """Adds to a session's own counter.

        Raises TypeError if `by` is not a whole number, ValueError if it is below 0 or over MAX_BY.
        """
        by = index(by)
        if not 0 <= by <= MAX_BY:
            raise ValueError(f"count({name!r}, {by}): a counter grows by 0 to {MAX_BY:,}")
        counters = self.counters
        if name not in counters:
            name = _room_for(name, counters)
        counters[name] = counters.get(name, 0) + by

    def time(self, name: str, microseconds: int) -> None:
        """Records a session's own timing."""
        timings = self.timings
        if name not in timings:
            name = _room_for(name, timings)
        timings.setdefault(name, Histogram()).record(microseconds)

    def check(self, name: str, *, passed: bool) -> None:
        """Records whether the condition of a session's check was true."""
        checks = self.checks
        if name not in checks:
            name = _room_for(name, checks)
        counts = checks.setdefault(name, CheckCounts())
        if passed:
            self.checks_passed += 1
            counts.passed += 1
        else:
            self.checks_failed += 1
            counts.failed += 1

    def merge(self, other: "Tally") -> None:
        """Adds the counts and histograms of another tally to this one."""
        self.merge_counts(other)
        self.merge_histograms(other)

    def merge_counts(self, other: "Tally") -> None:
        """Adds the counts of another tally, and none of its histograms and timings."""
        for name in COUNTS:
            count = getattr(other, name)
            if count:
                setattr(self, name, getattr(self, name) + count)
        for name in BY_NAME:
            theirs: dict[str, int] = getattr(other, name)
            if theirs:
                mine: dict[str, int] = getattr(self, name)
                for reason, count in theirs.items():
                    mine[reason] = mine.get(reason, 0) + count
        if other.counters:
            _merge_counters(self.counters, other.counters)
        if other.checks:
            _merge_parts(self.checks, other.checks, CheckCounts)

    def merge_histograms(self, other: "Tally") -> None:
        """Adds the histograms and timings of another tally, and none of its counts."""
        for name in HISTOGRAMS:
            theirs: Histogram = getattr(other, name)
            if theirs.counts:
                getattr(self, name).merge(theirs)
        self.merge_timings(other)

    def merge_timings(self, other: "Tally") -> None:
        """Adds the timings of another tally alone."""
        if other.timings:
            _merge_parts(self.timings, other.timings, Histogram)

    @property
    def sessions_running(self) -> int:
        """The sessions that began and are not over."""
        return self.sessions_started - self.sessions_done - self.sessions_failed

    @property
    def reach(self) -> float | None:
        """The received deliveries in percent of the expected ones; None without any."""
        if not self.delivery_expected:
            return None
        return 100 * self.delivery_received / self.delivery_expected

    def histograms(self) -> dict[str, Histogram]:
        """Returns the histograms by name, in the order of the contract."""
        return {name: getattr(self, name) for name in HISTOGRAMS}

    def counts(self) -> dict[str, int]:
        """Returns the plain counts by name."""
        return {name: getattr(self, name) for name in COUNTS}


BY_NAME = ("failed", "closed", "compression", "http_replies", "http_failed")
"""The counts by reason, or by another name; HTTP replies are counted by their status."""
COUNTS = Counts.__struct_fields__
"""The names of the plain counters."""
HISTOGRAMS = tuple(
    field.name for field in msgspec.structs.fields(Tally) if field.default_factory is Histogram
)
"""The names of the histograms, in the order of the contract."""
WORKER_WIDE = (
    "delivery",
    "loop_lag",
    *(name for name in COUNTS if name.startswith("delivery_")),
)
"""The counts and histograms that a worker has as a whole: they are not split."""
METRICS = {
    name: part
    for name, hint in get_type_hints(Tally, include_extras=True).items()
    for part in getattr(hint, "__metadata__", ())
    if isinstance(part, Metric)
}
"""The metric of each field that Prometheus gets."""


def worker_wide(tally: Tally) -> Tally:
    """Returns a tally with what is not split alone."""
    return Tally(**{name: getattr(tally, name) for name in WORKER_WIDE})


def name_of(text: str) -> str:
    """Returns a session's own name for something: printable, short and not empty."""
    name = "".join(sign if sign.isprintable() else "_" for sign in str(text)[:MAX_NAME_LENGTH])
    return name or OTHER


def _room_for(name: str, own: dict[str, Any]) -> str:
    """Returns the name to count something new under, made printable and short.

    It is OTHER where `own` has no room for another name.
    """
    name = name_of(name)
    return name if name in own or len(own) < MAX_NAMES else OTHER


def _merge_counters(mine: dict[str, int], theirs: dict[str, int]) -> None:
    for name, count in theirs.items():
        mine[name] = mine.get(name, 0) + count
    for name in _surplus(mine):
        mine[OTHER] = mine.get(OTHER, 0) + mine.pop(name)


def _merge_parts(mine: dict[str, Any], theirs: Mapping[str, Any], empty: Callable[[], Any]) -> None:
    """Merges timings or checks by their names; `empty` makes one without values."""
    for name, part in theirs.items():
        mine.setdefault(name, empty()).merge(part)
    for name in _surplus(mine):
        mine.setdefault(OTHER, empty()).merge(mine.pop(name))


def _surplus(own: dict[str, Any]) -> list[str]:
    """Returns the names beyond MAX_NAMES.

    Subtle: the names that sort first are kept, not those that came first. Otherwise the order of
    merges would matter.
    """
    return sorted(own.keys() - {OTHER})[MAX_NAMES:] if len(own) > MAX_NAMES else []
