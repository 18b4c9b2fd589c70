"""Progress in the terminal: a live table where there is one, a plain line a second where not."""

import os
import sys
from collections.abc import Callable
from math import inf
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from coordinator.run.run import Run
from coordinator.run.timeline import Figures, Row, summaries
from coordinator.text import and_more, count, ms, reasons, seconds

AGENTS_SHOWN = 20
"""Agents that have a line of their own in the live table."""
BLANK = "–"


class Display(Protocol):
    """Something that shows the run as it goes on."""

    def show(self, run: Run, now: float) -> None:
        """The run as it stands; called about once a second."""

    def second(self, row: Row) -> None:
        """A second has settled."""

    def say(self, text: str) -> None:
        """A line for the operator."""

    def close(self) -> None:
        """Nothing more is shown."""


def display_on(stream: TextIO) -> Display:
    """The live table on a terminal, else plain lines."""
    return Screen(stream) if stream.isatty() else Lines(stream)


class Lines:
    """A plain line for each settled second."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said = ""

    def show(self, run: Run, now: float) -> None:
        """Says what changed in the state of the run; seconds speak for themselves."""
        phase = run.phase(now)
        text = (
            _waiting(run, now)
            if run.state == "gathering"
            else f"running: {phase}"
            if phase
            else run.state
        )
        if text != self._said:
            self._said = text
            self.say(text)

    def second(self, row: Row) -> None:
        """The line of a settled second; corrections are for the files."""
        if not row.corrects:
            self.say(line_of(row))

    def say(self, text: str) -> None:
        """Writes a line at once; when nobody reads any more (`| head`), the run goes on unseen."""
        try:
            print(text, file=self._stream, flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def close(self) -> None:
        """Every line is written already."""


class Screen:
    """A live table: redrawn once a second, warnings scroll by above it."""

    def __init__(self, stream: TextIO) -> None:
        console = Console(file=stream)
        # Only what goes to the same screen may be caught: a file behind stderr keeps its lines.
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._live.start()

    def show(self, run: Run, now: float) -> None:
        """Redraws."""
        self._live.update(_screen(run, now), refresh=True)

    def second(self, row: Row) -> None:
        """The next redrawing has it."""

    def say(self, text: str) -> None:
        """A line above the table."""
        self._live.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leaves the last state standing."""
        self._live.stop()


def line_of(row: Row) -> str:
    """One settled second on one line."""
    fleet = row.fleet
    parts = [
        f"{row.second:>4}s",
        f"open {count(fleet.ledger.open)}/{count(fleet.ledger.planned)}",
        f"opened +{count(fleet.rates.opened)}/s",
        f"connecting {count(fleet.ledger.connecting)}",
        _failed(fleet),
        f"late {count(fleet.ledger.late)}",
        f"handshake p99 {_p99(fleet, 'handshake')}",
        f"ping p99 {_p99(fleet, 'ping_rtt')}",
        *(f"INVALID: {why}" for why in row.invalid),
    ]
    return "  ".join(parts)


def _failed(figures: Figures) -> str:
    failed = figures.ledger.failed
    return f"failed {count(sum(failed.values()))}" + (f" ({reasons(failed)})" if failed else "")


def _p99(figures: Figures, name: str) -> str:
    histogram = figures.histograms.get(name)
    return f"{ms(histogram.p99)} ms" if histogram else BLANK


def _waiting(run: Run, now: float) -> str:
    ready = run.ready(now)
    names = f": {', '.join(member.name for member in ready)}" if ready else ""
    return f"waiting for agents, {len(ready)} of {run.wanted} ready{names}"


def _screen(run: Run, now: float) -> Group:
    if run.state == "gathering" or run.timeline.last is None:
        return Group(Text(_waiting(run, now) if run.state == "gathering" else "starting"))
    last = run.timeline.last
    ledger = last.fleet.ledger
    whole = f" of {seconds(run.progress.drain_after)}" if run.progress.drain_after < inf else ""
    phase, targets = run.phase(now), and_more([target.url for target in run.plan.servers])
    head = Text.assemble(
        (phase or run.state, "bold"), f"  {seconds(run.age(now))}{whole}  {targets}"
    )
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=ledger.planned, completed=ledger.open, width=50),
        f"{count(ledger.open)} open of {count(ledger.planned)} planned",
    )
    return Group(head, bar, _facts(run, last, now), _latencies(run, last), _agents(run, last))


def _facts(run: Run, row: Row, now: float) -> Table:
    ledger, rates = row.fleet.ledger, row.fleet.rates
    table = Table.grid(padding=(0, 2))
    table.add_row(
        "arrivals",
        f"{count(rates.launched)}/s achieved, {run.progress.rate_asked(run.age(now)):,.6g}/s asked",
    )
    table.add_row("connecting", count(ledger.connecting))
    table.add_row("failed", Text(f"{count(sum(ledger.failed.values()))}  {reasons(ledger.failed)}"))
    table.add_row("closed", Text(f"{count(sum(ledger.closed.values()))}  {reasons(ledger.closed)}"))
    table.add_row("lost / late", f"{count(ledger.lost)} / {count(ledger.late)}")
    if row.invalid:
        table.add_row("invalid", Text("; ".join(row.invalid), style="yellow"))
    return table


def _latencies(run: Run, row: Row) -> Table:
    table = _table("milliseconds", "p50", "p99", "p50 so far", "p99 so far")
    whole = summaries(
        {name: getattr(run.timeline.total, name) for name in ("handshake", "ping_rtt", "lag")}
    )
    for name, figures in whole.items():
        now = row.fleet.histograms.get(name)
        latest = (ms(now.p50), ms(now.p99)) if now else (BLANK, BLANK)
        table.add_row(name, *latest, ms(figures.p50), ms(figures.p99))
    return table


def _agents(run: Run, row: Row) -> Table:
    table = _table(
        "agent", "open", "share", "opened/s", "connecting", "failed", "late", "cpu s", "MB"
    )
    cells: list[Callable[[Figures], str]] = [
        lambda figures: count(figures.ledger.open),
        lambda figures: count(figures.ledger.planned),
        lambda figures: count(figures.rates.opened),
        lambda figures: count(figures.ledger.connecting),
        lambda figures: count(sum(figures.ledger.failed.values())),
        lambda figures: count(figures.ledger.late),
        lambda figures: f"{figures.cpu_s:.1f}",
        lambda figures: f"{figures.rss / 1e6:.0f}",
    ]
    for name, figures in list(run.timeline.latest.items())[:AGENTS_SHOWN]:
        style = "yellow" if name in row.missing else ""
        table.add_row(name, *(cell(figures) for cell in cells), style=style)
    if len(run.timeline.latest) > AGENTS_SHOWN:
        table.add_row(f"and {len(run.timeline.latest) - AGENTS_SHOWN} more")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
