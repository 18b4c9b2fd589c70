"""The disk of a run directory, behind one thread.

When the disk stands still, only that thread does.
"""

import asyncio
from collections.abc import Callable
from math import inf
from queue import SimpleQueue
from threading import Thread
from time import monotonic

MAX_WAITING = 64 << 20
"""Bytes that wait to be written at most: minutes of a fleet of 16 agents."""


class Disk:
    """Does what has to be written, in order: at once, or in a thread after `start`.

    What is passed to it handles its own OSErrors.
    """

    def __init__(self, most: int = MAX_WAITING) -> None:
        self._most = most
        self._jobs: SimpleQueue[tuple[int, Callable[[], None]] | None] = SimpleQueue()
        self._started = False
        # Each of these is changed by one thread only, so that none needs a lock.
        self._put = 0
        """The bytes of everything that was put into the queue."""
        self._done = 0
        """The bytes of everything that was done."""
        self._busy_since = inf
        """When the thread began its present job, on the monotonic clock; infinite without one."""
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Lets a thread write from now on. It never keeps the process from ending."""
        self._started = True
        Thread(target=self._work, daemon=True).start()

    def stop(self) -> None:
        """Ends the thread, after all jobs so far; later ones are done at once."""
        if self._started:
            self._started = False
            self._jobs.put(None)

    def do(self, job: Callable[[], None], size: int = 0) -> bool:
        """Does a job that writes `size` bytes.

        Returns False, without doing it, when too much waits already; a job of 0 bytes always fits.
        Raises what an earlier job has raised.
        """
        if self._failure is not None:
            raise self._failure
        if not self._started:
            job()
            return True
        if size and self._put - self._done + size > self._most:
            return False
        self._put += size
        self._jobs.put((size, job))
        return True

    def stands_still(self) -> float:
        """Returns for how many seconds the thread has been at the same job."""
        return max(0.0, monotonic() - self._busy_since)

    async def done(self, within: float) -> bool:
        """Waits up to `within` seconds until all jobs so far are done.

        Returns True when they are.
        """
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def tell() -> None:
            # The loop may be closed by the time that the disk goes on.
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

        self.do(tell)
        try:
            await asyncio.wait_for(done.wait(), within)
        except TimeoutError:
            return False
        return True

    def _work(self) -> None:
        while (entry := self._jobs.get()) is not None:
            size, job = entry
            self._busy_since = monotonic()
            try:
                job()
            except BaseException as error:  # a bug: `do` raises it
                self._failure = error
            self._busy_since = inf
            self._done += size
