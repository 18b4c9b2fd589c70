"""What became of the numbers of an agent or worker that is lost: who had been launched comes again, the rest comes yet.

Numbers of a share are launched in ascending order, so two of them say where a share stands: the first that is still
wanted, and the first that had not been launched. Which users had ended is not known one by one; those launched first
are taken for them. So the ledger is exact by count, though not by name.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from loadgen.plan.shares import Share

MOST_TURNS = 256
"""Turns of the pattern by which a lost share is dealt out; more would make shares of shares long."""


class Remains(msgspec.Struct, frozen=True):
    """The numbers of a share from `first` on: those below `below` were launched and are wanted again, others yet."""

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

    def split(self, weights: Sequence[int], total: int) -> list["Remains"]:
        """Parts in proportion to the weights (not negative, not all 0); together they are the whole."""
        return [Remains(share, self.first, self.below) for share in self.share.split(weights, total=total)]


class Adoption(msgspec.Struct, frozen=True):
    """Remains that somebody takes up: from `at` on, in seconds from the start of the run, `pace` numbers a second."""

    remains: Remains
    at: float
    pace: float

    def not_before(self, number: int) -> float:
        """When a number comes at the earliest, in seconds from the start of the run."""
        return self.at + (number - self.remains.first) / self.pace

    def again(self) -> Iterator[tuple[float, int]]:
        """When each of those comes that had been launched, ascending, and its number."""
        remains = self.remains
        return ((self.not_before(number), number) for number in remains.share.numbers(remains.below, remains.first))

    def split(self, weights: Sequence[int], total: int) -> list["Adoption"]:
        """The same for several who share it; all together launch as fast."""
        return [Adoption(part, self.at, self.pace) for part in self.remains.split(weights, total)]


def adopt(remains: Iterable[Remains], at: float, rate: float) -> tuple[Adoption, ...]:
    """Takes remains up at so many launches a second, all of them together."""
    taken = tuple(remains)
    parts = sum(one.share.part for one in taken)
    return tuple(Adoption(one, at, rate / parts) for one in taken if parts)


def left_of(held: Sequence[Remains], launched: int, living: int, total: int) -> list[Remains]:
    """What is left of all that somebody was given, who launched so many of it for the first time.

    `living` is how many users it had, or was about to have again, when it was lost. `total` is the plan's.
    """

    def had_launched(number: int) -> int:
        return sum(max(0, one.share.count(number) - one.share.count(one.below)) for one in held)

    reached = bisect_left(range(total + 1), launched, key=had_launched)
    stands = [Remains(one.share, one.first, max(one.below, min(reached, total))) for one in held]

    def ended(number: int) -> int:
        return -sum(Remains(one.share, max(one.first, number), one.below).again() for one in stands)

    oldest = max(0, bisect_right(range(total + 1), -living, key=ended) - 1)
    left = [Remains(one.share, min(max(one.first, oldest), one.below), one.below) for one in stands]
    return [one for one in left if one.wanted(total)]


def deal(remains: Sequence[Remains], places: Sequence[int], total: int) -> list[list[tuple[int, Remains]]]:
    """Deals remains out to who has so many places free each; the last part is what nobody has a place for.

    Each piece comes with the place of what it is a piece of.
    """
    wanted = sum(one.wanted(total) for one in remains)
    weights = _turns([*places, max(0, wanted - sum(places))])
    parts: list[list[tuple[int, Remains]]] = [[] for _ in weights]
    for place, one in enumerate(remains):
        for part, piece in zip(parts, one.split(weights, total), strict=True):
            if piece.wanted(total):
                part.append((place, piece))
    return parts


def _turns(weights: Sequence[int]) -> list[int]:
    """Turns in proportion to the weights, never more than that; what is over goes to the last with any at all."""
    whole = sum(weights)
    if whole <= MOST_TURNS:
        return list(weights)
    turns = [weight * MOST_TURNS // whole for weight in weights]
    spare = MOST_TURNS - sum(turns)
    place = len(weights) - 1 if weights[-1] else max(range(len(weights)), key=weights.__getitem__)
    turns[place] += spare
    return turns
