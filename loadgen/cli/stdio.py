"""Standard input, output and error that a command can rely on.

They are always open, and writing to them never fails, not even when no process reads them. A
command that serves others meanwhile never waits for a reader either.
"""

import errno
import io
import os
import select
import sys
from contextlib import suppress
from threading import Condition, Thread
from time import monotonic
from typing import Any

from loadgen.cli.unread import Unread

LAST_TIMEOUT = 5.0
"""Seconds that the last output of a command waits for a reader."""


class Outlet(io.FileIO):
    """A descriptor whose reader may close it, or stop to read.

    After its first failure, output is discarded. Once `decouple` was called a thread writes, so
    that a stopped terminal or a full pipe stops that thread alone.
    """

    failure: OSError | None = None
    """Why some output was not written; a reader that has closed (`| head`) is no failure."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._unread: Unread | None = None
        self._changed = Condition()
        self._writing = False
        """True while the thread writes a chunk."""
        self._given_up = False

    def write(self, data: Any) -> int:
        """Writes data, or discards it and counts it as written."""
        if self._unread is None:
            return self._write(data)
        with self._changed:
            self._unread.add(bytes(data))
            self._changed.notify_all()
        return len(data)

    def _write(self, data: Any) -> int:
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

    def decouple(self) -> None:
        """Lets a thread write from now on.

        A process that is forked from this one has no such thread, and writes by itself.
        """
        if self._unread is None:
            self._unread = Unread()
            os.register_at_fork(after_in_child=self._couple)
            Thread(target=self._write_on, args=(self._unread,), daemon=True).start()

    def _couple(self) -> None:
        """Lets the caller write again."""
        self._unread = None

    def _write_on(self, unread: Unread) -> None:
        """Writes what is added, in order, as long as the process lives."""
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: len(unread))
                self._writing = True
                chunk = memoryview(unread.take())
            while chunk:
                # None where the descriptor does not block, and is full.
                written: int | None = self._write(chunk)
                if written is None:
                    select.select([], [self], [])
                else:
                    chunk = chunk[written:]

    def finish(self, timeout: float) -> None:
        """Waits up to `timeout` seconds until all is written."""
        unread = self._unread
        if unread is None or self._given_up:
            return
        with self._changed:
            if self._changed.wait_for(lambda: not (unread or self._writing), timeout):
                self._couple()
            else:
                self._given_up = True


def decouple() -> None:
    """Lets no output stop the caller from now on; too old output is dropped."""
    for outlet in _outlets():
        outlet.decouple()


def finish() -> None:
    """Writes the output of a command that ends, as far as its readers take it."""
    deadline = monotonic() + LAST_TIMEOUT
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError):  # closed
            stream.flush()
    for outlet in _outlets():
        outlet.finish(max(0.0, deadline - monotonic()))


def _outlets() -> list[Outlet]:
    """Returns those of standard output and error; none in a test."""
    buffers = [getattr(stream, "buffer", None) for stream in (sys.stdout, sys.stderr)]
    raws = [getattr(buffer, "raw", None) for buffer in buffers]
    return [raw for raw in raws if isinstance(raw, Outlet)]


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
