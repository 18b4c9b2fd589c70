"""journal.ndjson: every recorded call to an unfinished run, in order.

A line is written before its call takes effect, and so before any agent gets its answer. A call that
the run refuses is not recorded: strangers could fill the disk with such calls. The same calls with
the same times bring a new run to the state of the old one, since a run has no clock and no
randomness. In this way the run of a coordinator that died is resumed, up to the last second that
any agent was allowed to forget.
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
"""Another id after each boot: random(4)."""


class Head(msgspec.Struct, kw_only=True):
    """The first line: the parts of the run, and the options of its coordinator."""

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
    abort_on: tuple[str, ...] = ()
    tsung_log: Literal["text", "json", "none"] = "text"
    local: tuple[str, ...] = ()
    """The names of the agents that the coordinator started itself; they end with it."""
    boot: str = msgspec.field(default_factory=lambda: BOOT.read_text().strip())
    wall: float = msgspec.field(default_factory=time)
    """The time at which this line was made, on the wall clock."""
    clock: float = msgspec.field(default_factory=monotonic)
    """The same moment on the clock of the run, which the times of all calls are on."""

    def wall_time(self, at: float) -> float:
        """Returns the UNIX time of a moment in seconds on the run's clock."""
        return self.wall + (at - self.clock)

    def clock_offset(self) -> float:
        """Returns the seconds from this machine's monotonic clock to the run's clock.

        0 unless the machine was rebooted since; then the wall clock measures the time between.
        """
        if self.boot == BOOT.read_text().strip():
            return 0.0
        return (time() - self.wall) - (monotonic() - self.clock)


class Journal:
    """The journal, being written. When a line can't be written, the file is removed.

    A run is resumed exactly or not at all. Raises OperatorError when another process writes it:
    then the coordinator of that run lives.
    """

    def __init__(self, folder: Path, head: Head) -> None:
        self.folder = folder
        """The run directory."""
        self.head = head
        self.complaint = ""
        """The reason that it could not be written; empty as long as it was."""
        self._path = folder / FILE
        self._path.touch(mode=0o600)  # it has the plan, with its secrets
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
        """Begins the journal of a new run."""
        journal = cls(folder, head)
        journal._append(msgspec.json.encode(head))
        return journal

    @classmethod
    def reopen(cls, folder: Path) -> "Journal":
        """Opens the journal of a run whose coordinator died, to append to it.

        Raises OperatorError when that run can't be resumed.
        """
        journal = cls(folder, read_head(folder))
        journal._append(b"")  # the last line may be torn
        return journal

    def record(self, method: str, arguments: tuple[Any, ...]) -> None:
        """Writes down a call to the run."""
        self._append(msgspec.json.encode((method, *arguments)))

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
        """Closes the file, and keeps it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def end(self) -> None:
        """Removes the file: the run is over, or can't be resumed."""
        if self._file is not None:
            self.close()
            # The directory may be gone, or not be writable any more.
            with contextlib.suppress(OSError):
                self._path.unlink()


def read_head(folder: Path) -> Head:
    """Reads the first line of a run's journal.

    Raises OperatorError when it can't be resumed.
    """
    try:
        with (folder / FILE).open("rb") as file:
            line = file.readline()
    except FileNotFoundError as error:
        over = (folder / "summary.json").exists()
        reason = "that run is over" if over else "it is no run directory"
        raise OperatorError(f"--resume {folder}: it has no {FILE}: {reason}") from error
    except OSError as error:
        raise OperatorError(
            f"--resume {folder}: {FILE} can't be read ({error.strerror})"
        ) from error
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
        if fields.get("version") != VERSION:
            raise OperatorError(
                f"--resume {folder}: the run is of loadgen {fields.get('version')}, this is"
                f" {VERSION}"
            )
        return msgspec.json.decode(line, type=Head)
    except msgspec.DecodeError as error:
        raise OperatorError(
            f"--resume {folder}: the first line of {FILE} is damaged: {error}"
        ) from error


def replay(folder: Path, run: Run) -> Iterator[Entry]:
    """Repeats all calls of a journal on a new run; yields the seconds that settle.

    Subtle: a torn line is no call: it was never answered, so the agent sends its post again. A
    coordinator that was killed may have settled less than the replay does, never more, since a tick
    is recorded before its seconds are written.
    """
    types = argument_types(Run)
    with (folder / FILE).open("rb") as file:
        file.readline()
        for line in file:
            with contextlib.suppress(msgspec.DecodeError):
                first, *others = msgspec.json.decode(line, type=list[msgspec.Raw])
                method = msgspec.json.decode(first, type=str)
                arguments = [
                    msgspec.json.decode(argument, type=kind)
                    for argument, kind in zip(others, types[method], strict=True)
                ]
                with contextlib.suppress(RefusedError, UnknownAgentError, BadPostError):
                    result = getattr(run, method)(*arguments)
                    if method == "tick":
                        yield from result
