"""Standard input, output and error that a command can rely on.

They are always open, and writing to them never fails, not even when no process reads them.
"""

import errno
import io
import os
import sys
from typing import Any


class Outlet(io.FileIO):
    """A descriptor whose reader may close it.

    After its first failure, output is discarded.
    """

    failure: OSError | None = None
    """Why some output was not written; a reader that has closed (`| head`) is no failure."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, data: Any) -> int:
        """Writes data, or discards it and counts it as written."""
        try:
            return super().write(data)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # EIO: the terminal is gone
                self.failure = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def settle() -> Outlet | None:
    """Opens closed descriptors and replaces output and error.

    Returns the Outlet of the output.

    Returns None when the output is no descriptor, as in a test. Characters that an encoding lacks
    become question marks: a table with one of them is better than none.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        # closed (`>&-`): the next socket would get its number, and libuv aborts on that
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # open as long as the program runs
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(Outlet(2), sys.stderr)
    if sys.stdout is not sys.__stdout__:  # in a test
        return None
    outlet = Outlet(1)
    sys.stdout = _text(outlet, sys.stdout)
    return outlet


def _text(outlet: Outlet, before: Any) -> io.TextIOWrapper:
    encoding = before.encoding if before else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding,
        errors="replace",
        line_buffering=outlet.isatty() or outlet.fileno() == 2,
    )
