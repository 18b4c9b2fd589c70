"""Run directories on a real disk, and the heads of their journals."""

from datetime import UTC, datetime

from coordinator.report.summary import summary_of
from coordinator.run.run import Run
from coordinator.storage.journal import Head
from coordinator.storage.writer import RunDir
from loadgen.plan.plan import Plan
from loadgen.values import Endpoint
from tests.unit.coordinator.fleet import drained, entries, opened, seconds

START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
PLAN = Plan(target="ws://127.0.0.1:1/", max=20, rate=10.0, hold=1.0)


def journal_head(plan, **changes):
    """Returns the head of the journal of a run that began now, with one agent."""
    fields = {
        "key": "k",
        "wanted": 1,
        "on_loss": "redistribute",
        "listen": Endpoint("127.0.0.1", 0),
        "started": datetime.now(UTC),
    }
    return Head(plan=plan, **fields | changes)


def begun_folder(out, name):
    """Makes the directory of a run that has written its plan alone."""
    folder = out / name
    folder.mkdir()
    (folder / "plan.toml").write_text("max = 1\n")
    return folder


def finished_folder(out, count=20, started=START):
    """Writes the directory of a run of 20 connections; returns its path.

    `count` of them opened.
    """
    run = Run(PLAN, 1)
    folder = RunDir.create(out, PLAN, started)
    folder.begin(started)
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
