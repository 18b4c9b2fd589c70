"""The figures of a whole run: the contents of summary.json."""

from collections.abc import Sequence
from typing import Any

import msgspec

from coordinator.report.expect import Expectation
from coordinator.run.agents import AgentState
from coordinator.run.run import Run
from coordinator.run.timeline import Timeline, in_order, summaries
from coordinator.text import traceback_file
from loadgen.stats.tally import Ledger

SCHEMA = 1
PLATEAU = 0.99
"""The part of the peak that has to be open for a second to belong to the plateau."""
EXIT_CODES = {"pass": 0, "fail": 1, "lost": 3, "stopped": 130}
"""What a command ends with, by verdict."""


def summary_of(run: Run, expectations: Sequence[Expectation], now: float) -> dict[str, Any]:
    """summary.json as the run stands; a run that is not over yet has the verdict `lost` until it
    is."""
    total, ledger, timeline = run.total, run.ledger, run.timeline
    peak = max([ledger.open, *timeline.open.values()])
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        "verdict": "lost",
        "planned": ledger.planned,
        "launched": ledger.launched,
        "relaunched": total.relaunched,
        "opened": ledger.opened,
        "accepted": ledger.accepted,
        "open_peak": peak,
        "open_end": ledger.open,
        "failed": ledger.failed,
        "closed": ledger.closed,
        "lost": ledger.lost,
        "late": ledger.late,
        "pings": total.pings,
        "pongs": total.pongs,
        "messages_sent": total.messages_sent,
        "messages_received": total.messages_received,
        "bytes_sent": total.bytes_sent,
        "bytes_received": total.bytes_received,
        "ports_skipped": total.ports_skipped,
        "sessions_started": total.sessions_started,
        "sessions_done": total.sessions_done,
        "rate_asked": run.progress.mean_rate,
        "rate_achieved": rate_achieved(timeline),
        "duration_s": round(run.age(now), 3),
        "plateau_s": sum(1 for count in timeline.open.values() if peak and count >= PLATEAU * peak),
        "histograms": summaries(total.histograms()),
        "counters": in_order(total.counters),
        "timings": summaries(in_order(total.timings)),
        "tracebacks": {reason: traceback_file(reason) for reason in sorted(run.notices.sampled)},
        "phases": msgspec.to_builtins(run.phase_progress()),
        "pauses": run.progress.pauses.spans(),
        "agents": [_agent(run, member) for member in run.fleet()],
        "invalid_seconds": [
            {"second": number, "why": why} for number, why in sorted(timeline.invalid.items())
        ],
    }
    judged = [expectation.evaluate(summary) for expectation in expectations]
    return summary | {"verdict": _verdict(run, judged), "expectations": judged}


def rate_achieved(timeline: Timeline) -> float:
    """Launched per second, from the first second in which any was to the last; that one counts only
    if it is alone.

    The last arrival falls anywhere into its second, so to divide by the whole of it would
    understate the rate.
    """
    if not timeline.launched:
        return 0.0
    first, last = min(timeline.launched), max(timeline.launched)
    if first == last:
        return float(timeline.launched[last])
    return round((sum(timeline.launched.values()) - timeline.launched[last]) / (last - first), 1)


def _verdict(run: Run, expectations: list[dict[str, Any]]) -> str:
    if run.by_hand:
        return "stopped"
    if (
        run.ended_by_loss
        or run.state != "done"
        or not any(member.finished for member in run.fleet())
    ):
        return "lost"
    held = all(expectation["held"] for expectation in expectations)
    return "pass" if held and not run.aborted else "fail"


def _agent(run: Run, member: AgentState) -> dict[str, Any]:
    ledger = Ledger.of(member.planned, run.total_of(member))
    return {
        "name": member.name,
        "status": member.status,
        "workers": len(member.workers),
        "share": member.planned,
        "launched": ledger.launched,
        "opened": ledger.opened,
        "failed": ledger.failed,
        "closed": ledger.closed,
        "lost": ledger.lost,
        "late": ledger.late,
        "cpu_s": round(member.cpu_s, 3),
        "rss_peak_mb": round(run.timeline.rss_peak.get(member.name, 0) / 1e6, 1),
        "preflight": member.warning,
    }
