"""The claims that a run proves, in one sentence, and those it does not prove."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from urllib.parse import urlsplit

import msgspec

from coordinator.report import delivery
from coordinator.report.samples import Sample, verified_within
from coordinator.run.summary import Summary
from coordinator.text import count, ms, reasons, seconds
from loadgen.plan.plan import Plan
from loadgen.values import Endpoint

FLOORS = (1.0, 0.9999, 0.999, 0.99)
"""The parts of the peak that may be claimed, the highest first."""
LONG_ENOUGH = 0.8
"""The part of the longest span for which a floor must be held to be claimed."""
NUMBERS = re.compile(r"[\d.,]+")
LATENCIES = {"handshake": "handshakes", "ping_rtt": "pings"}
"""The histograms that a claim names, with their noun."""


class Claims(msgspec.Struct, frozen=True):
    """The claims that a run proves, and those it does not prove."""

    proves: str
    does_not: list[str]


class SteadySpan(msgspec.Struct, frozen=True):
    """Consecutive valid seconds in which a figure never fell below `least`."""

    length: int = 0
    """In seconds."""
    least: int = 0


def claims_of(summary: Summary, samples: Sequence[Sample], plan: Plan) -> Claims:
    """Returns the claims that the valid seconds of a run support."""
    return Claims(_proves(summary, samples, plan), list(_does_not(summary, samples, plan)))


def longest_span(samples: Sequence[Sample], name: str, floor: float) -> SteadySpan:
    """Returns the longest span in which a figure did not fall below the floor."""
    best = SteadySpan()
    length = least = 0
    last = -2
    for sample in samples:
        value = sample.fleet.get(name)
        if sample.invalid or value is None or value < floor:
            length = 0
            continue
        follows = length > 0 and sample.second == last + 1
        least = min(least, int(value)) if follows else int(value)
        length = length + 1 if follows else 1
        last = sample.second
        if length > best.length:
            best = SteadySpan(length, least)
    return best


def plateau(samples: Sequence[Sample], name: str, peak: int) -> SteadySpan:
    """Returns the span that is claimed of a figure.

    Subtle: a lower floor gives a longer span. The claim is the highest floor whose span is nearly
    as long as that of the lowest: more connections are worth more than a few seconds.
    """
    whole = longest_span(samples, name, FLOORS[-1] * peak)
    spans = (longest_span(samples, name, floor * peak) for floor in FLOORS)
    return next((span for span in spans if span.length >= LONG_ENOUGH * whole.length), whole)


def _proves(summary: Summary, samples: Sequence[Sample], plan: Plan) -> str:
    peak = summary.open_peak
    if not peak:
        return "Nothing: no connection was open at the end of any second."
    held = plateau(samples, "open", peak)
    verified = plateau(samples, "verified", peak)
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
    return "; ".join([claim, *_further_claims(summary)]) + "."


def _further_claims(summary: Summary) -> Iterator[str]:
    failed = summary.total_failed
    yield f"{count(failed)} of {count(summary.launched)} failed" if failed else "none failed"
    yield f"{count(summary.lost)} lost" if summary.lost else "none lost"
    yield f"{summary.rate_achieved:,.0f} arrivals a second"
    for name, noun in LATENCIES.items():
        if name in summary.histograms:
            yield f"99 % of the {noun} within {ms(summary.histograms[name].p99)} ms"
    yield from delivery.claim(summary)


def _does_not(summary: Summary, samples: Sequence[Sample], plan: Plan) -> Iterator[str]:
    yield from _unproved_end(summary)
    peak = summary.open_peak
    if peak < summary.arrivals:
        yield f"that {count(summary.arrivals)} connections can be open at once: {count(peak)} were"
    if peak and not plateau(samples, "verified", peak).length:
        yield f"that the open connections were alive at the server: {_why_unverified(plan)}"
    if summary.failed:
        yield f"that every connection opens: {reasons(summary.failed)}"
    yield from _unproved_arrivals(summary)
    yield from delivery.not_proved(summary)
    yield from _invalid_seconds(summary)
    yield from _unproved_network(plan)


def _unproved_end(summary: Summary) -> Iterator[str]:
    if summary.verdict == "stopped":
        yield "that the plan can be carried out to its end: it was stopped by hand"
    if summary.verdict == "lost":
        yield (
            "that the plan can be carried out to its end: the fleet or the coordinator was lost, or"
            " the run still goes on"
        )


def _why_unverified(plan: Plan) -> str:
    window = verified_within(plan)
    if window is None:
        return "its sessions need not ping"
    return f"too few answered a ping within {window} s"


def _unproved_arrivals(summary: Summary) -> Iterator[str]:
    for begin, end in summary.pauses:
        until = "its end" if end is None else f"second {end:.0f}"
        yield (
            f"that arrivals kept to the plan: they were paused by hand from second {begin:.0f} to"
            f" {until}"
        )
    if summary.late:
        yield (
            f"that arrivals kept to the plan: {count(summary.late)} were launched more than 100"
            " ms late"
        )


def _invalid_seconds(summary: Summary) -> Iterator[str]:
    """One text for consecutive seconds with the same reasons but for their numbers."""
    numbered = enumerate((row.second, "; ".join(row.why)) for row in summary.invalid_seconds)
    for _, group in groupby(
        numbered, key=lambda item: (NUMBERS.sub("", item[1][1]), item[1][0] - item[0])
    ):
        found = [row for _, row in group]
        first, why = found[0]
        last, last_why = found[-1]
        where = f"second {first}" if first == last else f"seconds {first} to {last}"
        yield f"anything in {where}: {why}{'' if last_why == why else ' (and similar)'}"


def _unproved_network(plan: Plan) -> Iterator[str]:
    urls = [server.url for server in plan.servers]
    local = [url for url in urls if Endpoint(urlsplit(url).hostname or "", 0).loopback]
    if local:
        network = "a network" if local == urls else f"the network to {', '.join(local)}"
        yield f"anything about {network}: agents and server shared one machine, and its CPU"
