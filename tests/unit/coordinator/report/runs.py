"""Runs that are over, with their summaries."""

from coordinator.report.expect import parse
from coordinator.report.summary import summary_of
from coordinator.run.run import Run
from loadgen.plan.plan import Plan
from tests.unit.coordinator.fleet import drained, opened, posted, seconds, started


def finished(expectations=(), plan=None):
    """Returns a run of 42 connections by two agents, and its summary."""
    run = Run(plan or Plan(max=42, rate=10.0, hold=5.0), 2)
    for agent in started(run):
        posted(
            run,
            agent,
            seconds(
                opened(0, 10),
                opened(1, 10, held=20),
                opened(2, 1, held=21),
                drained(3, 21),
                finished=True,
            ),
            run.start + 4.0,
        )
    run.tick(run.start + 4.0)
    return run, summary_of(run, [parse(text) for text in expectations], run.start + 4.0)


def with_session_figures(*names):
    """Returns a run whose sessions counted, timed and raised errors, and its summary."""
    run = Run(Plan(max=10, rate=10.0, hold=5.0), 1)
    (agent,) = started(run, ["a"])
    second = opened(0, 10)
    second.tally.launched, second.tally.relaunched, second.tally.opened = 14, 4, 14
    second.held.open = 14
    for name in names or ("logins",):
        second.tally.count(name, 3)
        second.tally.time(f"tr_{name}", 20_000)
    last = drained(1, 12)
    last.tally.closed["error_KeyError"] = 2
    post = seconds(second, last, finished=True)
    post.tracebacks = {"error_KeyError": "Traceback: 'name'"}
    posted(run, agent, post, run.start + 2.0)
    run.tick(run.start + 2.0)
    return run, summary_of(
        run, [parse("counter.logins>=3"), parse("timing.tr_logins_p99<50ms")], run.start + 2.0
    )
