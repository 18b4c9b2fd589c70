"""Timers for many items at once: a wheel, a queue, and equal deadlines.

A timer of the event loop costs 550 bytes and 8 µs; a place in the queue costs 8 bytes and a third
of a microsecond. Times are in seconds, on any one clock.
"""

from collections import deque
from collections.abc import Callable, Iterator
from math import ceil, inf
from typing import Generic, TypeVar

TICK = 0.001
"""Seconds between two slots of the wheel."""
Item = TypeVar("Item")


class Alarm:
    """The time at which a sleeping loop wakes up; anything due earlier moves it."""

    __slots__ = ("_at", "_move")

    def __init__(self, move: Callable[[float], object]) -> None:
        """`move` sets the loop's own timer to a time."""
        self._move = move
        self._at = -inf

    def set(self, time: float) -> None:
        """Takes note that the loop wakes up at a time; -inf while it is awake."""
        self._at = time

    def no_later_than(self, time: float) -> None:
        """Makes the loop wake up at a time, unless it does so earlier."""
        if time < self._at:
            self._at = time
            self._move(time)


class TurnQueue(Generic[Item]):
    """Items that wait equally long each turn; any of them may have gone.

    `due` gives the time at which an item's turn is due, None for an item that has gone.
    """

    __slots__ = ("_due", "_items")

    def __init__(self, due: Callable[[Item], float | None]) -> None:
        self._due = due
        self._items: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def next(self) -> float:
        """Returns the time at which the next turn is due; infinite without one."""
        items = self._items
        while items:
            due = self._due(items[0])
            if due is not None:
                return due
            items.popleft()
        return inf

    def put(self, item: Item) -> None:
        """Adds an item whose turn is due after those of all others."""
        self._items.append(item)

    def take(self, now: float) -> Iterator[tuple[Item, float]]:
        """Removes and yields the items that are due by now, with their due times."""
        items = self._items
        while (due := self.next()) <= now:
            yield items.popleft(), due

    def put_back(self, again: list[Item]) -> None:
        """Adds items that had their turn, in the order of their next turns.

        Subtle: while turns come late, others may have been put behind whose turn is due later. They
        are few, and at the end.
        """
        items = self._items
        first = inf if not again else self._time(again[0])
        later: list[Item] = []
        while items and self._time(items[-1]) > first:
            later.append(items.pop())
        if later:
            again = sorted([*reversed(later), *again], key=self._time)
        items += again

    def _time(self, item: Item) -> float:
        due = self._due(item)
        return inf if due is None else due


class Deadlines(Generic[Item]):
    """Items that all have the same time to finish, in the order in which they began."""

    __slots__ = ("_deadlines", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._deadlines: dict[Item, float] = {}
        """In seconds on the caller's clock."""

    def add(self, item: Item, now: float) -> None:
        """Adds an item that has `seconds` from now on, on the caller's clock."""
        self._deadlines[item] = now + self.seconds

    def remove(self, item: Item) -> None:
        """Removes an item that finished in time; does nothing for one that is not in it."""
        self._deadlines.pop(item, None)

    def expired(self, now: float) -> Iterator[Item]:
        """Removes and yields the items that had to finish by `now`, oldest first."""
        while self._deadlines:
            item, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                return
            del self._deadlines[item]
            yield item

    @property
    def next(self) -> float:
        """The earliest deadline, on the caller's clock; inf without an item."""
        return next(iter(self._deadlines.values()), inf)

    def __len__(self) -> int:
        return len(self._deadlines)

    def __contains__(self, item: Item) -> bool:
        return item in self._deadlines


class Wheel(Generic[Item]):
    """Items by the tick at which they are due.

    Only ticks with items take memory, so that an item may be due at any time to come.
    """

    __slots__ = ("_slots", "_start", "now")

    def __init__(self, start: float = 0.0) -> None:
        """`start` is the time of tick 0."""
        self._slots: dict[int, list[Item]] = {}
        self._start = start
        self.now = 0
        """The tick of the last turn."""

    def due(self, tick: int) -> float:
        """Returns the time at which a tick begins."""
        return self._start + tick * TICK

    def put_at(self, item: Item, time: float) -> float:
        """Places an item at the first tick that is not before a time.

        Returns when that is due.
        """
        tick = max(ceil((time - self._start) / TICK), self.now + 1)
        self.put(item, tick)
        return self.due(tick)

    def put(self, item: Item, tick: int) -> None:
        """Puts an item at a tick, or at the next one if that tick has passed."""
        if tick <= self.now:
            tick = self.now + 1
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = [item]
        else:
            slot.append(item)

    def turn(self, time: float) -> Iterator[tuple[float, list[Item]]]:
        """Removes and yields the items due up to a time, oldest first.

        They come by ticks, each with the time at which it was due.

        Subtle: an item put during the turn goes to a later tick than the one just yielded, so that
        every turn ends.
        """
        tick = int((time - self._start) / TICK)
        while self._slots and self.now < tick:
            self.now += 1
            slot = self._slots.pop(self.now, None)
            if slot is not None:
                yield self.due(self.now), slot
        self.now = max(self.now, tick)

    def next(self, limit: float) -> float:
        """Returns when the next item is due, or the limit if none is due before it."""
        if self._slots:
            for tick in range(self.now + 1, ceil((limit - self._start) / TICK)):
                if tick in self._slots:
                    return self.due(tick)
        return limit

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))
