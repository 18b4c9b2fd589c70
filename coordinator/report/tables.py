"""The tables of a report, as rows of text; the first row is the head."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Literal, get_args

from coordinator.report.expect import unit_of
from coordinator.report.machines import Machine, addresses_of, setting_text
from coordinator.run.life import NEARLY
from coordinator.run.parts import WHOLE, Part
from coordinator.run.row import Percentiles
from coordinator.run.summary import AgentSummary, ExpectationResult, InvalidSecond, Summary
from coordinator.storage.reader import RunFacts
from coordinator.text import and_more, count, ms, percent_text, reasons, seconds
from loadgen.plan.slices import SESSION, TARGET
from loadgen.stats.http_ends import HTTP_KINDS, http_fault_of
from loadgen.stats.reasons import ERROR, REJECTED, RESET, SERVER, fault_of, unexpected

Table = list[list[str]]
SliceKind = Literal["session", "target"]
SLICE_KINDS: tuple[SliceKind, ...] = get_args(SliceKind)
"""The kinds of parts by which results are split."""

HOST_FIGURES = {
    "busy": "busy %",
    "idlest": "idlest core %",
    "softirq": "softirq %",
    "steal": "steal %",
    "running": "runnable",
    "switches": "switches/s",
    "retransmits": "retransmits/s",
    "syn_retransmits": "of SYNs",
    "listen_overflows": "accept overflows/s",
}
"""The figures of a host that reports show, with their titles."""

ABSENT = "–"
"""The text of a figure that a run does not have."""
HELD = "held"
"""The verdict on an expectation that holds."""
AT_LEAST = "at least "
"""Before a figure that may have been more than what is known."""
NOT_MEASURED = "not measured"
"""The text of an expected figure that a run does not have."""
MAX_ASKED = 20
"""Changes of a plan that a report lists."""


def time_text(value: float | None, bound: float = 0.0) -> str:
    """Returns a time in milliseconds; ABSENT for None and below the clocks' bound."""
    return ABSENT if value is None or value < bound else ms(value)


def bound_text(result: ExpectationResult) -> str:
    """Returns by how much an expected figure is wrong at most, and its unit.

    The text follows the figure; it is empty for an exact count.
    """
    bound = f" ± {result.bound:,.3g}" if result.bound else ""
    return f"{bound} {unit_of(result.expr)}".rstrip()


def at_least(result: ExpectationResult) -> str:
    """Returns the words before a figure that may have been more, or ""."""
    return AT_LEAST if result.at_least else ""


def peak_text(summary: Summary) -> str:
    """Returns how many connections were open at once, and if it may be more."""
    return f"{'' if summary.peak_is_exact else AT_LEAST}{count(summary.open_peak)}"


def held_text(summary: Summary) -> str:
    """Returns how long the peak was held.

    That of a short run may be at the end of no second.
    """
    whole = summary.parts.get(WHOLE)
    if whole is not None and whole.open_peak < NEARLY * summary.open_peak:
        return "less than a second"
    return seconds(summary.plateau_s)


def percentile_table(
    title: str, histograms: dict[str, Percentiles], bounds: Mapping[str, float] | None = None
) -> Table:
    """Returns count and percentiles in milliseconds, a row for each histogram.

    A time below the bound of its histogram is unknown: its clocks may differ by as much.
    """
    rows = [[title, "count", "p50", "p90", "p95", "p99", "p99.9", "max"]]
    for name, one in histograms.items():
        latencies = (one.p50, one.p90, one.p95, one.p99, one.p999, one.max)
        least = (bounds or {}).get(name, 0.0)
        rows.append([name, count(one.count), *(time_text(value, least) for value in latencies)])
    return rows


def counter_table(summary: Summary) -> Table:
    """Returns what sessions counted, a row for each counter."""
    rows = [["counted by sessions", "count"]]
    rows += [[name, count(number)] for name, number in summary.counters.items()]
    return rows


def check_table(summary: Summary) -> Table:
    """Returns how often each check of sessions passed, those that failed most first."""
    rows = [["check", "passed", "failed", "share passed"]]
    for name, one in sorted(summary.checks.items(), key=lambda item: item[1].share):
        rows.append([name, count(one.passed), count(one.failed), percent_text(one.share)])
    return rows


def http_table(summary: Summary) -> Table:
    """Returns the ends of HTTP requests, by status and by reason, with their fault."""
    rows = [["status or reason", "kind", "HTTP requests", "at fault"]]
    for kind, word in zip(HTTP_KINDS, ("reply", "failed"), strict=True):
        ends: dict[str, int] = getattr(summary, kind)
        for reason, number in sorted(ends.items(), key=lambda item: -item[1]):
            rows.append([reason, word, count(number), http_fault_of(kind, reason)])
    return rows


def sample_of(summary: Summary, kind: str, name: str) -> str:
    """Returns the file with a sample of a failed check or an HTTP request, or ""."""
    return summary.tracebacks.get(f"{kind}.{name}", "")


def phase_table(summary: Summary) -> Table:
    """Returns the begin, the end and the arrivals of each phase."""
    rows = [["phase", "from", "to", "planned", "launched"]]
    for phase in summary.phases:
        times = [ABSENT if at is None else seconds(at) for at in (phase.begin, phase.end)]
        rows.append([phase.name, *times, count(phase.planned), count(phase.launched)])
    return rows


def asked_text(summary: Summary) -> str:
    """Returns what the operator changed of the plan while the run went on."""
    shown = [str(change) for change in summary.changes[:MAX_ASKED]]
    more = len(summary.changes) - MAX_ASKED
    return "; ".join([*shown, *([f"and {more} more in summary.json"] if more > 0 else [])])


def part_table(summary: Summary) -> Table:
    """Returns the seconds, the ends and the latencies of each part of the run.

    Each percentile stands before the number of values in valid seconds that it is of.
    """
    latencies = [f"{name} {of}" for name in ("handshake", "ping_rtt") for of in ("p99, ms", "n")]
    ends = ("open, least", "most", "failed", "unexpected")
    rows = [["part of the run", "from", "to", "invalid", *ends, *latencies]]
    for name, part in summary.parts.items():
        if name.startswith((SESSION, TARGET)):
            continue
        numbers = (part.open_min, part.open_peak, sum(part.failed.values()), part.unexpected)
        cells = [count(number) for number in numbers]
        for histogram in ("handshake", "ping_rtt"):
            one = part.histograms.get(histogram)
            cells += [ms(one.p99), count(one.count)] if one else [ABSENT, ABSENT]
        times = [seconds(part.begin), seconds(part.end + 1), str(part.invalid_seconds)]
        rows.append([name, *times, *cells])
    return rows


def slice_table(summary: Summary, kind: SliceKind) -> Table:
    """Returns the ends and the latencies of each session, or of each target.

    Only the head where the run has one of them. Percentiles are in milliseconds, of valid seconds.
    """
    latencies = [f"{name} {of}" for name in ("handshake", "ping_rtt") for of in ("p95", "p99")]
    counted = ("launched", "opened", "failed", "unexpected", "open, most", "sessions failed")
    rows = [[kind, *counted, *latencies]]
    for name, part in parts_by(summary, kind).items():
        failed = sum(part.failed.values())
        share = f" ({percent_text(100 * failed / part.launched)})" if failed else ""
        cells = [count(part.launched), count(part.opened), f"{count(failed)}{share}"]
        numbers = (part.unexpected, part.open_peak, part.sessions_failed)
        cells += [count(number) for number in numbers]
        for histogram in ("handshake", "ping_rtt"):
            one = part.histograms.get(histogram)
            cells += [time_text(one.p95), time_text(one.p99)] if one else [ABSENT, ABSENT]
        rows.append([name, *cells])
    return rows


def parts_by(summary: Summary, kind: SliceKind | Literal["phase"]) -> dict[str, Part]:
    """Returns the parts of the run by session, target or phase, by its name alone."""
    prefix = f"{kind}."
    return {
        name.removeprefix(prefix): part
        for name, part in summary.parts.items()
        if name.startswith(prefix)
    }


def expectation_table(summary: Summary) -> Table:
    """Returns each expectation with the measured value, and `held` or `FAILED`."""
    rows = [["expected", "measured", "values", "verdict"]]
    for result in summary.expectations:
        value = NOT_MEASURED
        if result.value is not None:
            value = f"{at_least(result)}{result.value:,.6g}{bound_text(result)}"
        samples = ABSENT if result.samples is None else count(result.samples)
        rows.append([result.expr, value, samples, word_of(result)])
    return rows


def word_of(result: ExpectationResult) -> str:
    """Returns the verdict on an expectation in one word."""
    return HELD if result.held else "FAILED"


def unexpected_ends(summary: Summary) -> list[str]:
    """Returns what became of the connections whose end was not asked for.

    Each text is of one kind of ends: `74 dropped by the server (server_1001)`.
    """
    kinds: dict[str, dict[str, int]] = {}
    for reason, number in summary.unexpected_ends.items():
        kinds.setdefault(_kind_of(reason), {})[reason] = number
    ordered = sorted(kinds.items(), key=lambda item: -sum(item[1].values()))
    return [
        f"{count(sum(ends.values()))} {kind} ({reasons(ends) if len(ends) > 1 else min(ends)})"
        for kind, ends in ordered
    ]


def compression_text(summary: Summary) -> str:
    """Returns how much was compressed, or that nothing was, as in no browser."""
    if not summary.compress:
        return "none was offered; a browser offers permessage-deflate"
    chosen = "; ".join(
        f"{count(number)} connections with {name.replace('; ', ', ')}"
        for name, number in summary.compression.items()
    )
    received, compressed = summary.messages_received, summary.messages_compressed
    share = f" ({100 * compressed / received:.1f} %)" if received else ""
    return (
        f"{chosen or 'no connection opened'};"
        f" {count(compressed)} of {count(received)} messages received{share}"
    )


def accepted_text(summary: Summary) -> str:
    """Returns how many connections the server said yes to after the 101.

    It is empty where servers say nothing more.
    """
    if not summary.awaits_yes:
        return ""
    return f"{count(summary.accepted)} of {count(summary.opened)} opened"


def resumed_text(summary: Summary) -> str:
    """Returns how many TLS handshakes there were, and how many resumed a session."""
    handshakes, resumed = summary.tls_handshakes, summary.tls_resumed
    share = 100 * resumed / handshakes if handshakes else 0.0
    return f"{count(handshakes)} handshakes, {count(resumed)} of them resumed ({share:.1f} %)"


def failed_sessions(summary: Summary) -> list[str]:
    """Returns how many sessions failed, and by which errors of theirs.

    There is one such text, `12 of 100 sessions failed (error_ValueError)`, or none.
    """
    if not summary.sessions_failed:
        return []
    ends = {*summary.failed, *summary.closed, *summary.tracebacks}
    errors = sorted(reason for reason in ends if reason.startswith(ERROR))
    text = f"{count(summary.sessions_failed)} of {count(summary.sessions_started)} sessions failed"
    return [f"{text} ({', '.join(errors)})" if errors else text]


def _kind_of(reason: str) -> str:
    """Returns the ends that a reason belongs to, by who ended the connection."""
    if reason == RESET or reason.startswith((SERVER, REJECTED)):
        return "dropped by the server"
    if fault_of(reason) == "session":
        return "ended by errors of their sessions"
    return "given up by loadgen for the server's fault"


def end_table(of: Summary | Part) -> Table:
    """Returns the reasons of failed, closed and lost connections, with their fault.

    They are those of a run, or of a part of it.
    """
    rows = [["reason", "kind", "connections", "expected", "at fault"]]
    not_asked = unexpected(of.closed)
    for kind, ends in (("failed", of.failed), ("closed", of.closed)):
        for reason, number in sorted(ends.items(), key=lambda item: -item[1]):
            fault = fault_of(reason)
            asked = reason not in not_asked if kind == "closed" else fault == "nobody"
            rows.append([reason, kind, count(number), "yes" if asked else "no", fault])
    if of.lost:
        lost = ["agent or worker died", "lost", count(of.lost), "no", fault_of("lost")]
        rows.append(lost)
    return rows


Law = tuple[str, int, list[tuple[str, int]]]
"""A name, its number, and the named parts whose sum the number is."""


def laws(summary: Summary) -> list[Law]:
    """Returns the three laws of the ledger."""
    launched, opened = summary.launched, summary.opened
    failed, closed = summary.total_failed, summary.total_closed
    not_started = summary.planned - launched
    connecting = launched - failed - opened
    return [
        ("planned", summary.planned, [("not started", not_started), ("launched", launched)]),
        (
            "launched",
            launched,
            [("connecting", connecting), ("failed", failed), ("opened", opened)],
        ),
        (
            "opened",
            opened,
            [("open", summary.open_end), ("closed", closed), ("lost", summary.lost)],
        ),
    ]


def ledger_table(summary: Summary, title: str = "") -> Table:
    """Returns the laws of the ledger, a row for each."""
    rows = [[title, "connections", "of which"]]
    for name, total, parts in laws(summary):
        sums = " + ".join(f"{count(number)} {part}" for part, number in parts)
        rows.append([name, count(total), sums])
    return rows


def agent_table(agents: Sequence[AgentSummary]) -> Table:
    """Returns a row for each agent."""
    states = ("agent", "status", "workers", "share", "launched", "opened", "failed", "lost", "late")
    rows = [[*states, "CPU s", "peak MB", "preflight"]]
    for agent in agents:
        rows.append(
            [
                agent.name,
                agent.status,
                str(agent.workers),
                count(agent.share),
                count(agent.launched),
                count(agent.opened),
                reasons(agent.failed) or "0",
                count(agent.lost),
                count(agent.late),
                f"{agent.cpu_s:.1f}",
                f"{agent.rss_peak_mb:.0f}",
                agent.preflight,
            ]
        )
    return rows


def invalid_table(summary: Summary) -> Table:
    """Returns why seconds prove nothing, a row for each of them."""
    rows = [["second", "why"]]
    rows += [[str(row.second), "; ".join(row.why)] for row in summary.invalid_seconds]
    return rows


NUMBERS = re.compile(r"[\d.,]+")


def spans_of(seconds: Sequence[InvalidSecond]) -> Iterator[tuple[str, str]]:
    """Yields consecutive seconds with the same reasons but for their numbers.

    Each pair has their numbers, such as `seconds 3 to 5`, and the reasons.
    """
    numbered = enumerate((row.second, "; ".join(row.why)) for row in seconds)
    for _, group in groupby(
        numbered, key=lambda item: (NUMBERS.sub("", item[1][1]), item[1][0] - item[0])
    ):
        found = [row for _, row in group]
        first, why = found[0]
        last, last_why = found[-1]
        where = f"second {first}" if first == last else f"seconds {first} to {last}"
        yield where, f"{why}{'' if last_why == why else ' (and similar)'}"


def saturated_table(summary: Summary) -> Table:
    """Returns how machines bounded what was measured, a row for consecutive seconds."""
    return [["when", "why"], *([where, why] for where, why in spans_of(summary.saturated_seconds))]


def host_table(summary: Summary) -> Table:
    """Returns the highest figures of each host in any second."""
    rows = [["host of", "cores", *HOST_FIGURES.values()]]
    for host in summary.hosts:
        figures = (getattr(host, name) for name in HOST_FIGURES)
        cells = (ABSENT if figure is None else count(figure) for figure in figures)
        rows.append([and_more(host.agents), str(host.cores), *cells])
    return rows


def address_table(facts: RunFacts) -> Table:
    """Returns the addresses of each target, a row for each list of them."""
    rows = [["target", "addresses", "agents"]]
    rows += [[url, addresses, and_more(names)] for url, addresses, names in addresses_of(facts)]
    return rows


def machine_table(machine: Machine) -> Table:
    """Returns the versions and kernel settings of a machine, a row for each."""
    return [["", "value"], *([name, setting_text(value)] for name, value in machine.items())]
