"""The claims of a run and their measured values, all read from its run directory."""

from collections.abc import Iterator
from typing import NamedTuple

from coordinator.text import count, ms, reasons
from tests.million.phases import Phase
from tests.million.record import Record

GIB = 1 << 30
MAX_PROCESSES = 2 * GIB
"""Bytes that all processes of a run may take before their first connection."""
MAX_PER_MILLION = 16 * GIB
"""Bytes that a million connections with both ends may take, in kernel and processes."""
MAX_LATE = 1.0
"""Percent of the launches."""
MAX_LAG = 100.0
"""Milliseconds."""
MAX_ROUND_TRIP = 1000.0
"""Milliseconds."""


class Claim(NamedTuple):
    """One claim of a run."""

    name: str
    asked: str
    measured: str
    held: bool
    timing: bool = False
    """True when it depends on the other load of the machine."""


def claims_of(record: Record, phases: dict[str, Phase]) -> list[Claim]:
    """Returns every claim that this run can make."""
    pinging = [_alive(record), _round_trip(phases)] if record.plan.ping != "none" else []
    return [
        *_counts(record),
        _ledgers(record),
        *pinging,
        *_generator(record, phases),
        _memory(record),
    ]


def _counts(record: Record) -> Iterator[Claim]:
    summary = record.summary
    planned = record.plan.total
    failed = summary.total_failed
    closed = summary.closed
    peak = summary.open_peak
    yield Claim("all open at once", count(planned), count(peak), peak == planned)
    yield Claim("none failed", "0", reasons(summary.failed) or "0", failed == 0)
    yield Claim("none lost", "0", count(summary.lost), summary.lost == 0)
    # A run stopped by hand drains as well, but before its time.
    to_the_end = closed == {"drained": planned} and summary.verdict == "pass"
    measured = f"{reasons(closed) or 'none'}; run: {summary.verdict}"
    yield Claim("all held to the end", f"drained {count(planned)}", measured, to_the_end)


def _ledgers(record: Record) -> Claim:
    summary = record.summary
    target = record.findings.target
    ours = {
        "opened": summary.opened,
        "closed": summary.total_closed,
        "pings": summary.pings,
        "messages": summary.messages_received,
    }
    differ = [
        f"{name} {count(mine)} ≠ {count(target[name])}"
        for name, mine in ours.items()
        if mine != target[name]
    ]
    equal = ", ".join(f"{name} {count(number)}" for name, number in ours.items())
    return Claim("ledger is the target's own", "equal", "; ".join(differ) or equal, not differ)


def _alive(record: Record) -> Claim:
    """Returns the claim that every connection had a round trip.

    The target knows that each sent a ping, and the fleet that each ping was answered.
    """
    summary = record.summary
    pinged = record.findings.target["pinged"]
    planned = record.plan.total
    measured = f"{count(pinged)}; {count(summary.pongs)} of {count(summary.pings)} pings answered"
    held = pinged == planned and summary.pings == summary.pongs
    return Claim("verified alive by ping and pong", count(planned), measured, held)


def _round_trip(phases: dict[str, Phase]) -> Claim:
    p99 = phases["plateau"].p99("ping_rtt")
    held = p99 is not None and p99 < MAX_ROUND_TRIP
    return Claim(
        "ping round trip p99, plateau", f"< {MAX_ROUND_TRIP:g} ms", _ms(p99), held, timing=True
    )


def _generator(record: Record, phases: dict[str, Phase]) -> Iterator[Claim]:
    summary = record.summary
    lag = phases["ramp"].p99("lag")
    late = 100 * summary.late / max(1, summary.launched)
    yield Claim("launched late", f"< {MAX_LATE:g} %", f"{late:.3f} %", late < MAX_LATE, timing=True)
    yield Claim(
        "launch lag p99, ramp",
        f"< {MAX_LAG:g} ms",
        _ms(lag),
        lag is not None and lag < MAX_LAG,
        timing=True,
    )


def _memory(record: Record) -> Claim:
    allowed = MAX_PROCESSES + MAX_PER_MILLION * record.plan.total / 1_000_000
    used = peak_memory(record)
    return Claim(
        "memory over the idle machine",
        f"< {allowed / GIB:.1f} GiB",
        f"{used / GIB:.1f} GiB",
        used < allowed,
    )


def peak_memory(record: Record) -> int:
    """Returns the most bytes that the run made the machine use.

    They are those beyond what it used before the run.
    """
    return max(sample.used for sample in record.samples) - record.samples[0].used


def _ms(value: float | None) -> str:
    return "not measured" if value is None else f"{ms(value)} ms"
