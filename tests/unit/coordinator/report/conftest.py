"""A run directory that reports are made of."""

from datetime import UTC, datetime

import pytest

from coordinator.report.expect import parse
from coordinator.report.summary import summary_of
from coordinator.run.run import Run
from coordinator.storage.reader import read_run
from coordinator.storage.writer import RunDir
from loadgen.plan.plan import Plan
from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from tests.unit.coordinator.fleet import drained, opened, posted, seconds, started

PLAN = Plan(target="ws://127.0.0.1:1/", max=400, rate=100.0, hold=3.0, think=1.0)
START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def alive(number):
    """A second in which an agent's 200 connections answer a ping each."""
    tally = Tally(pings=200, pongs=200)
    for _ in range(200):
        tally.ping_rtt.record(4000)
    return Second(number, tally, Held(0, 200, alive=200), cpu_s=0.1 * number, rss=1 << 20)


@pytest.fixture(scope="session")
def record(tmp_path_factory):
    """A run of 400 connections by two agents.

    It has 4 s of arrivals, 3 s of pings, and the drain.
    """
    run = Run(PLAN, 2)
    folder = RunDir.create(tmp_path_factory.mktemp("runs"), PLAN, START)
    folder.begin(START)
    agents = started(run)
    story = [
        *(opened(at, 50, held=50 * (at + 1), alive=50 * (at + 1)) for at in range(4)),
        *map(alive, range(4, 7)),
    ]
    for second in [*story, drained(7, 200)]:
        for agent in agents:
            posted(
                run,
                agent,
                seconds(second, finished=second.number == 7),
                run.start + second.number + 1,
            )
        for entry in run.tick(run.start + second.number + 1):
            folder.write_entry(entry)
    folder.write_run(run)
    folder.write_summary(
        summary_of(run, [parse("open_peak>=400"), parse("failed<1")], run.start + 8.0)
    )
    folder.close()
    return read_run(folder.path)
