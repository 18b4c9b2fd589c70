"""A file that is written line by line while something goes on."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class SecondsFile:
    """The file, and where in it the newest line of each second is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._appender = Appender(path)
        self._places: dict[int, int] = {}

    def append(self, second: int, line: bytes) -> None:
        """Appends the line of a second, which replaces an earlier one; raises OSError when the
        disk is full."""
        self._places[second] = self._appender.append(line)

    def since(self, second: int) -> Iterator[bytes]:
        """The lines of all seconds from this one on, in order, without their ends."""
        places = list(
            self._places.items()
        )  # at once: lines are appended meanwhile, and by another thread
        wanted = sorted(place for place in places if place[0] >= second)
        with self._path.open("rb") as file:
            for _, place in wanted:
                file.seek(place)
                yield file.readline().rstrip()

    def close(self) -> None:
        """Writes no more; what there is can still be read."""
        self._appender.close()


class Appender:
    """A file that lines are appended to; each is in the kernel's hands when `append` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._torn = False

    def append(self, data: bytes) -> int:
        """Appends whole lines, and returns where the first begins.

        Raises OSError when the disk is full, and may be called again all the same.
        """
        size = len(data)
        if self._torn:
            data = b"\n" + data
        self._torn = True
        if self._file.write(data) < len(data):
            raise OSError(28, os.strerror(28))
        self._torn = False
        return self._file.tell() - size

    def lock(self) -> None:
        """Keeps it for this process alone, as long as that lives; raises BlockingIOError when
        another one has it."""
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
