"""The pace of a drain: a worker closes as fast as the machine allows."""

from collections import deque
from collections.abc import Iterable
from math import ceil
from typing import Generic, TypeVar

Item = TypeVar("Item")
MAX_AT_ONCE = 32
"""Connections closed in one turn at the highest pace."""
LATE_TURN = 1.5
"""A turn that comes this many times later than due shows that the machine does not keep up."""


class Drain(Generic[Item]):
    """The items still to be closed, in order, and how many of them each turn.

    Additive increase, multiplicative decrease, as TCP finds its rate: one more each turn while
    turns come on time, half as many when one comes late. Dozens of workers that share two cores
    find their pace without knowing of each other. Times are seconds on the monotonic clock.
    """

    def __init__(self, items: Iterable[Item], now: float, *, turn: float, within: float) -> None:
        """`turn` is the seconds between two turns, `within` those of the whole drain."""
        self.began = now
        self._waiting = deque(items)
        self._turn = turn
        self._end = now + within
        self._pace = MAX_AT_ONCE // 2
        self._last = now

    def take(self, now: float) -> list[Item]:
        """Returns the items to be closed in this turn."""
        late = now - self._last > LATE_TURN * self._turn
        self._last = now
        self._pace = max(1, self._pace // 2) if late else min(MAX_AT_ONCE, self._pace + 1)
        turns_left = max(1.0, (self._end - now) / self._turn)
        count = min(len(self._waiting), max(self._pace, ceil(len(self._waiting) / turns_left)))
        return [self._waiting.popleft() for _ in range(count)]

    def put_off(self, item: Item) -> None:
        """Puts an item at the end of the line."""
        self._waiting.append(item)
