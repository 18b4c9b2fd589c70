"""Makes the summary of a run."""

from collections.abc import Container, Mapping, Sequence

from coordinator.report.expect import Expectation
from coordinator.run.agents import AgentState
from coordinator.run.ending import Ending
from coordinator.run.life import hold_of, lowest_alive, plateau_seconds
from coordinator.run.progress import Progress
from coordinator.run.row import copied, in_order, summaries
from coordinator.run.run import Run
from coordinator.run.summary import (
    SCHEMA,
    AgentSummary,
    EarlyEnd,
    ExportSummary,
    InvalidSecond,
    Summary,
    Verdict,
)
from coordinator.text import sample_file
from loadgen.plan.life import alive_within
from loadgen.stats.ledger import Ledger

EXIT_CODES: dict[Verdict, int] = {"pass": 0, "fail": 1, "lost": 3, "stopped": 130}
"""The exit code of loadgen-coord, by verdict."""


def summary_of(
    run: Run,
    expectations: Sequence[Expectation],
    now: float,
    exports: Sequence[ExportSummary] = (),
    parts: Container[str] | None = None,
) -> Summary:
    """Returns the summary of a run as it stands at `now`.

    `now` is in seconds on the run's clock; `exports` says what the receivers of --export have.
    With `parts`, it has these parts of the run alone.

    A run that is not over yet has the verdict `lost`: so summary.json is right, too, when the
    coordinator dies.
    """
    total, ledger, timeline = run.total, run.ledger, run.timeline
    peak = max([ledger.open, *timeline.open.values()])
    least, most = timeline.peak
    window = alive_within(run.plan.session_specs) if total.pings else None
    alive = timeline.alive if window is not None else {}
    hold = hold_of(timeline.open, peak, run.ending.drained_at - run.start)
    summary = Summary(
        **total.counts(),
        schema=SCHEMA,
        verdict="lost",
        planned=ledger.planned,
        open_peak=max(peak, least),
        open_peak_most=None if most is None else max(peak, most),
        open_end=ledger.open,
        failed=ledger.failed,
        closed=ledger.closed,
        appwrite=run.plan.appwrite,
        rate_asked=round(run.progress.mean_rate, 3),
        rate_achieved=rate_achieved(timeline.launched, run.plan.total, run.progress),
        duration_s=round(run.age(now), 3),
        plateau_s=plateau_seconds(timeline.open, alive, peak),
        alive_within_s=window,
        alive_min=lowest_alive(alive, hold),
        compress=run.plan.transport.offer.offer if run.plan.transport.offer else "",
        compression=in_order(total.compression),
        histograms=summaries(total.histograms()),
        counters=in_order(total.counters),
        timings=summaries(in_order(total.timings)),
        checks=copied(total.checks),
        http_replies=in_order(total.http_replies),
        http_failed=in_order(total.http_failed),
        tracebacks={reason: sample_file(reason) for reason in sorted(run.notices.sampled)},
        retry_after=in_order(run.notices.retry_after),
        phases=run.phase_progress(),
        parts=run.parts.figures(parts),
        pauses=run.progress.pauses.spans(),
        changes=run.steering.asked(),
        breaches=run.breaches() if run.state == "done" else [],
        not_launched=0 if _ended_early(run) else run.reports.not_launched,
        teardown_failed=int(bool(run.setup.teardown_problem)),
        aborted=_aborted(run.ending),
        insecure=run.plan.insecure,
        reach=total.reach,
        publications=run.publications.summary if run.plan.publish else None,
        missed=run.publications.missed,
        agents=[_agent(run, member) for member in run.fleet()],
        invalid_seconds=_marked(timeline.invalid),
        saturated_seconds=_marked(timeline.saturated),
        hosts=timeline.hosts.summaries(),
        expectations=[],
        exports=list(exports),
    )
    summary.expectations = [expectation.evaluate(summary) for expectation in expectations]
    held = all(result.held for result in summary.expectations)
    held = held and not summary.breaches and not summary.not_launched
    summary.verdict = _verdict(run, held)
    return summary


def _aborted(ending: Ending) -> EarlyEnd | None:
    """Returns why a session or a condition ended the run; None when none did."""
    return EarlyEnd(ending.aborted, round(ending.aborted_at, 1)) if ending.aborted else None


def _ended_early(run: Run) -> bool:
    """True when a run goes on, or was ended before its plan was through."""
    return (
        run.state != "done" or run.ending.by_hand or bool(run.ending.aborted) or run.ending.by_loss
    )


def _marked(seconds: dict[int, list[str]]) -> list[InvalidSecond]:
    return [InvalidSecond(number, why) for number, why in sorted(seconds.items())]


def rate_achieved(launched: Mapping[int, int], planned: int, progress: Progress) -> float:
    """Returns the launches per second, over the seconds in which arrivals were asked.

    `launched` has the launches of each second with any, of `planned` in all.

    Subtle: the last second counts whole only where it is the only one. The last launch falls
    anywhere into it, so a division by the whole second would understate the rate. It is known where
    all came in time: then arrivals took as long as the plan asks for them.
    """
    if not launched:
        return 0.0
    total, last, end = sum(launched.values()), max(launched), progress.last_arrival
    if total >= planned and end - 1 <= last <= end:
        return round(total / progress.arrival_seconds(end), 1)
    counted, until = total - launched[last], float(last)
    if not counted:
        counted, until = total, last + 1.0
    seconds = progress.arrival_seconds(until) + max(0.0, until - end)
    return round(counted / seconds, 1) if seconds else float(counted)


def _verdict(run: Run, held: bool) -> Verdict:
    if run.ending.by_hand:
        return "stopped"
    if (
        run.ending.by_loss
        or run.state != "done"
        or not any(member.finished for member in run.fleet())
    ):
        return "lost"
    return "pass" if held and not run.ending.aborted else "fail"


def _agent(run: Run, member: AgentState) -> AgentSummary:
    ledger = Ledger.of(member.planned, run.reports.total_of(member))
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
