"""Pure arithmetic of the schedule: when connection k is due, and which shares of all the numbers
add up exactly.

A connection is a number k. It is due at its place in the schedule, whatever the size of the fleet:
the same seed gives the same arrivals with one agent or with sixteen.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import gcd
from typing import Annotated

import msgspec

MAX_RUN_LENGTH = 8
"""Consecutive numbers that go to the same worker at most.

Whoever is woken for each connection by itself pays as much for the waking: at 31 arrivals a second
and worker, runs of eight halved the CPU of 64 workers and their target, and at the reference rate
the eight are due within 4 ms.
"""
MAX_TURNS = 1024
"""The longest pattern a split may have; weights that do not reduce to so few are rounded, never
their total."""


class Share(msgspec.Struct, frozen=True):
    """Some of the numbers 0, 1, 2…: those whose remainder by `length` is one of the ascending
    `positions`.

    A share splits into shares again; the parts are disjoint and together are the whole, to the last
    number.
    """

    length: Annotated[int, msgspec.Meta(ge=1)] = 1
    positions: tuple[int, ...] = (0,)

    def numbers(self, total: int, first: int = 0) -> Iterator[int]:
        """This share of the numbers from `first` on and below `total`, ascending."""
        for base in range(first - first % self.length, total, self.length):
            for position in self.positions:
                number = base + position
                if number >= total:
                    return
                if number >= first:
                    yield number

    def count(self, total: int) -> int:
        """How many of the numbers below `total` belong to this share."""
        rounds, rest = divmod(total, self.length)
        return rounds * len(self.positions) + bisect_left(self.positions, rest)

    @property
    def part(self) -> float:
        """What fraction of all numbers belongs to this share."""
        return len(self.positions) / self.length

    @property
    def run(self) -> int:
        """How many consecutive numbers it begins with."""
        return next(
            (run for run, (at, next_) in enumerate(pairwise(self.positions), 1) if next_ > at + 1),
            len(self.positions),
        )

    def split(
        self, weights: Sequence[int], run: int = 1, total: int | None = None
    ) -> list["Share"]:
        """Parts in proportion to the weights (not negative, not all 0), interleaved as evenly as
        they go.

        Each turn takes `run` numbers of this share in a row. With a `total` no numbers from that on
        are looked at: shares of shares of shares then never have more positions than numbers.
        """
        pattern = [index for index in interleave(weights) for _ in range(run)]
        turns = len(pattern) if total is None else min(len(pattern), -(-total // self.length))
        mine: list[list[int]] = [[] for _ in weights]
        for turn in range(turns):
            for place, position in enumerate(self.positions):
                number, index = turn * self.length + position, turn * len(self.positions) + place
                if total is None or number < total:
                    mine[pattern[index % len(pattern)]].append(number)
        return [Share(self.length * len(pattern), tuple(positions)) for positions in mine]


NOBODY = Share(1, ())
"""No numbers at all."""


def run_that_fits(total: int, weights: Sequence[int], most: int = MAX_RUN_LENGTH) -> int:
    """The longest run, up to `most`, with which a split of so many numbers gives parts as even
    as single turns do."""
    turns = sum(_reduce(weights))
    return max((run for run in range(1, most + 1) if total % (run * turns) == 0), default=1)


def interleave(weights: Sequence[int]) -> list[int]:
    """A repeating order of turns in which index i comes up in proportion to weights[i], never
    bunched.

    Smooth weighted round robin: at each turn everyone gains its weight, the richest goes and pays
    the total.
    """
    turns = _reduce(weights)
    total, credit, order = sum(turns), [0] * len(turns), []
    for _ in range(total):
        credit = [have + gain for have, gain in zip(credit, turns, strict=True)]
        richest = max(range(len(turns)), key=credit.__getitem__)
        credit[richest] -= total
        order.append(richest)
    return order


def _reduce(weights: Sequence[int]) -> list[int]:
    if not weights or min(weights) < 0 or not any(weights):
        raise ValueError(f"weights must be positive whole numbers: {weights!r}")
    divisor = gcd(*weights)
    turns = [weight // divisor for weight in weights]
    if sum(turns) > MAX_TURNS:
        scale = MAX_TURNS / sum(turns)
        turns = [max(1, round(turn * scale)) if turn else 0 for turn in turns]
    return turns
