"""Files that grow line by line while a run goes on."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class SecondsFile:
    """A file with a line for each second, of which the newest can be read back."""

    def __init__(self, path: Path) -> None:
        self._appender = Appender(path)
        self.places: dict[int, int] = {}
        """Where in the file the newest line of each second begins."""

    def append(self, second: int, line: bytes) -> None:
        """Appends the line of a second, which replaces an earlier one.

        Raises OSError when the disk is full.
        """
        self.places[second] = self._appender.append(line)

    def since(self, second: int) -> Iterator[bytes]:
        """Yields the lines of all seconds from this one on, in order, without line ends."""
        # One call makes the copy: lines are appended meanwhile, by another thread.
        places = list(self.places.items())
        wanted = sorted(place for place in places if place[0] >= second)
        with open(self._appender.readable, "rb") as file:
            for _, place in wanted:
                file.seek(place)
                yield file.readline().rstrip()

    def close(self) -> None:
        """Closes the file for writing; its lines can still be read."""
        self._appender.close()


class Appender:
    """A file that lines are appended to; `append` returns when the kernel has them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._torn = False
        """True when the last line may be written in part."""

    def append(self, data: bytes) -> int:
        """Appends whole lines, and returns where in the file the first one begins.

        Raises OSError when the disk is full. It may be called again after that: a torn line gets
        its line end first.
        """
        size = len(data)
        if self._torn:
            data = b"\n" + data
        self._torn = True
        if self._file.write(data) < len(data):
            raise OSError(28, os.strerror(28))
        self._torn = False
        return self._file.tell() - size

    @property
    def readable(self) -> Path:
        """The path by which its lines can be read.

        It leads to the open file, also when that was removed: proc_pid_fd(5).
        """
        return self._path if self._file.closed else Path(f"/proc/self/fd/{self._file.fileno()}")

    def lock(self) -> None:
        """Locks the file for this process, as long as that lives: flock(2).

        Raises BlockingIOError when another process has the lock.
        """
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
