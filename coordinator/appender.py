"""A file that is written line by line while something goes on."""

import fcntl
import os
from pathlib import Path


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
        """Keeps it for this process alone, as long as that lives; raises BlockingIOError when another one has it."""
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
