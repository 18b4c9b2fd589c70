"""Run directories on a real disk."""

from datetime import UTC, datetime

from coordinator.report.summary import summary_of
from coordinator.run.run import Run
from coordinator.storage.writer import RunDir
from loadgen.plan.plan import Plan
from tests.unit.coordinator.fleet import drained, entries, opened, seconds

START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
PLAN = Plan(target="ws://127.0.0.1:1/", max=20, rate=10.0, hold=1.0)


def finished_folder(out, count=20, started=START):
    """Writes the directory of a run of 20 connections; returns its path.

    `count` of them opened.
    """
    run = Run(PLAN, 1)
    folder = RunDir.create(out, PLAN, started)
    posts = [
        seconds(opened(0, count // 2)),
        seconds(opened(1, count - count // 2, held=count)),
        seconds(drained(2, count), finished=True),
    ]
    for entry in entries(run, *posts):
        folder.write_entry(entry)
    folder.write_run(run)
    folder.write_summary(summary_of(run, [], run.start + 3.0))
    folder.close()
    return folder.path
