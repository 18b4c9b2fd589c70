"""One run of a peer against a server of its own, measured from outside."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from tests.compare.usage import kill_tree
from tests.peers.moment import Moment
from tests.peers.neutral import Neutral
from tests.peers.order import Order
from tests.peers.peer import EndedError, Tool
from tests.peers.sockets import Sockets
from tests.peers.tree import cpu_of, mib_of
from tests.processes import Command, environment

EVERY = 0.02
"""Seconds between two looks while connections open."""
WEIGH_EVERY = 0.25
"""Seconds between two readings of the memory, which slow a large process."""
START_TIMEOUT = 30.0
"""Seconds from a peer's start to its first connection."""
STUCK = 4.0
"""Seconds without a new connection after which the rest is given up."""
READ_TIMEOUT = 5.0
"""Seconds in which all messages must be read after the last one is sent."""


class Start(NamedTuple):
    """The cost of a peer before its first connection."""

    cpu_s: float
    mib: float


class Trial:
    """A running peer, and the server that it loads."""

    def __init__(self, running: Command, server: Neutral, asked: int) -> None:
        self._running = running
        self._server = server
        self._asked = asked
        self.ramp: list[Moment] = []
        """Moments while connections opened."""
        self.dialed: Moment | None = None
        """The last moment before the kernel had a connection, to within a look."""
        self.start = Start(0.0, 0.0)
        self._weighed = 0.0

    def moment(self) -> Moment:
        """Returns the present moment; raises EndedError when the peer has ended."""
        if self._running.process.poll() is not None:
            raise EndedError(self._last_words())
        cpu_s = cpu_of(self._running.pid)
        return Moment(time.monotonic(), cpu_s, self._server.counts())

    def mib(self) -> float:
        """Returns the peer's memory."""
        return mib_of(self._running.pid)

    def open_all(self) -> None:
        """Waits until all connections are open, or no more come.

        Raises EndedError when none opens.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while not self._look():
            if not self.ramp and time.monotonic() > deadline:
                raise EndedError(self._last_words())
            time.sleep(EVERY)

    def _look(self) -> bool:
        """Takes a moment; returns true when no more connections can come."""
        now = self.moment()
        if not now.counts.opened:
            self._before_first(now)
            return False
        self.ramp.append(now)
        news = next(seen for seen in self.ramp if seen.counts.opened == now.counts.opened)
        return now.counts.opened >= self._asked or now.at - news.at > STUCK

    def _before_first(self, now: Moment) -> None:
        if not self.dialed or not self.sockets().established:
            self.dialed = now
        fresh = now.at - self._weighed < WEIGH_EVERY
        self._weighed = self._weighed if fresh else now.at
        self.start = Start(now.cpu_s, self.start.mib if fresh else self.mib())

    def during(self, seconds: float) -> tuple[Moment, Moment]:
        """Waits; returns the moments before and after."""
        begin = self.moment()
        time.sleep(seconds)
        return begin, self.moment()

    def receiving(self, messages: int, every_s: float) -> tuple[Moment, Moment]:
        """Has the server send to all connections; returns the moments before and after.

        The later one is when the peer has read everything, or its time is over.
        """
        begin = self.moment()
        self._server.send(messages, round(1000 * every_s))
        asked = messages * begin.counts.open
        deadline = time.monotonic() + messages * every_s + READ_TIMEOUT
        while time.monotonic() < deadline:
            end = self.moment()
            if end.counts.sent - begin.counts.sent >= asked and not self.sockets().unread:
                break
            time.sleep(EVERY)
        return begin, end

    def sockets(self) -> Sockets:
        """Returns what the kernel knows of the peer's connections."""
        return self._server.sockets()

    def opens(self) -> list[float]:
        """Returns the times of all opens, in ms."""
        return self._server.opens()

    def _last_words(self) -> str:
        """The last line that the peer printed."""
        lines = (self._running.out + self._running.err).split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")


@contextmanager
def trial(tool: Tool, order: Order, server: Neutral, pin: Callable[[], None]) -> Iterator[Trial]:
    """A peer that carries out an order; it is killed at the end of the block."""
    with tool.surroundings() as own:
        running = Command(
            list(tool.words(order)),
            cwd=order.folder,
            env=environment() | order.environment | own,
            preexec_fn=pin,
        )
        try:
            yield Trial(running, server, order.connections)
        finally:
            if running.process.poll() is None:
                kill_tree(running.pid)
            running.close()


def pinned(core: int) -> Callable[[], None]:
    """Returns a function that keeps a new process on one core."""
    return partial(os.sched_setaffinity, 0, {core})
