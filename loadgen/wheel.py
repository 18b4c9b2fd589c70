"""A timing wheel: put an item some ticks ahead, turn it, get what is due.

A timer of the event loop costs 550 bytes and 8 µs; a place on the wheel costs 8 bytes and a third of a microsecond.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Wheel(Generic[Item]):
    """Items by the tick at which they are due; only ticks that hold something take memory, so there is no horizon."""

    __slots__ = ("_slots", "now")

    def __init__(self) -> None:
        self._slots: dict[int, list[Item]] = {}
        self.now = 0
        """The last tick that was turned to."""

    def put(self, item: Item, tick: int) -> None:
        """Places an item at a tick; one that has passed already is due at the next turn."""
        if tick <= self.now:
            tick = self.now + 1
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = [item]
        else:
            slot.append(item)

    def put_all(self, items: list[Item], tick: int) -> None:
        """Places several items at one tick; the list is the wheel's from then on."""
        tick = max(tick, self.now + 1)
        slot = self._slots.get(tick)
        if slot is not None:
            slot += items
        elif items:
            self._slots[tick] = items

    def turn(self, tick: int) -> Iterator[tuple[int, list[Item]]]:
        """The slots due up to and including this tick, oldest first, each with its tick.

        What is put while turning goes to a later tick than the one being handed out, so turning always ends.
        """
        while self.now < tick:
            self.now += 1
            slot = self._slots.pop(self.now, None)
            if slot is not None:
                yield self.now, slot

    def next(self, limit: int) -> int:
        """The first tick to come that holds something, or the limit if none does before."""
        tick = self.now + 1
        while tick < limit and tick not in self._slots:
            tick += 1
        return tick

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))
