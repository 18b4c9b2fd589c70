"""The report of a run as text, and several runs side by side."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from coordinator.report.delivery import delivery_lines, delivery_table
from coordinator.report.tables import (
    ABSENT,
    NOT_MEASURED,
    SLICE_KINDS,
    Law,
    accepted_text,
    asked_text,
    at_least,
    bound_text,
    check_table,
    compression_text,
    counter_table,
    failed_sessions,
    held_text,
    host_table,
    http_table,
    laws,
    part_table,
    parts_by,
    peak_text,
    percentile_table,
    phase_table,
    resumed_text,
    sample_of,
    slice_table,
    spans_of,
    time_text,
    unexpected_ends,
    word_of,
)
from coordinator.run.common_end import common_end
from coordinator.run.parts import PHASE, PLATEAU
from coordinator.run.row import Percentiles
from coordinator.run.summary import AgentSummary, ExpectationResult, Summary
from coordinator.text import (
    columns,
    count,
    in_natural_order,
    percent_text,
    reasons,
    seconds,
)

MAX_INVALID_LINES = 10
"""Lines of invalid seconds in the text; summary.json has them all."""
SPREAD = ("p50", "p95", "p99", "max")
"""The statistics of each histogram in a comparison."""


def text_report(summary: Summary, title: str = "") -> str:
    """Returns the whole report of one run."""
    parts = [
        _headline(summary, title),
        _ledger(summary),
        _ends(summary),
        _rates(summary),
        delivery_lines(summary),
        columns(delivery_table(summary)) if summary.delivery_lost else [],
        _percentiles("milliseconds", summary.histograms, summary.bounds),
        _percentiles("timed by sessions, ms", summary.timings),
        columns(counter_table(summary)) if summary.counters else [],
        _checks(summary),
        _http(summary),
        columns(phase_table(summary)) if len(summary.phases) > 1 else [],
        *(columns(slice_table(summary, kind)) for kind in SLICE_KINDS if parts_by(summary, kind)),
        columns(part_table(summary))
        if len(summary.phases) > 1 or _judged_by_parts(summary)
        else [],
        _agents(summary),
        _invalid_seconds(summary),
        _saturated_seconds(summary),
        _expectations(summary),
        _exports(summary),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def outcome(summary: Summary) -> str:
    """Returns the verdict as people read it.

    A run without expectations does not pass: it is `done`, or `nothing opened` where no connection
    was opened.
    """
    if summary.verdict != "pass" or summary.expectations:
        return summary.verdict
    return "done" if summary.opened else "nothing opened"


def _judged_by_parts(summary: Summary) -> bool:
    """True when the verdict rests on a part of the run, or on its valid seconds."""
    named = (result.expr.startswith((PLATEAU, PHASE)) for result in summary.expectations)
    return bool(summary.invalid_seconds and summary.parts) or any(named)


def _headline(summary: Summary, title: str) -> list[str]:
    parts = [f"{title or 'run'}: {outcome(summary).upper()}"]
    parts += [f"the ledger does not add up: {breach}" for breach in summary.breaches[:1]]
    if summary.not_launched:
        parts.append(f"{count(summary.not_launched)} never launched")
    if summary.aborted:
        parts.append(f"aborted after {seconds(summary.aborted.second)}: {summary.aborted.why}")
    if summary.failed:
        parts.append(f"{count(summary.total_failed)} failed")
    parts += unexpected_ends(summary) + failed_sessions(summary)
    if summary.lost:
        parts.append(f"{count(summary.lost)} lost")
    parts.append(
        f"{peak_text(summary)} open at the peak, held for {held_text(summary)},"
        f" of {count(summary.planned)} planned"
    )
    if summary.teardown_failed:
        parts.append("teardown failed")
    if summary.insecure:
        parts.append("certificates NOT verified")
    if summary.open_peak and summary.alive_within_s is None:
        parts.append("life not verified")
    if summary.pongs_missing:
        parts.append(f"{count(summary.pongs_missing)} of {count(summary.pings)} pings unanswered")
    return ["; ".join(parts)]


def _ledger(summary: Summary) -> list[str]:
    """The three laws, each with its sum; a law that does not hold has a line more."""
    three = laws(summary)
    width = max(len(count(total)) for _, total, _ in three)
    lines = [
        f"  {name:<8}  {count(total):>{width}}  =  {_sum(parts, width)}"
        for name, total, parts in three
    ]
    wrong = [*(breach for law in three for breach in _breaches(law)), *summary.breaches]
    return ["ledger", *lines, *(f"  {breach}" for breach in wrong)]


def _sum(parts: list[tuple[str, int]], width: int) -> str:
    return "  +  ".join(f"{count(number):>{width}} {name:<11}" for name, number in parts).rstrip()


def _breaches(law: Law) -> list[str]:
    name, total, parts = law
    counted = sum(number for _, number in parts)
    if counted == total and min(number for _, number in parts) >= 0:
        return []
    return [f"{name} does not add up: {count(counted)} counted, {count(total)} expected"]


def _ends(summary: Summary) -> list[str]:
    lines = [
        f"{kind}: {reasons(ends, summary.tracebacks, summary.retry_after)}"
        for kind, ends in (("failed", summary.failed), ("closed", summary.closed))
        if ends
    ]
    found = common_end(summary.launched, summary.failed, summary.closed)
    if found is not None:
        lines.append(f"{found.reason}: {found.advice}")
    if summary.drained_unanswered:
        lines.append(
            "closing handshakes without the server's answer:"
            f" {count(summary.drained_unanswered)} of {count(summary.total_closed)} closed"
        )
    if summary.relaunched:
        lines.append(
            "launched beyond the plan's numbers, and counted as planned:"
            f" {count(summary.relaunched)}"
        )
    if summary.awaits_yes:
        lines.append(f"accepted by the session: {accepted_text(summary)}")
    if summary.addresses_passed:
        file = summary.tracebacks.get("addresses_passed", "")
        lines.append(
            "addresses passed over, the next of the name was dialed:"
            f" {count(summary.addresses_passed)}{f' ({file})' if file else ''}"
        )
    if summary.tls_handshakes:
        lines.append(f"TLS: {resumed_text(summary)}")
    if summary.ports_skipped:
        lines.append(
            f"source ports held by others and stepped over: {count(summary.ports_skipped)}"
        )
    return lines


def _rates(summary: Summary) -> list[str]:
    unanswered = (
        f" {count(summary.pings_unanswered)} unanswered," if summary.pings_unanswered else ""
    )
    skipped = (
        f" {count(summary.pongs_skipped)} answered by a newer pong,"
        if summary.pongs_skipped
        else ""
    )
    sent = f" {count(summary.messages_sent)} messages sent," if summary.messages_sent else ""
    if summary.messages_unsent:
        sent += f" {count(summary.messages_unsent)} not taken by the kernel,"
    return [
        (
            f"arrivals: {summary.rate_achieved:,.1f}/s achieved, {summary.rate_asked:,.1f}/s"
            f" asked; late {count(summary.late)} ({summary.late_percent:.2f} %); the run took"
            f" {seconds(summary.duration_s)}"
        ),
        *([f"asked by hand: {asked_text(summary)}"] if summary.changes else []),
        (
            f"traffic: {count(summary.pings)} pings, {count(summary.pongs)} pongs,{unanswered}"
            f"{skipped}{sent}"
            f" {count(summary.messages_received)} messages received;"
            f" {count(summary.bytes_sent)} bytes out, {count(summary.bytes_received)} bytes in"
        ),
        f"compression: {compression_text(summary)}",
    ]


def _percentiles(
    title: str, histograms: dict[str, Percentiles], bounds: Mapping[str, float] | None = None
) -> list[str]:
    return columns(percentile_table(title, histograms, bounds)) if histograms else []


def _checks(summary: Summary) -> list[str]:
    files = (
        f"sample of {name}: {sample_of(summary, 'check', name)}"
        for name in summary.checks
        if sample_of(summary, "check", name)
    )
    return [*columns(check_table(summary)), *files] if summary.checks else []


def _http(summary: Summary) -> list[str]:
    """Every HTTP request is in flight, answered, or failed."""
    if not summary.http_requests:
        return []
    answered = sum(summary.http_replies.values())
    failed = sum(summary.http_failed.values())
    in_flight = summary.http_requests - answered - failed
    files = [file for name, file in summary.tracebacks.items() if name.startswith("http_")]
    return [
        (
            f"HTTP: {count(summary.http_requests)} requests = {count(in_flight)} in flight +"
            f" {count(answered)} answered ({count(summary.http_errors)} with status 400 or above) +"
            f" {count(failed)} failed"
        ),
        *columns(http_table(summary)),
        *([f"samples: {', '.join(files)}"] if files else []),
    ]


def _agents(summary: Summary) -> list[str]:
    if not summary.agents:
        return []
    counted = ("share", "launched", "opened", "failed", "lost")
    # A name of 18 characters fits 80 columns; summary.json and report.html have more figures.
    rows = [["agent", "status", *counted, "CPU s", "MB"]]
    in_order = sorted(summary.agents, key=lambda agent: in_natural_order(agent.name))
    rows += [_agent(agent) for agent in in_order]
    warnings = [f"preflight: {agent.preflight}" for agent in summary.agents if agent.preflight]
    return columns(rows) + warnings


def _agent(agent: AgentSummary) -> list[str]:
    failed = sum(agent.failed.values())
    counts = (agent.share, agent.launched, agent.opened, failed, agent.lost)
    return [
        agent.name,
        agent.status,
        *(count(number) for number in counts),
        f"{agent.cpu_s:.1f}",
        f"{agent.rss_peak_mb:.0f}",
    ]


def _invalid_seconds(summary: Summary) -> list[str]:
    invalid = summary.invalid_seconds
    if not invalid and not summary.duration_s:
        return ["no second was measured: the run never started"]
    if not invalid:
        return [
            "every second is valid: all agents reported, no worker stood still, no launch was late,"
            " the ledger added up"
        ]
    lines = [f"{_prove(invalid)} nothing:"]
    lines += [f"  {row.second:>5}s  {'; '.join(row.why)}" for row in invalid[:MAX_INVALID_LINES]]
    more = len(invalid) - MAX_INVALID_LINES
    return lines + ([f"  … and {more} more in summary.json"] if more > 0 else [])


def _prove(found: Sequence[Any]) -> str:
    """Returns the begin of a sentence on what some seconds do not prove."""
    return "1 second proves" if len(found) == 1 else f"{len(found)} seconds prove"


def _saturated_seconds(summary: Summary) -> list[str]:
    if not summary.saturated_seconds:
        unknown = bool(summary.duration_s and not summary.hosts)
        return ["whether a machine of the agents was saturated is not known"] if unknown else []
    spans = list(spans_of(summary.saturated_seconds))
    lines = [
        f"{_prove(summary.saturated_seconds)} no latency of the server, since machines bounded it:",
        *(f"  {where}: {why}" for where, why in spans[:MAX_INVALID_LINES]),
    ]
    more = len(spans) - MAX_INVALID_LINES
    lines += [f"  … and {more} more in summary.json"] if more > 0 else []
    return [*lines, *columns(host_table(summary))] if summary.hosts else lines


def _expectations(summary: Summary) -> list[str]:
    passed = summary.verdict == "pass" and not summary.expectations
    if passed and (summary.failed or summary.lost or summary.unexpected or summary.sessions_failed):
        figure, ends = "failed", "failures"
        if summary.unexpected:
            figure, ends = "unexpected", "unexpected ends"
        elif summary.sessions_failed:
            figure, ends = "sessions_failed", "failed sessions"
        return [
            f"nothing was expected of this run, so its exit code is 0; give --expect '{figure}==0'"
            f" to make {ends} count"
        ]
    return [
        f"{word_of(result):<6}  {result.expr}  ({measured(result)})"
        for result in summary.expectations
    ]


def _exports(summary: Summary) -> list[str]:
    return [
        f"exported to {one.url}: {count(one.seconds)} seconds"
        + (f"; {count(one.missing)} are MISSING there: it {one.error}" if one.missing else "")
        for one in summary.exports
    ]


def measured(result: ExpectationResult) -> str:
    """Returns an expected figure, and of how many values it is taken."""
    value = result.value
    if value is None:
        return NOT_MEASURED
    of = "" if result.samples is None else f", of {count(result.samples)} in valid seconds"
    number = f"{value:,.6g}" if value < 1e6 else f"{value:,.0f}"
    return f"it was {at_least(result)}{number}{bound_text(result)}{of}"


def comparison(runs: Sequence[tuple[str, Summary]]) -> str:
    """Returns the main figures of several named runs, one column each."""
    summaries = [summary for _, summary in runs]
    rows = [["", *(name for name, _ in runs)]]
    rows.append(["verdict", *(outcome(summary) for summary in summaries)])
    ledger = ("planned", "launched", "opened", "open_peak", "failed", "closed", "lost", "late")
    for name in (*ledger, "unexpected"):
        rows.append([name, *(_cell(getattr(summary, name)) for summary in summaries)])
    for name in ("pings", "pongs", "rate_asked", "rate_achieved", "plateau_s", "duration_s"):
        rows.append([name, *(_cell(getattr(summary, name)) for summary in summaries)])
    for name in ("handshake", "open", "ping_rtt", "lag", "loop_lag"):
        rows += _spread(name, [summary.histograms.get(name) for summary in summaries])
    rows += _delivery_rows(summaries)
    rows += _session_rows(summaries)
    for name in ("invalid_seconds", "saturated_seconds"):
        numbers = (str(len(getattr(summary, name))) for summary in summaries)
        rows.append([name.replace("_", " "), *numbers])
    return "\n".join(columns(rows))


def _delivery_rows(summaries: Sequence[Summary]) -> list[list[str]]:
    """The reach of publications, and how long they took, if any of the runs has any."""
    if all(summary.publications is None for summary in summaries):
        return []
    reaches = (summary.reach for summary in summaries)
    rows = [["reach", *(ABSENT if one is None else percent_text(one) for one in reaches)]]
    return rows + _spread("delivery", [summary.histograms.get("delivery") for summary in summaries])


def _session_rows(summaries: Sequence[Summary]) -> list[list[str]]:
    """The counters and timings that sessions of any of the runs kept."""
    counters = [summary.counters for summary in summaries]
    timings = [summary.timings for summary in summaries]
    rows = [
        [f"counter.{name}", *(count(one.get(name, 0)) for one in counters)]
        for name in sorted({*chain(*counters)})
    ]
    checks = [summary.checks for summary in summaries]
    for name in sorted({*chain(*checks)}):
        shares = (percent_text(one[name].share) if name in one else ABSENT for one in checks)
        rows.append([f"check.{name}", *shares])
    for name in sorted({*chain(*timings)}):
        rows += _spread(f"timing.{name}", [one.get(name) for one in timings])
    return rows


def _spread(name: str, histograms: Sequence[Percentiles | None]) -> list[list[str]]:
    """The rows of a histogram in several runs."""
    return [
        [
            f"{name} {statistic} ms",
            *(time_text(getattr(one, statistic)) if one else ABSENT for one in histograms),
        ]
        for statistic in SPREAD
    ]


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return count(sum(value.values()))
    return f"{value:,.1f}" if isinstance(value, float) else count(value)
