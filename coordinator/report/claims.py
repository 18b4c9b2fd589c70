"""The claims that a run proves, in one sentence, and those it does not prove."""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from coordinator.report import delivery
from coordinator.report.samples import Sample
from coordinator.report.tables import (
    asked_text,
    failed_sessions,
    peak_text,
    spans_of,
    unexpected_ends,
)
from coordinator.run.summary import Summary
from coordinator.text import and_more, count, ms, reasons, seconds
from loadgen.plan.life import alive_within
from loadgen.plan.plan import Plan
from loadgen.values import UNIX, Endpoint

FLOORS = (1.0, 0.9999, 0.999, 0.99)
"""The parts of the peak that may be claimed, the highest first."""
LONG_ENOUGH = 0.8
"""The part of the longest span for which a floor must be held to be claimed."""
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
    showed = _showed(summary, samples, plan)
    flaws = list(_flaws(summary))
    if flaws:
        showed = f"No proof, since nothing was expected and {' and '.join(flaws)}. {showed}"
    return Claims(showed, list(_does_not(summary, samples, plan)))


def _flaws(summary: Summary) -> Iterator[str]:
    """Yields why a run of which nothing was expected proves nothing."""
    if summary.expectations or summary.verdict != "pass":
        return
    if summary.unexpected:
        yield f"{count(summary.unexpected)} of {count(summary.opened)} ended unexpectedly"
    yield from failed_sessions(summary)
    if summary.pongs_missing:
        yield f"{count(summary.pongs_missing)} of {count(summary.pings)} pings had no answer"
    if summary.invalid_seconds:
        number = len(summary.invalid_seconds)
        yield f"{count(number)} {'second is' if number == 1 else 'seconds are'} invalid"


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


def _showed(summary: Summary, samples: Sequence[Sample], plan: Plan) -> str:
    if not summary.open_peak:
        return "Nothing: no connection was open."
    peak = _peak_at_ends(samples)
    held = plateau(samples, "open", peak) if peak else SteadySpan()
    verified = _verified(summary, samples)
    if verified.length:
        claim = (
            f"{count(verified.least)} connections verified open for {seconds(verified.length)}:"
            f" each answered its upgrade or a ping within {summary.alive_within_s} s"
        )
    elif held.length:
        claim = (
            f"{count(held.least)} connections open for {seconds(held.length)} by the generator's"
            f" own count, not verified to be alive: {_why_unverified(summary, plan)}"
        )
    elif peak or any(sample.invalid for sample in samples):
        least = FLOORS[-1] * (peak or summary.open_peak)
        return f"Nothing: in no valid second were {count(least)} connections open."
    else:
        claim = f"{peak_text(summary)} connections open at once, for less than a second"
    return "; ".join([claim, *_further_claims(summary)]) + "."


def _verified(summary: Summary, samples: Sequence[Sample]) -> SteadySpan:
    """Returns the span in which the connections were alive."""
    peak = _peak_at_ends(samples)
    if summary.alive_within_s is None or not peak:
        return SteadySpan()
    return plateau(samples, "alive", peak)


def _peak_at_ends(samples: Sequence[Sample]) -> int:
    """Returns the most connections that were open at the end of a second."""
    return max((int(sample.fleet.get("open") or 0) for sample in samples), default=0)


def _further_claims(summary: Summary) -> Iterator[str]:
    failed = summary.total_failed
    yield ", ".join(
        [
            f"{count(failed)} of {count(summary.launched)} failed" if failed else "none failed",
            *unexpected_ends(summary),
        ]
    )
    yield from failed_sessions(summary)
    yield f"{count(summary.lost)} lost" if summary.lost else "none lost"
    yield f"{summary.rate_achieved:,.0f} arrivals a second"
    for name, noun in LATENCIES.items():
        if name in summary.judged:
            p99 = ms(summary.judged[name].p99)
            if name == "ping_rtt" and summary.pings_unanswered:
                yield (
                    f"p99 of {count(summary.pings)} pings at least {p99} ms,"
                    f" {count(summary.pings_unanswered)} unanswered"
                )
            else:
                yield f"99 % of the {noun} within {p99} ms"
    yield from delivery.claim(summary)


def _does_not(summary: Summary, samples: Sequence[Sample], plan: Plan) -> Iterator[str]:
    yield from _unproved_end(summary)
    peak = summary.open_peak
    if peak < summary.arrivals:
        most = peak_text(summary)
        yield f"that {count(summary.arrivals)} connections can be open at once: {most} were"
    if peak and not _verified(summary, samples).length:
        why = _why_unverified(summary, plan)
        yield f"that the open connections were alive at the server: {why}"
    yield from _unanswered(summary)
    if summary.failed:
        yield f"that every connection opens: {reasons(summary.failed)}"
    if summary.unexpected:
        yield f"that open connections stay open: {', '.join(unexpected_ends(summary))}"
    for text in failed_sessions(summary):
        yield f"that every session comes to its end: {text}"
    if summary.messages_unsent:
        yield (
            f"that the server takes every message: the kernel had no room for"
            f" {count(summary.messages_unsent)} of"
            f" {count(summary.messages_sent + summary.messages_unsent)}"
        )
    yield from _unproved_arrivals(summary)
    yield from delivery.not_proved(summary)
    yield from _marked_seconds(summary)
    if summary.insecure:
        yield (
            "that the servers are the ones that the URLs name: their certificates were not verified"
            " (--insecure, `tls_verify` = false)"
        )
    yield from _unproved_network(plan)


def _unproved_end(summary: Summary) -> Iterator[str]:
    if summary.aborted:
        yield (
            "that the plan can be carried out to its end: it was aborted after"
            f" {seconds(summary.aborted.second)}, {summary.aborted.why}"
        )
    if summary.breaches:
        yield f"any count: the ledger does not add up, {and_more(summary.breaches)}"
    if summary.not_launched:
        yield (
            "that the plan can be carried out to its end:"
            f" {count(summary.not_launched)} of {count(summary.arrivals)} were never launched"
        )
    if summary.verdict == "stopped":
        yield "that the plan can be carried out to its end: it was stopped by hand"
    if summary.verdict == "lost":
        yield (
            "that the plan can be carried out to its end: the fleet or the coordinator was lost, or"
            " the run still goes on"
        )


def _why_unverified(summary: Summary, plan: Plan) -> str:
    if summary.alive_within_s is not None:
        return f"too few answered within {summary.alive_within_s} s"
    if alive_within(plan.session_specs) is None:
        return "no session of the plan can ping"
    if not summary.pings:
        return "no ping was sent"
    return "its run directory does not say which connections answered"


def _unanswered(summary: Summary) -> Iterator[str]:
    if summary.pongs_missing:
        yield (
            f"that the server answers every ping: {count(summary.pongs_missing)} of"
            f" {count(summary.pings)} had no answer when their connection ended"
        )
    if summary.drained_unanswered:
        yield (
            "that connections close in good order: the server did not answer the CLOSE of"
            f" {count(summary.drained_unanswered)}"
        )


def _unproved_arrivals(summary: Summary) -> Iterator[str]:
    for begin, end in summary.pauses:
        until = "its end" if end is None else f"second {end:.0f}"
        yield (
            f"that arrivals kept to the plan: they were paused by hand from second {begin:.0f} to"
            f" {until}"
        )
    if summary.changes:
        yield f"that arrivals kept to the plan: changed by hand, {asked_text(summary)}"
    if summary.late:
        yield (
            f"that arrivals kept to the plan: {count(summary.late)} were launched more than 100"
            " ms late"
        )


def _marked_seconds(summary: Summary) -> Iterator[str]:
    for where, why in spans_of(summary.invalid_seconds):
        yield f"anything in {where}: {why}"
    for where, why in spans_of(summary.saturated_seconds):
        yield f"anything about latency in {where}: {why}"


def _unproved_network(plan: Plan) -> Iterator[str]:
    urls = [server.url for server in plan.servers]
    local = [
        url
        for url in urls
        if url.lower().startswith(UNIX) or Endpoint(urlsplit(url).hostname or "", 0).loopback
    ]
    if local:
        network = "a network" if local == urls else f"the network to {', '.join(local)}"
        yield f"anything about {network}: agents and server shared one machine, and its CPU"
