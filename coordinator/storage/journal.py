"""journal.ndjson: every recorded call to an unfinished run, in order.

A call that the run refuses is not recorded: strangers could fill the disk with such calls. The same
calls with the same times bring a new run to the state of the old one, since a run has no clock and
no randomness. In this way the run of a coordinator that died is resumed.

The second line may be a snapshot, which stands for all calls before it: a journal that has become
long is replaced by one that begins with the state of the run. So a run of any age is resumed in
seconds, and its journal has a bounded size.

A line is written soon after its call took effect, in the thread of the disk. Until then no answer
says anything that a resumed run would not know and can't do without: agents keep their seconds, and
get nothing more to launch.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from math import inf
from pathlib import Path
from time import monotonic, time
from typing import Any, Literal

import msgspec

from coordinator.run.gathering import RefusedError
from coordinator.run.recorded import argument_types
from coordinator.run.run import BadPostError, Run, UnknownAgentError
from coordinator.run.states import OnLoss
from coordinator.run.timeline import Entry
from coordinator.storage.disk import Disk
from coordinator.storage.files import Appender
from coordinator.storage.snapshot import RunSnapshot
from loadgen.errors import OperatorError
from loadgen.plan.plan import Plan
from loadgen.values import Endpoint
from loadgen.version import VERSION
from loadgen.wire import WIRE

Mark = tuple[dict[str, int], dict[int, int]]
"""The sizes of the files of a run directory, and where the newest line of each second begins."""
FILE = "journal.ndjson"
BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Another id after each boot: random(4)."""
MAX_TAIL = 32 << 20
"""Bytes of calls from which on a journal is replaced; they are replayed in a few seconds."""
SNAPSHOT_SHARE = 4
"""The calls after a snapshot have at least this many times its size, which it is worth."""
WRITE_TIMEOUT = 0.1
"""Seconds that an answer waits for the journal; a healthy disk takes a hundredth of that."""
SHARE_WITHIN = 0.003
"""Seconds in which answers begin to wait for the journal together."""
GIVE_UP_AFTER = 300.0
"""Seconds that the disk may stand still before the journal is given up: agents keep their seconds
until it is written, and have room for those of ten minutes."""


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

    def __init__(self, folder: Path, head: Head, disk: Disk) -> None:
        self.folder = folder
        """The run directory."""
        self.head = head
        self.complaint = ""
        """The reason that it could not be written; empty as long as it was."""
        self.disk = disk
        """The disk that its lines are written to."""
        self._lines: deque[bytes | None] = deque()
        """The lines that are not written yet; None where a snapshot comes between two."""
        self._writing: asyncio.Future[None] | None = None
        """The wait for the disk that more calls may share."""
        self._tail = 0
        """The bytes of all calls since the last snapshot."""
        self._snapshot_size = 0
        """The bytes of the last snapshot's state."""
        self._recorded = 0
        """The number of calls that were recorded."""
        self._written = 0
        """The number of calls that are written."""
        self.grows = False
        """True when it gets no snapshot, since the state of the run can't be written."""
        self._over = False
        """True once it is removed or given up."""
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
    def begin(cls, folder: Path, head: Head, disk: Disk | None = None) -> "Journal":
        """Begins the journal of a new run."""
        journal = cls(folder, head, disk or Disk())
        journal._write(msgspec.json.encode(head) + b"\n")
        return journal

    @classmethod
    def reopen(cls, folder: Path, disk: Disk | None = None) -> "Journal":
        """Opens the journal of a run whose coordinator died, to append to it.

        Raises OperatorError when that run can't be resumed.
        """
        journal = cls(folder, read_head(folder), disk or Disk())
        journal._write(b"\n")  # the last line may be torn
        journal._tail = journal._path.stat().st_size
        return journal

    def record(self, method: str, arguments: tuple[Any, ...]) -> None:
        """Has a call to the run written down."""
        if self._over:
            return
        line = msgspec.json.encode((method, *arguments)) + b"\n"
        self._recorded += 1
        self._tail += len(line)
        self._lines.append(line)
        if (
            not self.disk.do(self._write_lines, len(line))
            or self.disk.stands_still() > GIVE_UP_AFTER
        ):
            self._give_up("its disk stands still")

    @property
    def kept(self) -> float:
        """The number of recorded calls that a resumed run would know.

        It is infinite when the run can't be resumed: then no answer has to wait.
        """
        return inf if self._over else self._written

    async def written(self) -> None:
        """Waits until all recorded calls are written, at most WRITE_TIMEOUT seconds."""
        if self.kept < self._recorded and self.disk.stands_still() < WRITE_TIMEOUT:
            if self._writing is None:
                self._writing = asyncio.ensure_future(self._wait())
            await asyncio.shield(self._writing)

    async def _wait(self) -> None:
        """Waits for all who come within SHARE_WITHIN: a thousand agents post each second."""
        await asyncio.sleep(SHARE_WITHIN)
        self._writing = None  # what is recorded from now on may not be written by then
        await self.disk.done(WRITE_TIMEOUT)

    def _write_lines(self) -> None:
        """Writes the lines that wait, up to the next snapshot, in one piece."""
        lines = []
        while self._lines and (line := self._lines[0]) is not None:
            lines.append(line)
            self._lines.popleft()
        if lines and self._write(b"".join(lines)):
            self._written += len(lines)

    @property
    def is_long(self) -> bool:
        """True when it is time for a snapshot."""
        over = self._over or self.grows
        return not over and self._tail >= max(MAX_TAIL, SNAPSHOT_SHARE * self._snapshot_size)

    def compact(self, state: bytes, mark: Callable[[], Mark]) -> None:
        """Replaces all calls so far by the state that they have led to.

        `mark` is called once everything that was written for them is in the run directory. When
        the new file can't be written, the old one goes on.
        """
        self._tail, self._snapshot_size = 0, len(state)
        self._lines.append(None)
        self.disk.do(lambda: self._replace(state, mark))

    def go_on(self, calls: int) -> None:
        """Counts from a number of calls on: a snapshot stands for them."""
        self._recorded = self._written = calls

    def _replace(self, state: bytes, mark: Callable[[], Mark]) -> None:
        self._write_lines()
        self._lines.popleft()
        if self._file is None:
            return
        half = self.folder / f".{FILE}.new"
        # The old file has all calls until the new one takes its name, in one step.
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            half.unlink(missing_ok=True)
            half.touch(mode=0o600)
            file = Appender(half)
            stack.callback(file.close)
            file.append(msgspec.json.encode(self.head) + b"\n")
            file.append(msgspec.json.encode(RunSnapshot.of(state, *mark())) + b"\n")
            file.lock()
            half.replace(self._path)
            stack.pop_all()
            self._file.close()
            self._file = file

    def _write(self, data: bytes) -> bool:
        """Returns True when the kernel has the data."""
        if self._file is None:
            return False
        try:
            self._file.append(data)
        except OSError as error:
            self._give_up(error.strerror or str(error))
            return False
        return True

    def _give_up(self, reason: str) -> None:
        self.complaint = (
            f"{self._path} can't be written ({reason}); the run can't be resumed if this dies"
        )
        self.end()

    def close(self) -> None:
        """Closes the file, and keeps it."""
        self.disk.do(self._close)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def end(self) -> None:
        """Removes the file: the run is over, or can't be resumed."""
        if not self._over:
            self._over = True
            self.disk.do(self._remove)

    def _remove(self) -> None:
        if self._file is not None:
            self._close()
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


def read_snapshot(folder: Path) -> RunSnapshot | None:
    """Reads the second line of a run's journal; None where it is no snapshot.

    Raises OperatorError when it is damaged.
    """
    with (folder / FILE).open("rb") as file:
        file.readline()
        line = file.readline()
    if not line.startswith(b"{"):
        return None
    try:
        return msgspec.json.decode(line, type=RunSnapshot)
    except msgspec.DecodeError as error:
        raise OperatorError(
            f"--resume {folder}: the second line of {FILE} is damaged: {error}"
        ) from error


def replay(folder: Path, run: Run) -> Iterator[Entry]:
    """Repeats the calls of a journal on a run; yields the seconds that settle.

    The run is new, or in the state of the journal's snapshot.

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
