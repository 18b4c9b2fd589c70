"""Standard input, output and error as a command may rely on: always there, and no end of it
where nobody reads them."""

import errno
import io
import os
import sys
from typing import Any


class Outlet(io.FileIO):
    """A descriptor that others may close or fill: from its first failure on, what is written to
    it goes nowhere."""

    failure: OSError | None = None
    """Why not all of it was written; that nobody reads any more (`| head`) is no failure."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, data: Any) -> int:
        """Writes, or takes it for written."""
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
    """Opens what was closed, and puts outlets behind output and error; gives that of the output, if
    it is a descriptor.

    Signs that an encoding lacks become question marks: a table with a dash is better than none.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        # closed (`>&-`): else the next socket gets its number, and libuv ends a program for that
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # for as long as the program lives
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(Outlet(2), sys.stderr)
    if sys.stdout is not sys.__stdout__:  # a test's
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
