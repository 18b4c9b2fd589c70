"""One second's ledger counts, reasons and histograms; merging is adding, so the order and the grouping never matter.

The ledger (every connection is counted in exactly one state or end):

    planned  = not_started + launched
    launched = connecting + failed[reason] + opened
    opened   = open + closed[reason] + lost
"""

from typing import Any

import msgspec

from loadgen.histogram import Histogram

COUNTS = (
    "launched",
    "late",
    "opened",
    "accepted",
    "lost",
    "pings",
    "pongs",
    "messages_sent",
    "messages_received",
    "bytes_sent",
    "bytes_received",
    "ports_skipped",
)
HISTOGRAMS = ("connect", "handshake", "open", "ping_rtt", "delivery", "lag", "loop_lag")


class Tally(msgspec.Struct, omit_defaults=True):
    """What happened in one second somewhere, or, merged over seconds, in a whole run. Bytes, counts, microseconds."""

    launched: int = 0
    late: int = 0
    """Launched more than 100 ms after it was due: beside the ledger, never a reason to skip."""
    opened: int = 0
    accepted: int = 0
    """The server also said yes after the 101 (Appwrite's `connected` frame)."""
    lost: int = 0
    """Was open on an agent or worker that died."""
    pings: int = 0
    pongs: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    ports_skipped: int = 0
    """Source ports stepped over because somebody else held them."""
    failed: dict[str, int] = msgspec.field(default_factory=dict)
    """Never opened, by reason: refused, timeout, reset, no_local_port, no_fd, http_503…"""
    closed: dict[str, int] = msgspec.field(default_factory=dict)
    """Opened and ended, by reason: done, drained, server_1000, server_eof, reset, ping_timeout…"""
    connect: Histogram = msgspec.field(default_factory=Histogram)
    handshake: Histogram = msgspec.field(default_factory=Histogram)
    open: Histogram = msgspec.field(default_factory=Histogram)
    ping_rtt: Histogram = msgspec.field(default_factory=Histogram)
    delivery: Histogram = msgspec.field(default_factory=Histogram)
    lag: Histogram = msgspec.field(default_factory=Histogram)
    loop_lag: Histogram = msgspec.field(default_factory=Histogram)

    def merge(self, other: "Tally") -> None:
        """Adds what the other counted to this one."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.failed, other.failed), (self.closed, other.closed)):
            for reason, count in theirs.items():
                mine[reason] = mine.get(reason, 0) + count
        for name in HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))

    def histograms(self) -> dict[str, Histogram]:
        """The histograms by name, in the order of the contract."""
        return {name: getattr(self, name) for name in HISTOGRAMS}

    def counts(self) -> dict[str, int]:
        """The plain counts by name."""
        return {name: getattr(self, name) for name in COUNTS}


class Held(msgspec.Struct):
    """How many connections a worker holds, counted on its own objects: what its tallies have to add up to."""

    connecting: int = 0
    open: int = 0

    def merge(self, other: "Held") -> None:
        """Adds the other's connections to these."""
        self.connecting += other.connecting
        self.open += other.open


class Ledger(msgspec.Struct, frozen=True):
    """Where all planned connections stand, derived from the merged tally of everything so far."""

    planned: int
    not_started: int
    launched: int
    connecting: int
    failed: dict[str, int]
    opened: int
    accepted: int
    open: int
    closed: dict[str, int]
    lost: int
    late: int

    @classmethod
    def of(cls, planned: int, total: Tally) -> "Ledger":
        """The ledger after everything in `total` happened."""
        return cls(
            planned=planned,
            not_started=planned - total.launched,
            launched=total.launched,
            connecting=total.launched - sum(total.failed.values()) - total.opened,
            failed=dict(sorted(total.failed.items())),
            opened=total.opened,
            accepted=total.accepted,
            open=total.opened - sum(total.closed.values()) - total.lost,
            closed=dict(sorted(total.closed.items())),
            lost=total.lost,
            late=total.late,
        )

    def breaches(self, held: Held | None = None) -> list[str]:
        """Which laws do not hold, in words; empty when the ledger adds up (and agrees with what is really held)."""
        wrong = [f"{name} is {value}" for name, value in self._derived().items() if value < 0]
        if held is not None and self.connecting != held.connecting:
            wrong.append(f"connecting is {self.connecting} but {held.connecting} are held")
        if held is not None and self.open != held.open:
            wrong.append(f"open is {self.open} but {held.open} are held")
        return wrong

    def _derived(self) -> dict[str, int]:
        return {"not_started": self.not_started, "connecting": self.connecting, "open": self.open}

    def to_json(self) -> dict[str, Any]:
        """The ledger as plain JSON values."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]  # a struct becomes a dict
