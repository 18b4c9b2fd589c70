"""What a run proves, in one sentence, and what it does not."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

import msgspec

from coordinator.report.samples import Sample, verified_within
from coordinator.text import count, ms, reasons, seconds
from loadgen.plan.plan import Plan

Summary = dict[str, Any]
FLOORS = (1.0, 0.9999, 0.999, 0.99)
"""The parts of the peak that may be claimed: the highest that was held nearly as long as the
lowest."""
NEARLY = 0.8
NUMBERS = re.compile(r"[\d.,]+")


class Claims(msgspec.Struct, frozen=True):
    """What may be claimed of a run, and what may not."""

    proves: str
    does_not: list[str]


class SteadySpan(msgspec.Struct, frozen=True):
    """Seconds in a row in which something never fell below `least`."""

    length: int = 0
    least: int = 0


def claims_of(summary: Summary, samples: Sequence[Sample], plan: Plan) -> Claims:
    """The claims that a run's seconds carry; seconds that are marked invalid carry none."""
    return Claims(_proves(summary, samples, plan), list(_does_not(summary, samples, plan)))


def asked_in(summary: Summary) -> int:
    """How many connections the plan asked for; the ledger counts as planned, too, who was
    launched again."""
    return int(summary["planned"] - summary.get("relaunched", 0))  # an older run directory lacks it


def longest(samples: Sequence[Sample], name: str, floor: float) -> SteadySpan:
    """The longest stretch of valid seconds in a row in which a figure did not fall below the
    floor."""
    best, length, least, last = SteadySpan(), 0, 0, -2
    for sample in samples:
        value = sample.fleet.get(name)
        if sample.invalid or value is None or value < floor:
            length = 0
            continue
        follows = length > 0 and sample.second == last + 1
        length, least = (length + 1, min(least, int(value))) if follows else (1, int(value))
        last = sample.second
        if length > best.length:
            best = SteadySpan(length, least)
    return best


def plateau(samples: Sequence[Sample], name: str, peak: int) -> SteadySpan:
    """The stretch of seconds that is claimed of a figure: few more connections are worth more
    than a few seconds."""
    whole = longest(samples, name, FLOORS[-1] * peak)
    stretches = (longest(samples, name, floor * peak) for floor in FLOORS)
    return next(
        (stretch for stretch in stretches if stretch.length >= NEARLY * whole.length), whole
    )


def _proves(summary: Summary, samples: Sequence[Sample], plan: Plan) -> str:
    peak = summary["open_peak"]
    if not peak:
        return "Nothing: no connection was open at the end of any second."
    held, verified = plateau(samples, "open", peak), plateau(samples, "verified", peak)
    if verified.length:
        claim = (
            f"{count(verified.least)} connections verified open for {seconds(verified.length)}:"
            f" each answered a ping within {verified_within(plan)} s"
        )
    elif held.length:
        claim = (
            f"{count(held.least)} connections open for {seconds(held.length)}, by the generator's"
            " own count"
        )
    else:
        return f"Nothing: in no valid second were {count(FLOORS[-1] * peak)} connections open."
    return "; ".join([claim, *_beside(summary)]) + "."


def _beside(summary: Summary) -> Iterator[str]:
    failed = sum(summary["failed"].values())
    yield f"{count(failed)} of {count(summary['launched'])} failed" if failed else "none failed"
    yield f"{count(summary['lost'])} lost" if summary["lost"] else "none lost"
    yield f"{summary['rate_achieved']:,.0f} arrivals a second"
    for name, noun in (
        ("handshake", "handshakes"),
        ("ping_rtt", "pings"),
        ("delivery", "deliveries"),
    ):
        if name in summary["histograms"]:
            yield f"99 % of the {noun} within {ms(summary['histograms'][name]['p99'])} ms"


def _does_not(summary: Summary, samples: Sequence[Sample], plan: Plan) -> Iterator[str]:
    yield from _incomplete(summary)
    peak, planned = summary["open_peak"], asked_in(summary)
    if peak < planned:
        yield f"that {count(planned)} connections can be open at once: {count(peak)} were"
    if peak and not plateau(samples, "verified", peak).length:
        within = verified_within(plan)
        why = (
            "its sessions need not ping"
            if within is None
            else f"too few answered a ping within {within} s"
        )
        yield f"that the open connections were alive at the server: {why}"
    if summary["failed"]:
        yield f"that every connection opens: {reasons(summary['failed'])}"
    for begin, end in summary.get("pauses", []):  # an older run directory lacks them
        until = "its end" if end is None else f"second {end:.0f}"
        yield (
            f"that arrivals kept to the plan: they were paused by hand from second {begin:.0f} to"
            f" {until}"
        )
    if summary["late"]:
        yield (
            f"that arrivals kept to the plan: {count(summary['late'])} were launched more than 100"
            " ms late"
        )
    yield from _invalid(summary)
    if (urlsplit(plan.target).hostname or "").startswith(("127.", "localhost", "::1")):
        yield "anything about a network: agents and server shared one machine, and its CPU"


def _incomplete(summary: Summary) -> Iterator[str]:
    if summary["verdict"] == "stopped":
        yield "that the plan can be carried out to its end: it was stopped by hand"
    if summary["verdict"] == "lost":
        yield (
            "that the plan can be carried out to its end: the fleet or the coordinator was lost, or"
            " it goes on still"
        )


def _invalid(summary: Summary) -> Iterator[str]:
    """The seconds that prove nothing; those in a row for the same reason, but for its numbers,
    as one."""
    numbered = enumerate(
        (row["second"], "; ".join(row["why"])) for row in summary["invalid_seconds"]
    )
    for _, group in groupby(
        numbered, key=lambda item: (NUMBERS.sub("", item[1][1]), item[1][0] - item[0])
    ):
        found = [row for _, row in group]
        (first, why), (last, other) = found[0], found[-1]
        where = f"second {first}" if first == last else f"seconds {first} to {last}"
        yield f"anything in {where}: {why}{'' if other == why else ' (and the like)'}"
