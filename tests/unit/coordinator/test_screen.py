"""Progress of a run as a live table."""

import contextlib
import os
import pty
import struct
import termios
from fcntl import ioctl

import pytest

from coordinator.run.run import Run
from coordinator.screen import BAD, MAX_AGENT_ROWS, Screen
from loadgen.plan.plan import Plan
from tests.unit.coordinator.fleet import counted, opened, posted, seconds, started
from tests.unit.coordinator.terminal import Terminal

RED = "\x1b[1;31m"


@pytest.fixture
def terminal():
    """The two ends of a terminal: the operator's, and the stream of the command."""
    own, other = pty.openpty()
    with open(other, "w") as stream:
        yield own, stream
    os.close(own)


@pytest.fixture(autouse=True)
def colours(monkeypatch):
    """The terminal has colours, whatever the environment of the tests says."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


def resized(stream, width, height):
    """Gives the terminal another size."""
    ioctl(stream, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def shown(own: int) -> str:
    """Returns what came to the terminal, all of which is there already."""
    os.set_blocking(own, False)
    parts = []
    with contextlib.suppress(BlockingIOError):
        while part := os.read(own, 65536):
            parts.append(part)
    return b"".join(parts).decode()


def drawn(own, stream, run, width=80, height=50):
    """Returns the rows of a terminal that shows a run a second after its start."""
    resized(stream, width, height)
    display = Screen(stream)
    display.show(run, run.start + 1.0)
    sight = Terminal(width, height)
    sight.feed(shown(own).replace("\r\n", "\n"))
    display.close()
    shown(own)
    return sight.seen


def a_fleet_of(names, **figures):
    """Returns a run of these agents with one settled second."""
    run = Run(Plan(max=1_000_000, rate=2000.0), len(names))
    for agent in started(run, names):
        second = opened(0, 10)
        for name, value in figures.items():
            setattr(second.tally, name, value)
        posted(run, agent, seconds(second), run.start + 1.0)
    run.tick(run.start + 1.0)
    return run


@pytest.mark.parametrize("width", [80, 200])
def test_the_live_table_shows_fleet_and_agents_with_their_units(width, terminal):
    own, stream = terminal
    resized(stream, width, 50)
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
        "connecting  0 connections",
        "failed      4 connections  refused 4",
        "lost        0 connections",
        "late        0 launches",
        "handshake",
        "a [warning] above",
    ):
        assert words in text


def test_the_state_is_shown_before_the_first_second(terminal):
    run = Run(Plan(), 2)
    assert drawn(*terminal, run) == ["waiting for agents, 0 of 2 ready"]
    started(run, ["a", "b"])
    assert drawn(*terminal, run) == ["starting"]


def test_agents_are_sorted_by_their_names_and_fit_80_columns(terminal):
    names = [f"realtime-worker-{number}.example.com" for number in (10, 9, 2)]
    rows = drawn(*terminal, a_fleet_of(names))

    at = next(number for number, row in enumerate(rows) if row.startswith("agent "))
    head, *agents = rows[at : at + 4]
    assert head.split() == [
        "agent",
        "open",
        "share",
        "failed",
        "late",
        "opened/s",
        "opening",
        "CPU",
        "s",
        "MB",
    ]
    assert [row.split()[0].partition("…")[0] for row in agents] == ["realtime-w"] * 3
    # Agent 0 of the plan is the tenth by its name, and has the larger share.
    assert [row.split()[1:3] for row in agents] == [["10", "333,333"]] * 2 + [["10", "333,334"]]
    assert max(map(len, rows)) <= 80


@pytest.mark.parametrize(("width", "columns"), [(80, 9), (60, 7), (40, 5), (20, 2)])
def test_a_narrow_terminal_shows_fewer_figures_of_agents(terminal, width, columns):
    rows = drawn(*terminal, a_fleet_of(["local-1", "local-2"]), width)

    (head,) = [row for row in rows if row.startswith("agent")]
    assert len(head.replace("CPU s", "CPU").split()) == columns
    assert any(row.startswith("local-2") for row in rows)
    assert max(map(len, rows)) <= width


@pytest.mark.parametrize("height", [50, 24])
def test_of_many_agents_as_many_are_shown_as_there_is_room_for(terminal, height):
    names = [f"a-{number}" for number in range(30)]
    rows = drawn(*terminal, a_fleet_of(names), height=height)

    agents = [row for row in rows if row.startswith("a-")]
    assert rows[-1] == f"and {30 - len(agents)} more"
    assert len(agents) == MAX_AGENT_ROWS if height == 50 else 0 < len(agents) < MAX_AGENT_ROWS
    assert len(rows) <= height


def test_only_a_plan_of_appwrites_shows_what_was_accepted(terminal):
    asked = Run(Plan(max=10), 1)
    other = Run(Plan(max=10, target="ws://127.0.0.1/chat"), 1)
    for run in (asked, other):
        (agent,) = started(run, ["a"])
        posted(run, agent, seconds(opened(0, 10)), run.start + 1.0)
        run.tick(run.start + 1.0)

    assert "accepted    0 of 10 opened" in drawn(*terminal, asked)
    assert "accepted" not in "\n".join(drawn(*terminal, other))


def test_what_is_bad_is_red_and_what_is_doubtful_is_yellow(terminal):
    own, stream = terminal
    run = a_fleet_of(["a"], closed={"server_1001": 3, "done": 1}, late=2)
    display = Screen(stream)
    display.show(run, run.start + 1.0)
    text = shown(own)
    display.close()

    assert f"{RED}unexpected  3 connections  server_1001 3" in text
    assert "\x1b[33mlate        2 launches" in text
    assert "\x1b[33minvalid     " in text
    assert f"{RED}failed" not in text


@pytest.mark.parametrize(
    ("line", "word", "colour"),
    [
        ("a-run: PASS; 4 open", "PASS", "\x1b[1;32m"),
        ("a-run: FAIL; 4 failed", "FAIL", RED),
        ("a-run: NOTHING OPENED; 4 failed", "NOTHING OPENED", RED),
        ("a-run: STOPPED; 4 open", "STOPPED", "\x1b[33m"),
        ("FAILED  opened==3  (it was 4)", "FAILED", RED),
        ("held    opened==4  (it was 4)", "held", "\x1b[1;32m"),
        ("failed: refused 3", "failed: refused 3", RED),
    ],
)
def test_verdicts_and_failures_of_the_report_have_their_colours(terminal, line, word, colour):
    own, stream = terminal
    display = Screen(stream)
    display.say(f"\n{line}\nan agent is lost; it PASSes by")
    display.close()
    text = shown(own)

    before, _, after = line.partition(word)
    assert f"{before}{colour}{word}\x1b[0m{after}" in text
    assert "an agent is lost; it PASSes by" in text


def test_with_no_color_there_is_none(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    own, stream = terminal
    display = Screen(stream)
    display.say("failed: refused 3")
    display.close()

    assert "\x1b[1mfailed: refused 3" in shown(own)
    assert BAD == "bold red"


@pytest.mark.parametrize(
    ("before", "after"), [((100, 30), (40, 30)), ((40, 30), (100, 30)), ((80, 40), (80, 20))]
)
def test_a_terminal_that_changes_its_size_keeps_no_line_of_the_old_table(terminal, before, after):
    own, stream = terminal
    run = a_fleet_of(["local-1", "local-2"], failed={"refused": 2})
    sight = Terminal(*before)
    resized(stream, *before)
    display = Screen(stream)

    def feed():
        sight.feed(shown(own).replace("\r\n", "\n"))

    display.say("agents join")
    for age in (1.0, 2.0):
        display.show(run, run.start + age)
    feed()
    assert not display.outdated
    assert sight.seen[0] == "agents join"

    sight.resize(*after)
    resized(stream, *after)
    assert display.outdated
    display.show(run, run.start + 2.2)
    display.show(run, run.start + 3.0)
    feed()

    assert not display.outdated
    fresh = drawn(own, stream, run, *after)
    assert [row for row in sight.seen if "open of" in row] == [
        row for row in fresh if "open of" in row
    ]
    assert sum(row.startswith("agent") for row in sight.seen) == 1
    assert sight.seen[1:] == fresh[1:]
    assert "agents join" in sight.rows  # scrolled out of sight
    display.close()


def test_a_terminal_that_does_not_tell_its_size_has_80_columns(terminal):
    own, stream = terminal
    display = Screen(stream)
    run = a_fleet_of(["local-1"])
    display.show(run, run.start + 1.0)
    text = shown(own)
    display.close()

    (head,) = [line for line in text.splitlines() if "opened/s" in line]
    assert "MB" in head


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
