"""Progress of a run as a live table, for a terminal."""

import os
import re
import select
import sys
from collections.abc import Callable, Iterable
from math import inf
from typing import TextIO

from rich.console import Console, ConsoleRenderable, Group
from rich.control import Control
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from coordinator.lines import BLANK, waiting
from coordinator.report.samples import arrivals_asked
from coordinator.run.row import Figures, Row, summaries
from coordinator.run.run import Run
from coordinator.text import (
    and_more,
    columns,
    count,
    in_natural_order,
    ms,
    reasons,
    seconds,
    shortened,
)
from loadgen.stats.reasons import unexpected

MAX_AGENT_ROWS = 20
"""Agents with a row in the live table; of the others it shows the number."""
BAR_WIDTH = 40
"""Columns of the bar of open connections, where the terminal has room for it."""
MIN_NAME = 8
"""The columns that the name of an agent gets at least; figures are left out for it."""
DEFAULT_SIZE = 80, 25
"""The columns and the lines of a terminal that does not tell."""

BAD, DOUBTFUL, GOOD = "bold red", "yellow", "bold green"
STYLES = {
    r"(?m)^(?:\S+: )?(?P<word>PASS)\b": GOOD,
    r"(?m)^(?:\S+: )?(?P<word>FAIL|LOST|NOTHING OPENED)\b": BAD,
    r"(?m)^(?:\S+: )?(?P<word>STOPPED)\b": DOUBTFUL,
    r"(?m)^(?P<word>held)  ": GOOD,
    r"(?m)^(?P<word>FAILED)  ": BAD,
    r"(?m)^(?P<word>failed: .*)$": BAD,
}
"""The colours of verdicts and failures in the report."""


class Screen:
    """A live table, drawn again once a second; warnings are lines above it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._takes = select.poll()
        self._takes.register(stream, select.POLLOUT)
        self._live = LiveTable(Console(file=stream))
        self._fit()
        self._live.start()

    @property
    def outdated(self) -> bool:
        """True when the size of the terminal has changed since the last drawing."""
        return self._size() != self._live.console.size

    def show(self, run: Run, now: float) -> None:
        """Draws the table again, where the terminal takes it: Ctrl-S stops it."""
        if self._takes.poll(0):
            self._fit()
            self._live.update(Group(*_lines(run, now, *self._live.console.size)), refresh=True)

    def second(self, row: Row) -> None:
        """Does nothing: the next drawing shows the second."""

    def say(self, text: str) -> None:
        """Writes lines above the table; verdicts and failures have their colours."""
        said = Text(text)
        for pattern, style in STYLES.items():
            for found in re.finditer(pattern, text):
                said.stylize(style, *found.span("word"))
        self._fit()
        self._live.console.print(said, soft_wrap=True)

    def close(self) -> None:
        """Ends the drawing; the last table stays on the screen."""
        self._live.stop()

    def _fit(self) -> None:
        """Takes over the size of this terminal; other streams may have another."""
        self._live.console.size = self._size()

    def _size(self) -> tuple[int, int]:
        try:
            width, height = os.get_terminal_size(self._stream.fileno())
        except OSError:  # it has hung up
            return DEFAULT_SIZE
        return width or DEFAULT_SIZE[0], height or DEFAULT_SIZE[1]


class LiveTable(Live):
    """A live table that leaves nothing behind when the terminal changes its size."""

    def __init__(self, console: Console) -> None:
        # rich may capture stderr only where it is this terminal: lines for a file go to the file.
        super().__init__(
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._drawn = (0, 0)
        """The size of the terminal at the last drawing; (0, 0): nothing is drawn."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Returns what a drawing writes: the way back, and the new table.

        Subtle: terminals wrap the lines of the last table anew when they become narrower, each in
        its own way, and nobody knows how many lines it takes then. So everything is scrolled out of
        sight, where it can be read, and the new table begins at the top.
        """
        resized = self._drawn not in ((0, 0), self.console.size)
        self._drawn = self.console.size
        back, *rest = super().process_renderables(renderables)
        if not resized:
            return [back, *rest]
        away = Text("\n" * self.console.height, end="")
        return [back, away, Control.home(), Control.clear(), *rest]


def _lines(run: Run, now: float, width: int, height: int) -> list[Text | Table]:
    """Returns the lines of the table, none of them wider than the terminal."""
    if run.state == "gathering":
        return [_line(run.errand or waiting(run, now))]
    last = run.timeline.last
    if last is None:
        return [_line("starting")]
    lines: list[Text | Table] = [
        _headline(run, now),
        _open_bar(last, width),
        *_facts(run, last),
        *_latencies(run, last),
    ]
    return [*lines, *_agents(run, last, width, height - len(lines) - 1)]


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _headline(run: Run, now: float) -> Text:
    whole = f" of {seconds(run.progress.drain_after)}" if run.progress.drain_after < inf else ""
    targets = and_more([run.shown_urls[target.url] for target in run.plan.servers])
    state = run.errand or run.phase(now) or run.state
    text = f"{state}  {seconds(run.age(now))}{whole}  {targets}"
    headline = _line(text)
    headline.stylize("bold", 0, len(state))
    return headline


def _open_bar(row: Row, width: int) -> Table:
    ledger = row.fleet.ledger
    text = f"{count(ledger.open)} open of {count(ledger.planned)} planned"
    bar = Table.grid(padding=(0, 1))
    room = max(1, min(BAR_WIDTH, width - len(text) - 1))
    bar.add_row(ProgressBar(total=ledger.planned, completed=ledger.open, width=room), _line(text))
    return bar


def _facts(run: Run, row: Row) -> list[Text]:
    """Returns a line for each fact of the fleet, with its unit; what is bad is red."""
    ledger, rates = row.fleet.ledger, row.fleet.rates
    progress = run.progress
    asked = arrivals_asked(progress.arrivals, progress.gates, progress.pauses, row.second)
    accepted = f"{count(ledger.accepted)} of {count(ledger.opened)} opened"
    arrived = rates.launched - rates.relaunched
    dropped = unexpected(ledger.closed)
    facts = [
        ("arrivals", f"{count(arrived)}/s achieved, {asked:,.6g}/s asked", ""),
        ("connecting", f"{count(ledger.connecting)} connections", ""),
        *([("accepted", accepted, "")] if run.plan.appwrite or ledger.accepted else []),
        ("failed", _ends(ledger.failed), BAD if ledger.failed else ""),
        ("closed", _ends(ledger.closed), ""),
        *([("unexpected", _ends(dropped), BAD)] if dropped else []),
        ("lost", f"{count(ledger.lost)} connections", BAD if ledger.lost else ""),
        ("late", f"{count(ledger.late)} launches", DOUBTFUL if ledger.late else ""),
        *([("invalid", "; ".join(row.invalid), DOUBTFUL)] if row.invalid else []),
        *([("saturated", "; ".join(row.saturated), DOUBTFUL)] if row.saturated else []),
    ]
    return [_line(f"{name:<12}{text}", style) for name, text, style in facts]


def _ends(ends: dict[str, int]) -> str:
    return f"{count(sum(ends.values()))} connections  {reasons(ends)}".rstrip()


def _latencies(run: Run, row: Row) -> Iterable[Text]:
    rows = [["milliseconds", "p50", "p99", "p50 so far", "p99 so far"]]
    so_far = summaries(
        {name: getattr(run.timeline.total, name) for name in ("handshake", "ping_rtt", "lag")}
    )
    for name, whole in so_far.items():
        latest = row.fleet.histograms.get(name)
        cells = (ms(latest.p50), ms(latest.p99)) if latest else (BLANK, BLANK)
        rows.append([name, *cells, ms(whole.p50), ms(whole.p99)])
    head, *others = columns(rows)
    return [_line(head, "bold"), *map(_line, others)]


AGENT_COLUMNS: dict[str, Callable[[Figures], str]] = {
    "open": lambda figures: count(figures.ledger.open),
    "share": lambda figures: count(figures.ledger.planned),
    "failed": lambda figures: count(sum(figures.ledger.failed.values())),
    "late": lambda figures: count(figures.ledger.late),
    "opened/s": lambda figures: count(figures.rates.opened),
    "opening": lambda figures: count(figures.ledger.connecting),
    "CPU s": lambda figures: f"{figures.cpu_s:.1f}",
    "MB": lambda figures: f"{figures.rss / 1e6:.0f}",
}
"""The columns of the table of agents, and the text of their cells.

A narrow terminal shows the first of them."""


def _agents(run: Run, row: Row, width: int, height: int) -> list[Text]:
    """Returns a line for each agent, by their names, as many as there is room for."""
    latest = sorted(run.timeline.latest.items(), key=lambda item: in_natural_order(item[0]))
    most = max(1, min(MAX_AGENT_ROWS, height - 2))
    shown = latest[:most]
    cells = [
        [*AGENT_COLUMNS],
        *([cell(figures) for cell in AGENT_COLUMNS.values()] for _, figures in shown),
    ]
    names = ["agent", *(name for name, _ in shown)]
    room = width
    kept = 0
    for column in zip(*cells, strict=True):
        needed = 2 + max(map(len, column))
        if room - needed < MIN_NAME:
            break
        room -= needed
        kept += 1
    rows = [[shortened(name, room), *own[:kept]] for name, own in zip(names, cells, strict=True)]
    head, *others = columns(rows)
    lines = [_line(head, "bold")]
    for text, (name, figures) in zip(others, shown, strict=True):
        bad = figures.ledger.failed or figures.ledger.lost
        lines.append(_line(text, DOUBTFUL if name in row.missing else BAD if bad else ""))
    if len(latest) > most:
        lines.append(_line(f"and {len(latest) - most} more"))
    return lines
