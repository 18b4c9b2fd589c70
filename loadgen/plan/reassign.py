"""The unfinished numbers of a lost agent or worker, and their reassignment.

Numbers of a share are launched in ascending order, so two numbers say where a share stands: the
first that is still wanted, and the first that had not been launched. Which users had ended is not
known one by one; those launched first are taken for them. So the ledger is exact by count, though
not by name.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import msgspec

from loadgen.plan.shares import Share

MAX_DEAL = 256
"""Turns of the pattern by which an unfinished share is dealt; more would make shares of shares
long."""


class Unfinished(msgspec.Struct, frozen=True):
    """The numbers of a share from `first` on that are still wanted.

    Those below `below` were launched and are launched again, the others for the first time.
    """

    share: Share
    first: Annotated[int, msgspec.Meta(ge=0)] = 0
    below: Annotated[int, msgspec.Meta(ge=0)] = 0

    def again(self) -> int:
        """Returns how many numbers are launched again."""
        return max(0, self.share.count(self.below) - self.share.count(self.first))

    def fresh(self, total: int) -> int:
        """Returns how many, of `total` numbers in all, are launched for the first time."""
        return max(0, self.share.count(total) - self.share.count(self.below))

    def wanted(self, total: int) -> int:
        """Returns how many launches it takes, of `total` numbers in all."""
        return self.again() + self.fresh(total)

    def split(self, weights: Sequence[int], total: int) -> list["Unfinished"]:
        """Returns parts in proportion to the weights; together they are the whole.

        The weights are not negative and not all 0.
        """
        return [
            Unfinished(share, self.first, self.below)
            for share in self.share.split(weights, total=total)
        ]


class Reassignment(msgspec.Struct, frozen=True):
    """An unfinished share that another agent or worker launches, and when.

    It begins at `at`, in seconds from the start of the run, with `pace` numbers a second.
    """

    unfinished: Unfinished
    at: float
    pace: Annotated[float, msgspec.Meta(gt=0)]

    def not_before(self, number: int) -> float:
        """Returns the earliest launch of a number, in seconds from the run's start."""
        return self.at + (number - self.unfinished.first) / self.pace

    def again(self) -> Iterator[tuple[float, int]]:
        """Yields the time (see `not_before`) and the number of each relaunch, ascending."""
        unfinished = self.unfinished
        return (
            (self.not_before(number), number)
            for number in unfinished.share.numbers(unfinished.below, unfinished.first)
        )

    def split(self, weights: Sequence[int], total: int) -> list["Reassignment"]:
        """Returns parts in proportion to the weights, which together launch as fast."""
        return [
            Reassignment(part, self.at, self.pace) for part in self.unfinished.split(weights, total)
        ]


def reassign(unfinished: Iterable[Unfinished], at: float, rate: float) -> tuple[Reassignment, ...]:
    """Returns reassignments that together launch `rate` numbers a second.

    They begin at `at`, in seconds from the start of the run.
    """
    taken = tuple(unfinished)
    parts = sum(piece.share.part for piece in taken)
    return tuple(Reassignment(piece, at, rate / parts) for piece in taken if parts)


def unfinished_of(
    held: Sequence[Unfinished], launched: int, living: int, total: int
) -> list[Unfinished]:
    """Returns what a lost agent or worker leaves unfinished of all that it held.

    It had launched `launched` of its numbers for the first time. When it was lost, `living` users
    were alive or about to come back. `total` is the plan's.

    Subtle: it reports counts, not numbers, so both bounds of what it leaves are found by bisection
    over the numbers of the whole plan.

    - `reached` is the smallest number below which it had launched that many for the first time.
      All its pieces have been launched up to there, since it launches in ascending order over all
      of them.
    - `oldest` is the largest number from which on at least `living` of the launched numbers lie.
      The launched numbers below it are taken for the users that had ended. Which users those were
      is not known, only their number.

    Several numbers may satisfy either condition, since pieces have gaps between their numbers;
    each count is the same for all of them.
    """

    def launched_below(number: int) -> int:
        return sum(
            max(0, piece.share.count(number) - piece.share.count(piece.below)) for piece in held
        )

    reached = min(bisect_left(range(total + 1), launched, key=launched_below), total)
    pieces = [Unfinished(piece.share, piece.first, max(piece.below, reached)) for piece in held]

    def minus_living_from(number: int) -> int:
        """The negative count, since bisection needs an ascending one."""
        return -sum(
            Unfinished(piece.share, max(piece.first, number), piece.below).again()
            for piece in pieces
        )

    oldest = max(0, bisect_right(range(total + 1), -living, key=minus_living_from) - 1)
    left = [
        Unfinished(piece.share, min(max(piece.first, oldest), piece.below), piece.below)
        for piece in pieces
    ]
    return [piece for piece in left if piece.wanted(total)]


def deal(
    unfinished: Sequence[Unfinished], places: Sequence[int], total: int
) -> list[list[tuple[int, Unfinished]]]:
    """Deals what is unfinished to agents or workers by the free places that each has.

    Returns one list for each of them, and a last one for what finds no place. Each piece comes
    with its index in `unfinished`.
    """
    wanted = sum(piece.wanted(total) for piece in unfinished)
    weights = _turns([*places, max(0, wanted - sum(places))])
    parts: list[list[tuple[int, Unfinished]]] = [[] for _ in weights]
    for index, whole in enumerate(unfinished):
        for part, piece in zip(parts, whole.split(weights, total), strict=True):
            if piece.wanted(total):
                part.append((index, piece))
    return parts


def _turns(weights: Sequence[int]) -> list[int]:
    """Returns turns in proportion to the weights.

    They are at most MAX_DEAL, and none is a whole turn more than its due.

    The turns that rounding leaves over go to the last weight or, when that is 0, one each to those
    that rounding took most from.
    """
    whole = sum(weights)
    if whole <= MAX_DEAL:
        return list(weights)
    turns = [weight * MAX_DEAL // whole for weight in weights]
    spare = MAX_DEAL - sum(turns)
    if weights[-1]:
        turns[-1] += spare
        return turns
    lost = [weight * MAX_DEAL % whole for weight in weights]
    for place in sorted(range(len(weights)), key=lost.__getitem__, reverse=True)[:spare]:
        turns[place] += 1
    return turns
