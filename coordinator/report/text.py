"""The report of a run as text, from its summary; and several runs side by side."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from coordinator.text import columns, count, ms, reasons, seconds

Summary = dict[str, Any]
INVALID_SHOWN = 10
"""Lines of invalid seconds in the text; summary.json has them all."""


def text_report(summary: Summary, title: str = "") -> str:
    """The whole report of one run, for people."""
    parts = [
        _head(summary, title),
        ledger_table(summary),
        _reasons(summary),
        _rates(summary),
        _histograms("milliseconds", summary["histograms"]),
        _histograms(
            "timed by sessions, ms", summary.get("timings", {})
        ),  # an older run directory lacks it
        _counters(summary),
        _phases(summary),
        _agents(summary),
        _invalid(summary),
        _expectations(summary),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def outcome(summary: Summary) -> str:
    """The verdict in a word for people: nothing passes where nothing was expected."""
    if summary["verdict"] != "pass" or summary["expectations"]:
        return str(summary["verdict"])
    return "done" if summary["opened"] else "nothing opened"


def _head(summary: Summary, title: str) -> list[str]:
    failed, lost = sum(summary["failed"].values()), summary["lost"]
    told = [f"{count(failed)} failed"] * bool(failed) + [f"{count(lost)} lost"] * bool(lost)
    peak = (
        f"{count(summary['open_peak'])} open at the peak, held for {seconds(summary['plateau_s'])}"
    )
    planned = f"{peak}, of {count(summary['planned'])} planned"
    return ["; ".join([f"{title or 'run'}: {outcome(summary).upper()}", *told, planned])]


def ledger_table(summary: Summary) -> list[str]:
    """The three laws, each with its sum; a line that does not add up says so."""
    three = laws(summary)
    width = max(len(count(total)) for _, total, _ in three)
    lines = [
        f"  {name:<8}  {count(total):>{width}}  =  {_sum(parts, width)}"
        for name, total, parts in three
    ]
    return ["ledger", *lines, *(f"  {wrong}" for law in three for wrong in _breach(*law))]


def laws(summary: Summary) -> list[tuple[str, int, list[tuple[str, int]]]]:
    """The laws of the ledger: a name, its number, and the named parts that it is the sum of."""
    failed, closed = sum(summary["failed"].values()), sum(summary["closed"].values())
    launched, opened, lost = summary["launched"], summary["opened"], summary["lost"]
    return [
        (
            "planned",
            summary["planned"],
            [("not started", summary["planned"] - launched), ("launched", launched)],
        ),
        (
            "launched",
            launched,
            [("connecting", launched - failed - opened), ("failed", failed), ("opened", opened)],
        ),
        ("opened", opened, [("open", summary["open_end"]), ("closed", closed), ("lost", lost)]),
    ]


def _sum(parts: list[tuple[str, int]], width: int) -> str:
    return "  +  ".join(f"{count(number):>{width}} {name:<11}" for name, number in parts).rstrip()


def _breach(name: str, total: int, parts: list[tuple[str, int]]) -> list[str]:
    counted = sum(number for _, number in parts)
    if counted == total and min(number for _, number in parts) >= 0:
        return []
    return [f"{name} does not add up: {count(counted)} counted, {count(total)} expected"]


def _reasons(summary: Summary) -> list[str]:
    files = summary.get("tracebacks", {})  # an older run directory lacks it
    lines = [
        f"{kind}: {reasons(summary[kind], files)}" for kind in ("failed", "closed") if summary[kind]
    ]
    if summary.get("relaunched"):
        lines.append(
            "launched beyond the plan's numbers, and counted as planned:"
            f" {count(summary['relaunched'])}"
        )
    if summary["accepted"]:
        lines.append(
            f"accepted by the session: {count(summary['accepted'])} of {count(summary['opened'])}"
            " opened"
        )
    if summary.get("ports_skipped"):  # an older run directory lacks it
        lines.append(
            f"source ports held by others and stepped over: {count(summary['ports_skipped'])}"
        )
    return lines


def _rates(summary: Summary) -> list[str]:
    late = 100 * summary["late"] / summary["launched"] if summary["launched"] else 0.0
    sent = (
        f" {count(summary['messages_sent'])} messages sent," if summary.get("messages_sent") else ""
    )
    return [
        (
            f"arrivals: {summary['rate_achieved']:,.1f}/s achieved, {summary['rate_asked']:,.1f}/s"
            f" asked; late {count(summary['late'])} ({late:.2f} %); the run took"
            f" {seconds(summary['duration_s'])}"
        ),
        (
            f"traffic: {count(summary['pings'])} pings, {count(summary['pongs'])} pongs,{sent}"
            f" {count(summary['messages_received'])} messages received;"
            f" {count(summary['bytes_sent'])} bytes out, {count(summary['bytes_received'])}"
            " bytes in"
        ),
    ]


def _histograms(title: str, histograms: dict[str, dict[str, float]]) -> list[str]:
    if not histograms:
        return []
    rows = [[title, "count", "p50", "p90", "p99", "p99.9", "max"]]
    for name, figures in histograms.items():
        statistics = (figures[statistic] for statistic in ("p50", "p90", "p99", "p999", "max"))
        rows.append([name, count(figures["count"]), *(ms(value) for value in statistics)])
    return columns(rows)


def _counters(summary: Summary) -> list[str]:
    counters = summary.get("counters")  # an older run directory lacks it
    if not counters:
        return []
    return columns(
        [
            ["counted by sessions", "count"],
            *([name, count(number)] for name, number in counters.items()),
        ]
    )


def _phases(summary: Summary) -> list[str]:
    phases = summary.get("phases", [])  # an older run directory lacks them
    if len(phases) < 2:
        return []
    rows = [["phase", "from", "to", "planned", "launched"]]
    for phase in phases:
        times = ["–" if phase[end] is None else seconds(phase[end]) for end in ("begin", "end")]
        rows.append([phase["name"], *times, count(phase["planned"]), count(phase["launched"])])
    return columns(rows)


def _agents(summary: Summary) -> list[str]:
    if not summary["agents"]:
        return []
    rows = [
        [
            "agent",
            "status",
            "workers",
            "share",
            "launched",
            "opened",
            "failed",
            "lost",
            "cpu s",
            "peak MB",
        ]
    ]
    for agent in summary["agents"]:
        counts = (
            agent["share"],
            agent["launched"],
            agent["opened"],
            sum(agent["failed"].values()),
            agent["lost"],
        )
        usage = (f"{agent['cpu_s']:.1f}", f"{agent['rss_peak_mb']:.0f}")
        rows.append(
            [
                agent["name"],
                agent["status"],
                str(agent["workers"]),
                *(count(number) for number in counts),
                *usage,
            ]
        )
    return columns(rows) + [
        f"preflight: {agent['preflight']}" for agent in summary["agents"] if agent["preflight"]
    ]


def _invalid(summary: Summary) -> list[str]:
    invalid = summary["invalid_seconds"]
    if not invalid and not summary["duration_s"]:
        return ["there is no second: the run never started"]
    if not invalid:
        return [
            "every second is valid: all agents reported, no generator stalled, the ledger added up"
        ]
    lines = [f"{len(invalid)} seconds prove nothing:"]
    lines += [f"  {row['second']:>5}s  {'; '.join(row['why'])}" for row in invalid[:INVALID_SHOWN]]
    more = len(invalid) - INVALID_SHOWN
    return lines + ([f"  … and {more} more in summary.json"] if more > 0 else [])


def _expectations(summary: Summary) -> list[str]:
    if (
        summary["verdict"] == "pass"
        and not summary["expectations"]
        and (summary["failed"] or summary["lost"])
    ):
        return [
            "nothing was expected of this run, so it ends with 0: with --expect 'failed==0'"
            " failures count"
        ]
    return [
        f"{'held' if row['held'] else 'FAILED':<6}  {row['expr']}  ({_value(row['value'])})"
        for row in summary["expectations"]
    ]


def _value(value: float | None) -> str:
    return (
        "not measured"
        if value is None
        else f"it was {value:,.6g}"
        if value < 1e6
        else f"it was {value:,.0f}"
    )


def comparison(summaries: Sequence[tuple[str, Summary]]) -> str:
    """The main figures of several named runs, one column each."""
    rows = [["", *(name for name, _ in summaries)]]
    rows.append(["verdict", *(outcome(summary) for _, summary in summaries)])
    for name in ("planned", "launched", "opened", "open_peak", "failed", "closed", "lost", "late"):
        rows.append([name, *(_cell(summary[name]) for _, summary in summaries)])
    for name in ("pings", "pongs", "rate_asked", "rate_achieved", "plateau_s", "duration_s"):
        rows.append([name, *(_cell(summary[name]) for _, summary in summaries)])
    for histogram in ("handshake", "open", "ping_rtt", "lag", "loop_lag"):
        for statistic in ("p50", "p99", "max"):
            cells = [
                summary["histograms"].get(histogram, {}).get(statistic) for _, summary in summaries
            ]
            rows.append(
                [
                    f"{histogram} {statistic} ms",
                    *("–" if cell is None else ms(cell) for cell in cells),
                ]
            )
    rows += _own_side_by_side([summary for _, summary in summaries])
    rows.append(
        ["invalid seconds", *(str(len(summary["invalid_seconds"])) for _, summary in summaries)]
    )
    return "\n".join(columns(rows))


def _own_side_by_side(summaries: Sequence[Summary]) -> list[list[str]]:
    """What sessions counted and timed themselves, in any of the runs."""
    counters = [summary.get("counters", {}) for summary in summaries]
    timings = [summary.get("timings", {}) for summary in summaries]
    rows = [
        [f"counter.{name}", *(count(one.get(name, 0)) for one in counters)]
        for name in sorted({*chain(*counters)})
    ]
    for name in sorted({*chain(*timings)}):
        for statistic in ("p50", "p99", "max"):
            cells = [one.get(name, {}).get(statistic) for one in timings]
            rows.append(
                [
                    f"timing.{name} {statistic} ms",
                    *("–" if cell is None else ms(cell) for cell in cells),
                ]
            )
    return rows


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return count(sum(value.values()))
    return (
        value
        if isinstance(value, str)
        else f"{value:,.1f}"
        if isinstance(value, float)
        else count(value)
    )
