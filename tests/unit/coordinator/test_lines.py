"""Progress of a run as plain lines."""

import io

from msgspec.structs import replace

from coordinator.lines import Lines, line_of, state_of
from coordinator.run.run import Run
from loadgen.plan.setup import SetupSpec
from tests.unit.coordinator.fleet import (
    PLAN,
    counted,
    hello,
    opened,
    posted,
    ready,
    seconds,
    started,
)


def test_a_settled_second_is_one_line():
    _, row = counted()

    assert line_of(row) == (
        "   0s  open 20/1,000  opened +20/s  connecting 0  failed 4 (refused 4)  late 0"
        "  handshake p99 3.0 ms  ping p99 4.0 ms"
    )


def test_ends_that_were_not_asked_for_stand_in_the_line_of_their_second():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    second = opened(0, 10, held=6)
    second.tally.closed = {"server_1001": 3, "done": 1}
    posted(run, agent, seconds(second), run.start + 1.0)
    (entry,) = run.tick(run.start + 1.0)

    assert "  ended unexpectedly 3 (server_1001 3)  late 0" in line_of(entry.row)


def test_a_change_of_state_is_one_line():
    stream = io.StringIO()
    display, run = Lines(stream), Run(PLAN, 2)
    display.show(run, 0.0)
    display.show(run, 1.0)
    posted(run, run.join(hello("a"), 1.0).id, ready(), 1.0)
    display.show(run, 1.0)

    assert stream.getvalue().splitlines() == [
        "waiting for agents, 0 of 2 ready",
        "waiting for agents, 1 of 2 ready: a",
    ]


def test_a_change_of_phase_is_one_line():
    stream = io.StringIO()
    display, run = Lines(stream), Run(PLAN, 1)
    started(run, ["a"])
    for age in (0.0, 1.0, 12.0):
        display.show(run, run.start + age)

    assert stream.getvalue().splitlines() == ["running: arrivals", "running: hold"]


def test_a_correction_is_no_line():
    stream = io.StringIO()
    _, row = counted()
    row.corrects = True

    Lines(stream).second(row)

    assert stream.getvalue() == ""


def test_a_setup_under_way_is_the_state_of_a_run():
    run = Run(replace(PLAN, setup=SetupSpec(file="prepare.py")), 1)
    posted(run, run.join(hello("a"), 0.0).id, ready(), 0.0)
    run.tick(0.0)

    assert state_of(run, 0.0) == "setup on a"
