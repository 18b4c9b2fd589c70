"""The pace at which a worker closes what it holds: as fast as the machine keeps up, and within a
bound in any case."""

from collections import deque
from collections.abc import Iterable
from math import ceil
from typing import Generic, TypeVar

Item = TypeVar("Item")
MAX_AT_ONCE = 8
"""Connections closed in one turn at the highest pace."""
KEEPS_UP = 1.5
"""A turn that comes after so many times its due distance says that the machine does not keep up."""


class Drain(Generic[Item]):
    """Who is still to be closed, first in line first, and how many of them each turn. Times in
    seconds, monotonic.

    Additive increase, multiplicative decrease, as TCP finds its rate: one more each turn while
    turns come on time, half as many when one comes late. Dozens of workers that share two cores
    find their pace without knowing of each other.
    """

    def __init__(self, items: Iterable[Item], now: float, *, turn: float, within: float) -> None:
        self.began = now
        self._waiting = deque(items)
        self._turn = turn
        self._end = now + within
        self._pace = MAX_AT_ONCE // 2
        self._last = now

    def take(self, now: float) -> list[Item]:
        """Who is to be closed in this turn."""
        late = now - self._last > KEEPS_UP * self._turn
        self._last = now
        self._pace = max(1, self._pace // 2) if late else min(MAX_AT_ONCE, self._pace + 1)
        turns_left = max(1.0, (self._end - now) / self._turn)
        count = min(len(self._waiting), max(self._pace, ceil(len(self._waiting) / turns_left)))
        return [self._waiting.popleft() for _ in range(count)]

    def put_off(self, item: Item) -> None:
        """Not yet: to the end of the line."""
        self._waiting.append(item)
