"""The delivery of publications in reports: lines, a table, and what it proves."""

from collections.abc import Iterator

from coordinator.report.tables import ABSENT, Table, time_text
from coordinator.run.publications import PublicationLine
from coordinator.run.summary import Summary
from coordinator.text import count, ms, percent_text, reasons

MAX_SAMPLES = 5
"""Samples of subscribers that missed a publication in the text; summary.json has more."""


def delivery_lines(summary: Summary) -> list[str]:
    """Returns the delivery as lines of text; empty for a run that measures none."""
    of = summary.publications
    if of is None:
        return []
    rate = f" at {of.rate:,.1f}/s" if of.rate else ""
    reach = (
        f"reach {percent_text(summary.reach)} ({count(summary.delivery_received)} of"
        f" {count(summary.delivery_expected)})"
        if summary.reach is not None
        else "reach not measured"
    )
    order = f"{count(summary.delivery_reordered)} reordered" if of.ordered else "order not judged"
    lines = [
        f"delivery: {count(of.sent)} publications{rate}; {reach}; {count(summary.delivery_lost)}"
        f" lost, {count(summary.delivery_duplicates)} duplicates, {order}"
    ]
    if of.failed:
        lines.append(f"publications that could not be sent: {reasons(of.failed)}")
    if summary.bounds:
        bound = ms(of.clock_bound_ms)
        lines.append(f"times of delivery are ± {bound} ms: the hosts' clocks are known to that")
    lines += [f"unknown: {text}" for text in doubts(summary)]
    lines += [
        f"missed: user {count(one.user)} of {one.agent}, {one.publication}"
        for one in summary.missed[:MAX_SAMPLES]
    ]
    return lines


def delivery_table(summary: Summary) -> Table:
    """Returns the worst publications, a row for each; only the head without any."""
    rows = [["worst publications", "second", "expected", "lost", "reach"]]
    rows[0] += ["first ms", "p50", "p99", "last"]
    rows += [_row(line) for line in (summary.publications.worst if summary.publications else ())]
    return rows


def _row(line: PublicationLine) -> list[str]:
    times = (line.first, line.p50, line.p99, line.last)
    return [
        line.publication,
        f"{line.at:.1f}",
        count(line.expected),
        count(line.lost),
        ABSENT if line.reach is None else percent_text(line.reach),
        *(time_text(time, line.clock_bound) for time in times),
    ]


def claim(summary: Summary) -> Iterator[str]:
    """Yields the sentence on how many subscribers publications reached, and how fast."""
    of = summary.publications
    if of is None or summary.reach is None:
        return
    what = f"{of.rate:,.3g} publications a second" if of.rate else _sent(of.sent)
    text = f"{what} reached {percent_text(summary.reach)} of {count(of.subscribers)} subscribers"
    times = summary.judged.get("delivery")
    bound = summary.bounds.get("delivery", 0.0)
    if times is not None and times.p99 >= bound:
        text += f", 99 % within {ms(times.p99)} ms{f' ± {ms(bound)} ms' if bound else ''}"
    yield text


def _sent(number: int) -> str:
    return f"{count(number)} publication{'s' if number != 1 else ''}"


def not_proved(summary: Summary) -> Iterator[str]:
    """Yields what a run that measures delivery does not prove about it."""
    if summary.publications is None:
        return
    wrong = {
        "lost": summary.delivery_lost,
        "received twice": summary.delivery_duplicates,
        "received after a later one": summary.delivery_reordered,
    }
    if any(wrong.values()):
        texts = ", ".join(
            f"{count(number)} were {what}" for what, number in wrong.items() if number
        )
        yield f"that every publication reaches every subscriber once and in order: {texts}"
    for text in doubts(summary):
        yield f"all about delivery: {text}"


def doubts(summary: Summary) -> Iterator[str]:
    """Yields what is not known about the delivery, and why."""
    of = summary.publications
    assert of is not None
    if of.unstamped:
        yield f"messages had no stamp, such as {of.unstamped!r}"
    elif summary.reach is None:
        yield "no subscriber was expected to receive any publication"
    if of.unmeasured:
        yield f"{count(of.unmeasured)} publications were too many to be measured"
    if summary.delivery_untimed:
        untimed = count(summary.delivery_untimed)
        yield f"{untimed} receipts have no time: the clock of their sender is unknown"
    times = summary.histograms.get("delivery")
    if times is not None and times.p50 < summary.bounds.get("delivery", 0.0):
        bound = ms(of.clock_bound_ms)
        yield f"times of delivery below {bound} ms: the clocks of the hosts may differ by that"
    if summary.delivery_negative:
        negative = count(summary.delivery_negative)
        yield f"{negative} receipts have no time: by the clocks they were before the sending"
    if summary.delivery_unregistered:
        yield (
            f"{count(summary.delivery_unregistered)} receipts were of publications that nobody here"
            " sent, or of another channel"
        )
