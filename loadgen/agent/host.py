"""The state of an agent's host in each second of a run."""

from collections.abc import Callable
from math import floor

from loadgen.machine.host import HostState, Reading, state_between

MAX_KEPT = 600
"""Seconds whose states are kept until their workers have reported them."""


class HostSeconds:
    """Reads the counters of the host at the end of each second.

    Times are seconds on the monotonic clock.
    """

    def __init__(self, read: Callable[[], Reading], start: float, now: float) -> None:
        """`start` is when second 0 begins."""
        self._read = read
        self._start = start
        self._next = floor(now - start)
        """The first second without a state; below 0 before the start."""
        self._last = read()
        self._states: dict[int, HostState] = {}

    @property
    def next_look(self) -> float:
        """The time at which the next state is complete."""
        return self._start + self._next + 1

    def move(self, by: float) -> None:
        """Moves second 0 by some seconds; states that are known keep their numbers."""
        self._start += by

    def look(self, now: float) -> None:
        """Reads the host when a second is over.

        A look that comes late gives the same state to every second that it covers.
        """
        over = floor(now - self._start)
        if over <= self._next:
            return
        reading = self._read()
        state = state_between(self._last, reading)
        begin = max(0, self._next, over - MAX_KEPT)
        self._states |= dict.fromkeys(range(begin, over), state)
        self._last, self._next = reading, over
        for old in list(self._states)[:-MAX_KEPT]:
            del self._states[old]

    def take(self, second: int, now: float) -> HostState | None:
        """Takes out the state in a second; None when it is not known."""
        self.look(now)
        return self._states.pop(second, None)
