"""Shows a run while it goes on: on a terminal or elsewhere."""

from typing import Protocol, TextIO

from coordinator.lines import Lines
from coordinator.run.row import Row
from coordinator.run.run import Run


class Display(Protocol):
    """Shows a run while it goes on; `now` is in seconds on the run's clock."""

    @property
    def outdated(self) -> bool:
        """True when the state has to be shown again, whether it has changed or not."""

    def show(self, run: Run, now: float) -> None:
        """Shows the state of the run; called about once a second."""

    def second(self, row: Row) -> None:
        """Shows a second that has settled."""

    def say(self, text: str) -> None:
        """Shows a line to the operator."""

    def close(self) -> None:
        """Ends the display; nothing more is shown."""


def display_on(stream: TextIO) -> Display:
    """Returns the live table for a terminal, plain lines for any other stream."""
    if not stream.isatty():
        return Lines(stream)
    from coordinator.screen import Screen  # noqa: PLC0415 -- it loads rich

    return Screen(stream)
