"""Progress of a run as a live table."""

import contextlib
import os
import pty
import termios

import pytest

from coordinator.screen import Screen
from tests.unit.coordinator.fleet import counted


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


@pytest.mark.parametrize("width", [80, 200])
def test_the_live_table_shows_fleet_and_agents(width, monkeypatch, terminal):
    monkeypatch.setenv("COLUMNS", str(width))
    own, stream = terminal
    display = Screen(stream)
    run, row = counted()
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
    display = Screen(stream)
    run, _ = counted()
    termios.tcflow(stream.fileno(), termios.TCOOFF)  # as Ctrl-S does
    display.show(run, run.start + 1.0)
    assert "open of" not in shown(own)

    termios.tcflow(stream.fileno(), termios.TCOON)
    display.show(run, run.start + 2.0)
    assert "open of" in shown(own)
    display.close()
