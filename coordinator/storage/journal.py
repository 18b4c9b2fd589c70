"""journal.ndjson in the directory of an unfinished run: every word that was said to the run, in
order.

A line is written before the word takes effect, and so before anyone is answered. Said again to a
new run, with the same times, the words bring it where the old one stood: a run has no clock and no
chance of its own. That is how a run whose coordinator died is taken up again, to the last count
that any agent was told to forget.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from time import monotonic, time
from typing import Any, Literal

import msgspec

from coordinator.run.recorded import argument_types
from coordinator.run.run import BadPostError, OnLoss, RefusedError, Run, UnknownAgentError
from coordinator.run.timeline import Entry
from coordinator.storage.files import Appender
from loadgen.errors import OperatorError
from loadgen.plan.plan import Plan
from loadgen.values import Endpoint
from loadgen.version import VERSION
from loadgen.wire import WIRE

FILE = "journal.ndjson"
BOOT = Path("/proc/sys/kernel/random/boot_id")


class Head(msgspec.Struct, kw_only=True):
    """The first line: what a run is made of before anything is said to it, and what its
    coordinator was asked for."""

    schema: int = 1
    version: str = VERSION
    wire: int = WIRE
    key: str
    plan: Plan
    wanted: int
    on_loss: OnLoss
    started: datetime
    listen: Endpoint
    expectations: tuple[str, ...] = ()
    tsung_log: Literal["text", "json", "none"] = "text"
    local: tuple[str, ...] = ()
    """The names of the agents that it started itself; they end with it."""
    boot: str = msgspec.field(default_factory=lambda: BOOT.read_text().strip())
    wall: float = msgspec.field(default_factory=time)
    clock: float = msgspec.field(default_factory=monotonic)
    """The monotonic clock at the same moment; its times are those of the words."""

    def clock_offset(self) -> float:
        """Returns the seconds to add to this machine's monotonic clock to get the clock of the run.

        0 unless the machine was rebooted since; then the wall clock measures the time between.
        """
        if self.boot == BOOT.read_text().strip():
            return 0.0
        return (time() - self.wall) - (monotonic() - self.clock)


class Journal:
    """The journal, being written. When it can't be, it is removed: a run is taken up again exactly,
    or not at all.

    Raises OperatorError when another process writes it: that run's coordinator lives.
    """

    def __init__(self, folder: Path, head: Head) -> None:
        self.folder = folder
        """The run directory."""
        self.head = head
        self.complaint = ""
        """Why it could not be written; empty as long as it was."""
        self._path = folder / FILE
        self._file: Appender | None = Appender(self._path)
        try:
            self._file.lock()
        except BlockingIOError as error:
            self.close()
            raise OperatorError(
                f"{self._path} is being written: that run's coordinator lives; stop it first"
            ) from error

    @classmethod
    def begin(cls, folder: Path, head: Head) -> "Journal":
        """A new one, in a run directory."""
        journal = cls(folder, head)
        journal._append(msgspec.json.encode(head))
        return journal

    @classmethod
    def reopen(cls, folder: Path) -> "Journal":
        """Opens the journal of a run whose coordinator died, to append to it.

        Raises OperatorError when that run can't be resumed.
        """
        journal = cls(folder, read_head(folder))
        journal._append(b"")
        return journal

    def record(self, word: str, arguments: tuple[Any, ...]) -> None:
        """Writes down what is said to the run."""
        self._append(msgspec.json.encode((word, *arguments)))

    def _append(self, line: bytes) -> None:
        if self._file is None:
            return
        try:
            self._file.append(line + b"\n")
        except OSError as error:
            self.complaint = (
                f"{self._path} can't be written ({error.strerror}); the run can't be resumed if"
                " this dies"
            )
            self.end()

    def close(self) -> None:
        """Writes no more; what there is stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def end(self) -> None:
        """The run is over, or can't be taken up again: nobody needs it any more."""
        if self._file is not None:
            self.close()
            with contextlib.suppress(
                OSError
            ):  # its directory is gone, or may not be written any more
                self._path.unlink()


def read_head(folder: Path) -> Head:
    """What the run in a directory was made of; raises OperatorError when it can't be taken up
    again."""
    try:
        with (folder / FILE).open("rb") as file:
            line = file.readline()
    except FileNotFoundError as error:
        done = (folder / "summary.json").exists()
        why = "that run is over" if done else "it is no run directory"
        raise OperatorError(f"--resume {folder}: there is no {FILE}: {why}") from error
    except OSError as error:
        raise OperatorError(
            f"--resume {folder}: {FILE} can't be read ({error.strerror})"
        ) from error
    try:
        made = msgspec.json.decode(line, type=dict[str, Any])
        if made.get("version") != VERSION:
            raise OperatorError(
                f"--resume {folder}: the run is of loadgen {made.get('version')}, this is {VERSION}"
            )
        return msgspec.json.decode(line, type=Head)
    except msgspec.DecodeError as error:
        raise OperatorError(
            f"--resume {folder}: the first line of {FILE} is damaged: {error}"
        ) from error


def replay(folder: Path, run: Run) -> Iterator[Entry]:
    """Says everything again to a new run; hands over the seconds that settle again. A line that
    was torn is no word."""
    kinds = argument_types(Run)
    with (folder / FILE).open("rb") as file:
        file.readline()
        for line in file:
            with contextlib.suppress(msgspec.DecodeError):
                word, *raw = msgspec.json.decode(line, type=list[msgspec.Raw])
                name = msgspec.json.decode(word, type=str)
                arguments = [
                    msgspec.json.decode(one, type=kind)
                    for one, kind in zip(raw, kinds[name], strict=True)
                ]
                # They were refused the first time as well, and the agent was told.
                with contextlib.suppress(RefusedError, UnknownAgentError, BadPostError):
                    answer = getattr(run, name)(*arguments)
                    if name == "tick":
                        yield from answer
