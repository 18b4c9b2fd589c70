"""What became of the numbers of an agent or worker that is lost: who had been launched comes again,
the rest comes yet.

Numbers of a share are launched in ascending order, so two of them say where a share stands: the
first that is still wanted, and the first that had not been launched. Which users had ended is not
known one by one; those launched first are taken for them. So the ledger is exact by count, though
not by name.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from loadgen.plan.shares import Share

MAX_TURNS = 256
"""Turns of the pattern by which a lost share is dealt out; more would make shares of shares
long."""


class Unfinished(msgspec.Struct, frozen=True):
    """The numbers of a share from `first` on: those below `below` were launched and are wanted
    again, others yet."""

    share: Share
    first: int = 0
    below: int = 0

    def again(self) -> int:
        """How many are to be launched again."""
        return max(0, self.share.count(self.below) - self.share.count(self.first))

    def fresh(self, total: int) -> int:
        """How many, of so many numbers in all, are to be launched for the first time."""
        return self.share.count(total) - self.share.count(self.below)

    def wanted(self, total: int) -> int:
        """How many launches are to come of it."""
        return self.again() + self.fresh(total)

    def split(self, weights: Sequence[int], total: int) -> list["Unfinished"]:
        """Parts in proportion to the weights (not negative, not all 0); together they are the
        whole."""
        return [
            Unfinished(share, self.first, self.below)
            for share in self.share.split(weights, total=total)
        ]


class Reassignment(msgspec.Struct, frozen=True):
    """Remains that somebody takes up: from `at` on, in seconds from the start of the run, `pace`
    numbers a second."""

    unfinished: Unfinished
    at: float
    pace: float

    def not_before(self, number: int) -> float:
        """When a number comes at the earliest, in seconds from the start of the run."""
        return self.at + (number - self.unfinished.first) / self.pace

    def again(self) -> Iterator[tuple[float, int]]:
        """When each of those comes that had been launched, ascending, and its number."""
        unfinished = self.unfinished
        return (
            (self.not_before(number), number)
            for number in unfinished.share.numbers(unfinished.below, unfinished.first)
        )

    def split(self, weights: Sequence[int], total: int) -> list["Reassignment"]:
        """The same for several who share it; all together launch as fast."""
        return [
            Reassignment(part, self.at, self.pace) for part in self.unfinished.split(weights, total)
        ]


def reassign(unfinished: Iterable[Unfinished], at: float, rate: float) -> tuple[Reassignment, ...]:
    """Takes remains up at so many launches a second, all of them together."""
    taken = tuple(unfinished)
    parts = sum(one.share.part for one in taken)
    return tuple(Reassignment(one, at, rate / parts) for one in taken if parts)


def unfinished_of(
    held: Sequence[Unfinished], launched: int, living: int, total: int
) -> list[Unfinished]:
    """What is left of all that somebody was given, who launched so many of it for the first time.

    `living` is how many users it had, or was about to have again, when it was lost. `total` is the
    plan's.
    """

    def had_launched(number: int) -> int:
        return sum(max(0, one.share.count(number) - one.share.count(one.below)) for one in held)

    reached = bisect_left(range(total + 1), launched, key=had_launched)
    stands = [Unfinished(one.share, one.first, max(one.below, min(reached, total))) for one in held]

    def ended(number: int) -> int:
        return -sum(
            Unfinished(one.share, max(one.first, number), one.below).again() for one in stands
        )

    oldest = max(0, bisect_right(range(total + 1), -living, key=ended) - 1)
    left = [
        Unfinished(one.share, min(max(one.first, oldest), one.below), one.below) for one in stands
    ]
    return [one for one in left if one.wanted(total)]


def deal(
    unfinished: Sequence[Unfinished], places: Sequence[int], total: int
) -> list[list[tuple[int, Unfinished]]]:
    """Deals remains out to who has so many places free each; the last part is what nobody has a
    place for.

    Each piece comes with the place of what it is a piece of.
    """
    wanted = sum(one.wanted(total) for one in unfinished)
    weights = _turns([*places, max(0, wanted - sum(places))])
    parts: list[list[tuple[int, Unfinished]]] = [[] for _ in weights]
    for place, one in enumerate(unfinished):
        for part, piece in zip(parts, one.split(weights, total), strict=True):
            if piece.wanted(total):
                part.append((place, piece))
    return parts


def _turns(weights: Sequence[int]) -> list[int]:
    """Turns in proportion to the weights, never more than that; what is over goes to the last
    with any at all."""
    whole = sum(weights)
    if whole <= MAX_TURNS:
        return list(weights)
    turns = [weight * MAX_TURNS // whole for weight in weights]
    spare = MAX_TURNS - sum(turns)
    place = len(weights) - 1 if weights[-1] else max(range(len(weights)), key=weights.__getitem__)
    turns[place] += spare
    return turns
