"""The target's own count of what happened to its connections: one row of shared cells per worker.

Made before the fork, in memory that all workers share, so that any of them can tell the whole at
once.
"""

import mmap
import multiprocessing

OPENED, CLOSED, PINGS, RECEIVED, SENT, REFUSED, PINGED = range(7)
"""The cells of a row: 101s sent, opened ones that ended, pings in, data messages in and out,
connections refused, connections that sent a ping at all."""
_CELLS = 8
"""Cells in a row: 64 bytes, a cache line, so that no two workers write to the same one."""


class WorkerCounters:
    """One worker's own row of the ledger, and its gate to the limit that all workers share."""

    __slots__ = ("_held", "_limit", "_lock", "_most", "cells")

    def __init__(self, counters: "Counters", number: int) -> None:
        self.cells = counters.row(number)
        """64-bit counters; only this worker writes them."""
        self._held = counters.held
        self._limit = counters.limit
        self._lock = counters.lock
        self._most = counters.most_per_worker

    def admit(self) -> bool:
        """Takes a place for one more connection; False, and counted as refused, when there is
        none."""
        if self.cells[OPENED] - self.cells[CLOSED] < self._most:
            with self._lock:
                if self._held[0] < self._limit:
                    self._held[0] += 1
                    self.cells[OPENED] += 1
                    return True
        self.cells[REFUSED] += 1
        return False

    def release(self) -> None:
        """Gives the place of a connection that ended back."""
        with self._lock:
            self._held[0] -= 1
        self.cells[CLOSED] += 1


class Counters:
    """The rows of all workers, and how many connections they hold together."""

    def __init__(self, workers: int, limit: int, most_per_worker: int) -> None:
        self.limit = limit
        """How many connections may be open over all workers."""
        self.most_per_worker = most_per_worker
        """How many one worker can hold, for want of file descriptors."""
        # The fork context leaves the semaphore without a name, and so with nothing to tidy up.
        self.lock = multiprocessing.get_context("fork").Lock()
        cells = memoryview(mmap.mmap(-1, _CELLS * 8 * (workers + 1))).cast("q")
        self.held = cells[:1]
        """The count that the limit is held against; written under the lock alone."""
        self._rows = [cells[_CELLS * n : _CELLS * (n + 1)] for n in range(1, workers + 1)]

    def row(self, number: int) -> "memoryview[int]":
        """One worker's cells."""
        return self._rows[number]

    def total(self, cell: int) -> int:
        """One cell summed over all workers."""
        return sum(row[cell] for row in self._rows)

    def stats(self) -> dict[str, int]:
        """What has happened so far over all workers, by the names of GET /stats."""
        # Read in this order, since the others count on meanwhile: a connection never seems closed
        # before it was opened.
        closed = self.total(CLOSED)
        opened = self.total(OPENED)
        sent = self.total(SENT)
        return {
            "open": opened - closed,
            "opened": opened,
            "closed": closed,
            "pings": self.total(PINGS),
            "pinged": self.total(PINGED),
            "messages": sent,
            "refused": self.total(REFUSED),
            "messages_received": self.total(RECEIVED),
            "messages_sent": sent,
        }
