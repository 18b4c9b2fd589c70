"""The watch over the disk of a run: the operator learns what can't be written."""

from collections.abc import Callable

from coordinator.run.notices import Notices
from coordinator.storage.disk import Disk
from coordinator.storage.journal import Journal
from coordinator.storage.writer import RunDir

STANDSTILL = 3.0
"""Seconds at the same write after which the disk is said to stand still."""


class DiskWatch:
    """Watches the disk that holds a run directory and its journal."""

    def __init__(
        self,
        disk: Disk,
        folder: RunDir,
        journal: Journal,
        notices: Notices,
        warn: Callable[[str], None],
    ) -> None:
        """`warn` takes a line for the operator; `notices` reach the page too."""
        self._disk = disk
        self._folder = folder
        self._journal = journal
        self._notices = notices
        self._warn = warn
        self._told = False
        """True while the operator knows that the disk stands still."""
        self._complained: set[str] = set()
        """The complaints of the files that the operator was warned of."""

    @property
    def stands_still(self) -> bool:
        """True when the disk has been at the same write for long."""
        return self._disk.stands_still() > STANDSTILL

    def look(self) -> None:
        """Says once that the disk stands still, and that it goes on."""
        if self.stands_still and not self._told:
            self._told = True
            self._notices.warn(
                f"the disk of {self._folder.path} stands still: what has to be written waits, and"
                " the run goes on"
            )
        elif self._told and self._disk.stands_still() < 1:
            self._told = False
            self._notices.warn(f"the disk of {self._folder.path} goes on")

    def complain(self) -> None:
        """Says what can't be written, each reason once."""
        for complaint in (self._folder.complaint, self._journal.complaint):
            if complaint and complaint not in self._complained:
                self._complained.add(complaint)
                self._warn(complaint)

    def complain_of_gaps(self) -> None:
        """Says which settled seconds are not in the run directory."""
        unwritten = self._folder.unwritten
        if unwritten:
            self._warn(
                f"{len(unwritten)} settled seconds are not in seconds.ndjson, from"
                f" {unwritten[0]} to {unwritten[-1]}: its disk stood still"
            )
