"""Progress of a run: plain lines in a file, a live table on a terminal."""

import contextlib
import io
import os
import pty
import termios

import pytest

from coordinator.display import Lines, Screen, display_on, line_of
from coordinator.run.run import Run
from tests.unit.coordinator.fleet import PLAN, hello, opened, ready, seconds, started


@pytest.fixture
def terminal():
    """The two ends of a terminal: the operator's, and the stream of the command."""
    own, other = pty.openpty()
    with open(other, "w") as stream:
        yield own, stream
    os.close(own)


def shown(own: int) -> str:
    """Returns what came to the terminal, all of which is there already."""
    os.set_blocking(own, False)
    parts = []
    with contextlib.suppress(BlockingIOError):
        while part := os.read(own, 65536):
            parts.append(part)
    return b"".join(parts).decode()


def running():
    run = Run(PLAN, 2)
    agents = started(run)
    for agent in agents:
        second = opened(0, 10)
        second.tally.failed, second.tally.launched = {"refused": 2}, 12
        run.post(agent, seconds(second), run.start + 1.0)
    (entry,) = run.tick(run.start + 1.0)
    return run, entry.row


def test_a_settled_second_is_one_line():
    _, row = running()

    assert line_of(row) == (
        "   0s  open 20/1,000  opened +20/s  connecting 0  failed 4 (refused 4)  late 0"
        "  handshake p99 3.0 ms  ping p99 4.0 ms"
    )


def test_ends_that_were_not_asked_for_stand_in_the_line_of_their_second():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    second = opened(0, 10, held=6)
    second.tally.closed = {"server_1001": 3, "done": 1}
    run.post(agent, seconds(second), run.start + 1.0)
    (entry,) = run.tick(run.start + 1.0)

    assert "  ended unexpectedly 3 (server_1001 3)  late 0" in line_of(entry.row)


def test_a_change_of_state_is_one_line():
    stream = io.StringIO()
    display, run = display_on(stream), Run(PLAN, 2)
    assert isinstance(display, Lines)
    display.show(run, 0.0)
    display.show(run, 1.0)
    run.post(run.join(hello("a"), 1.0).id, ready(), 1.0)
    display.show(run, 1.0)

    assert stream.getvalue().splitlines() == [
        "waiting for agents, 0 of 2 ready",
        "waiting for agents, 1 of 2 ready: a",
    ]


def test_a_change_of_phase_is_one_line():
    stream = io.StringIO()
    display, run = display_on(stream), Run(PLAN, 1)
    started(run, ["a"])
    for age in (0.0, 1.0, 12.0):
        display.show(run, run.start + age)

    assert stream.getvalue().splitlines() == ["running: arrivals", "running: hold"]


def test_a_correction_is_no_line():
    stream = io.StringIO()
    _, row = running()
    row.corrects = True

    Lines(stream).second(row)

    assert stream.getvalue() == ""


@pytest.mark.parametrize("width", [80, 200])
def test_the_live_table_shows_fleet_and_agents(width, monkeypatch, terminal):
    monkeypatch.setenv("COLUMNS", str(width))
    own, stream = terminal
    display = display_on(stream)
    assert isinstance(display, Screen)
    run, row = running()
    display.second(row)
    display.show(run, run.start + 1.0)
    display.say("a [warning] above")
    display.close()

    text = shown(own)
    for words in (
        "20 open of 1,000 planned",
        "24/s achieved, 100/s asked",
        "refused 4",
        "handshake",
        "a [warning] above",
    ):
        assert words in text


def test_a_stopped_terminal_gets_no_table_until_it_goes_on(terminal):
    own, stream = terminal
    display = display_on(stream)
    run, _ = running()
    termios.tcflow(stream.fileno(), termios.TCOOFF)  # as Ctrl-S does
    display.show(run, run.start + 1.0)
    assert "open of" not in shown(own)

    termios.tcflow(stream.fileno(), termios.TCOON)
    display.show(run, run.start + 2.0)
    assert "open of" in shown(own)
    display.close()
