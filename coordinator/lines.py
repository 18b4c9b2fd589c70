"""Progress of a run as plain lines, for a file or a pipe."""

from collections.abc import Iterator
from typing import TextIO

from coordinator.run.row import Figures, Row
from coordinator.run.run import Run
from coordinator.text import count, ms, reasons
from loadgen.stats.reasons import unexpected

BLANK = "–"
"""The text of a percentile where nothing was measured."""


class Lines:
    """A plain line for each settled second."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._state = ""

    @property
    def outdated(self) -> bool:
        """False: a line stays as it is."""
        return False

    def show(self, run: Run, now: float) -> None:
        """Writes a line when the state of the run or its phase has changed."""
        text = state_of(run, now)
        if text != self._state:
            self._state = text
            self.say(text)

    def second(self, row: Row) -> None:
        """Writes the line of a settled second; a correction is in the files only."""
        if not row.corrects:
            self.say(line_of(row))

    def say(self, text: str) -> None:
        """Writes a line at once."""
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Does nothing: every line is already written."""


def line_of(row: Row) -> str:
    """Returns a settled second as one line."""
    fleet = row.fleet
    parts = [
        f"{row.second:>4}s",
        f"open {count(fleet.ledger.open)}/{count(fleet.ledger.planned)}",
        f"opened +{count(fleet.rates.opened)}/s",
        f"connecting {count(fleet.ledger.connecting)}",
        _failed(fleet),
        *_unexpected(fleet),
        f"late {count(fleet.ledger.late)}",
        f"handshake p99 {_p99(fleet, 'handshake')}",
        f"ping p99 {_p99(fleet, 'ping_rtt')}",
        *(f"INVALID: {why}" for why in row.invalid),
        *(f"SATURATED: {why}" for why in row.saturated),
    ]
    return "  ".join(parts)


def _unexpected(figures: Figures) -> Iterator[str]:
    ends = unexpected(figures.ledger.closed)
    if ends:
        yield f"ended unexpectedly {count(sum(ends.values()))} ({reasons(ends)})"


def _failed(figures: Figures) -> str:
    failed = figures.ledger.failed
    return f"failed {count(sum(failed.values()))}" + (f" ({reasons(failed)})" if failed else "")


def _p99(figures: Figures, name: str) -> str:
    histogram = figures.histograms.get(name)
    return f"{ms(histogram.p99)} ms" if histogram else BLANK


def state_of(run: Run, now: float) -> str:
    """Returns the state or the phase of a run; `now` is in seconds on its clock."""
    if run.errand:
        return run.errand
    if run.state == "gathering":
        return waiting(run, now)
    phase = run.phase(now)
    return f"running: {phase}" if phase else run.state


def waiting(run: Run, now: float) -> str:
    """Returns the agents that are ready, of a run that gathers them."""
    ready = run.agents.ready(now)
    names = f": {', '.join(member.name for member in ready)}" if ready else ""
    return f"waiting for agents, {len(ready)} of {run.wanted} ready{names}"
