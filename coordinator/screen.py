"""Progress of a run as a live table, for a terminal."""

import select
import sys
from collections.abc import Callable
from math import inf
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from coordinator.lines import BLANK, waiting
from coordinator.run.run import Run
from coordinator.run.timeline import Figures, Row, summaries
from coordinator.text import and_more, count, ms, reasons, seconds

MAX_AGENT_ROWS = 20
"""Agents with a row in the live table; of the others it shows the number."""


class Screen:
    """A live table, drawn again once a second; warnings are lines above it."""

    def __init__(self, stream: TextIO) -> None:
        self._takes = select.poll()
        self._takes.register(stream, select.POLLOUT)
        console = Console(file=stream)
        # rich may capture stderr only where it is this terminal: lines for a file go to the file.
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._live.start()

    def show(self, run: Run, now: float) -> None:
        """Draws the table again, where the terminal takes it: Ctrl-S stops it."""
        if self._takes.poll(0):
            self._live.update(_screen(run, now), refresh=True)

    def second(self, row: Row) -> None:
        """Does nothing: the next drawing shows the second."""

    def say(self, text: str) -> None:
        """Writes a line above the table."""
        self._live.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Ends the drawing; the last table stays on the screen."""
        self._live.stop()


def _screen(run: Run, now: float) -> Group:
    if run.state == "gathering":
        return Group(Text(run.errand or waiting(run, now)))
    if run.timeline.last is None:
        return Group(Text("starting"))
    last = run.timeline.last
    return Group(
        _headline(run, now),
        _open_bar(last),
        _facts(run, last, now),
        _latencies(run, last),
        _agents(run, last),
    )


def _headline(run: Run, now: float) -> Text:
    whole = f" of {seconds(run.progress.drain_after)}" if run.progress.drain_after < inf else ""
    targets = and_more([run.shown_urls[target.url] for target in run.plan.servers])
    state = run.errand or run.phase(now) or run.state
    return Text.assemble((state, "bold"), f"  {seconds(run.age(now))}{whole}  {targets}")


def _open_bar(row: Row) -> Table:
    ledger = row.fleet.ledger
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=ledger.planned, completed=ledger.open, width=50),
        f"{count(ledger.open)} open of {count(ledger.planned)} planned",
    )
    return bar


def _facts(run: Run, row: Row, now: float) -> Table:
    ledger = row.fleet.ledger
    achieved = count(row.fleet.rates.launched)
    asked = run.progress.rate_asked(run.age(now))
    table = Table.grid(padding=(0, 2))
    table.add_row("arrivals", f"{achieved}/s achieved, {asked:,.6g}/s asked")
    table.add_row("connecting", count(ledger.connecting))
    table.add_row("failed", Text(f"{count(sum(ledger.failed.values()))}  {reasons(ledger.failed)}"))
    table.add_row("closed", Text(f"{count(sum(ledger.closed.values()))}  {reasons(ledger.closed)}"))
    table.add_row("lost / late", f"{count(ledger.lost)} / {count(ledger.late)}")
    if row.invalid:
        table.add_row("invalid", Text("; ".join(row.invalid), style="yellow"))
    if row.saturated:
        table.add_row("saturated", Text("; ".join(row.saturated), style="yellow"))
    return table


def _latencies(run: Run, row: Row) -> Table:
    table = _table("milliseconds", "p50", "p99", "p50 so far", "p99 so far")
    so_far = summaries(
        {name: getattr(run.timeline.total, name) for name in ("handshake", "ping_rtt", "lag")}
    )
    for name, whole in so_far.items():
        latest = row.fleet.histograms.get(name)
        cells = (ms(latest.p50), ms(latest.p99)) if latest else (BLANK, BLANK)
        table.add_row(name, *cells, ms(whole.p50), ms(whole.p99))
    return table


AGENT_COLUMNS: dict[str, Callable[[Figures], str]] = {
    "open": lambda figures: count(figures.ledger.open),
    "share": lambda figures: count(figures.ledger.planned),
    "opened/s": lambda figures: count(figures.rates.opened),
    "connecting": lambda figures: count(figures.ledger.connecting),
    "failed": lambda figures: count(sum(figures.ledger.failed.values())),
    "late": lambda figures: count(figures.ledger.late),
    "cpu s": lambda figures: f"{figures.cpu_s:.1f}",
    "MB": lambda figures: f"{figures.rss / 1e6:.0f}",
}
"""The columns of the table of agents, and the text of their cells."""


def _agents(run: Run, row: Row) -> Table:
    table = _table("agent", *AGENT_COLUMNS)
    latest = list(run.timeline.latest.items())
    for name, figures in latest[:MAX_AGENT_ROWS]:
        style = "yellow" if name in row.missing else ""
        table.add_row(name, *(cell(figures) for cell in AGENT_COLUMNS.values()), style=style)
    if len(latest) > MAX_AGENT_ROWS:
        table.add_row(f"and {len(latest) - MAX_AGENT_ROWS} more")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
