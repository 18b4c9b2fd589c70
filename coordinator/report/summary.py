"""Makes the summary of a run."""

from collections.abc import Sequence

from coordinator.report.expect import Expectation
from coordinator.run.agents import AgentState
from coordinator.run.run import Run
from coordinator.run.summary import SCHEMA, AgentSummary, InvalidSecond, Summary, Verdict
from coordinator.run.timeline import Timeline, in_order, summaries
from coordinator.text import traceback_file
from loadgen.stats.tally import Ledger

PLATEAU = 0.99
"""The part of the peak that is open in every second of the plateau."""
EXIT_CODES: dict[Verdict, int] = {"pass": 0, "fail": 1, "lost": 3, "stopped": 130}
"""The exit code of loadgen-coord, by verdict."""


def summary_of(run: Run, expectations: Sequence[Expectation], now: float) -> Summary:
    """Returns the summary of a run as it stands at `now`.

    `now` is in seconds on the run's clock.

    A run that is not over yet has the verdict `lost`: so summary.json is right, too, when the
    coordinator dies.
    """
    total, ledger, timeline = run.total, run.ledger, run.timeline
    peak = max([ledger.open, *timeline.open.values()])
    summary = Summary(
        **total.counts(),
        schema=SCHEMA,
        verdict="lost",
        planned=ledger.planned,
        open_peak=peak,
        open_end=ledger.open,
        failed=ledger.failed,
        closed=ledger.closed,
        rate_asked=run.progress.mean_rate,
        rate_achieved=rate_achieved(timeline),
        duration_s=round(run.age(now), 3),
        plateau_s=sum(1 for count in timeline.open.values() if peak and count >= PLATEAU * peak),
        histograms=summaries(total.histograms()),
        counters=in_order(total.counters),
        timings=summaries(in_order(total.timings)),
        tracebacks={reason: traceback_file(reason) for reason in sorted(run.notices.sampled)},
        phases=run.phase_progress(),
        pauses=run.progress.pauses.spans(),
        reach=total.reach,
        publications=run.publications.summary if run.plan.publish else None,
        missed=run.publications.missed,
        agents=[_agent(run, member) for member in run.fleet()],
        invalid_seconds=[
            InvalidSecond(number, why) for number, why in sorted(timeline.invalid.items())
        ],
        expectations=[],
    )
    summary.expectations = [expectation.evaluate(summary) for expectation in expectations]
    summary.verdict = _verdict(run, all(result.held for result in summary.expectations))
    return summary


def rate_achieved(timeline: Timeline) -> float:
    """Returns the launches per second.

    They count from the first second with a launch to the last.

    Subtle: the last second counts only where it is the only one. The last arrival falls anywhere
    into it, so a division by the whole second would understate the rate.
    """
    if not timeline.launched:
        return 0.0
    first, last = min(timeline.launched), max(timeline.launched)
    if first == last:
        return float(timeline.launched[last])
    return round((sum(timeline.launched.values()) - timeline.launched[last]) / (last - first), 1)


def _verdict(run: Run, held: bool) -> Verdict:
    if run.by_hand:
        return "stopped"
    if (
        run.ended_by_loss
        or run.state != "done"
        or not any(member.finished for member in run.fleet())
    ):
        return "lost"
    return "pass" if held and not run.aborted else "fail"


def _agent(run: Run, member: AgentState) -> AgentSummary:
    ledger = Ledger.of(member.planned, run.total_of(member))
    return AgentSummary(
        name=member.name,
        status=member.status,
        workers=len(member.workers),
        share=member.planned,
        launched=ledger.launched,
        opened=ledger.opened,
        failed=ledger.failed,
        closed=ledger.closed,
        lost=ledger.lost,
        late=ledger.late,
        cpu_s=round(member.cpu_s, 3),
        rss_peak_mb=round(run.timeline.rss_peak.get(member.name, 0) / 1e6, 1),
        preflight=member.warning,
    )
