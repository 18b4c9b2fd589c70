"""The target's own counters: one row of shared cells per worker.

They are made before the fork, in memory that all workers share, so that any worker can add up all
of them.
"""

import mmap
import multiprocessing

OPENED, CLOSED, PINGS, RECEIVED, SENT, REFUSED, PINGED = range(7)
"""The cells of a row: 101s sent, opened ones that ended, pings in, data messages in and out,
connections refused, connections that sent a ping at all."""
_CELLS = 8
"""Cells in a row: 64 bytes, a cache line, so that no two workers write to the same one."""


class WorkerCounters:
    """One worker's row of counters, and its access to the common limit."""

    __slots__ = ("_held", "_limit", "_lock", "_max_per_worker", "cells")

    def __init__(self, counters: "Counters", number: int) -> None:
        self.cells = counters.row(number)
        """64-bit counters; only this worker writes them."""
        self._held = counters.held
        self._limit = counters.limit
        self._lock = counters.lock
        self._max_per_worker = counters.max_per_worker

    def admit(self) -> bool:
        """Takes a place for one more connection.

        Without one, counts it as refused and returns False.
        """
        if self.cells[OPENED] - self.cells[CLOSED] < self._max_per_worker:
            with self._lock:
                if self._held[0] < self._limit:
                    self._held[0] += 1
                    self.cells[OPENED] += 1
                    return True
        self.cells[REFUSED] += 1
        return False

    def release(self) -> None:
        """Gives back the place of a connection that ended."""
        with self._lock:
            self._held[0] -= 1
        self.cells[CLOSED] += 1


class Counters:
    """The rows of all workers, and how many connections they hold together."""

    def __init__(self, workers: int, limit: int, max_per_worker: int) -> None:
        self.limit = limit
        """The connections that may be open over all workers."""
        self.max_per_worker = max_per_worker
        """The connections that the file descriptors of one worker allow."""
        # A lock of the fork context has no name, so that nothing has to be removed in the end.
        self.lock = multiprocessing.get_context("fork").Lock()
        cells = memoryview(mmap.mmap(-1, _CELLS * 8 * (workers + 1))).cast("q")
        self.held = cells[:1]
        """The count that is compared with the limit; written under the lock only."""
        self.running = cells[1:2]
        """The number of workers that have started; only their parent writes it."""
        self._rows = [cells[_CELLS * n : _CELLS * (n + 1)] for n in range(1, workers + 1)]

    def row(self, number: int) -> "memoryview[int]":
        """Returns the cells of one worker."""
        return self._rows[number]

    def total(self, cell: int) -> int:
        """Returns one cell summed over all workers."""
        return sum(row[cell] for row in self._rows)

    def stats(self) -> dict[str, int]:
        """Returns the counts so far over all workers, by the names of GET /stats."""
        # Subtle: other workers go on counting meanwhile. In this order a connection is never seen
        # as closed before it is seen as opened.
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
