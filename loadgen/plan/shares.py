"""Shares of the numbers of a run: disjoint, interleaved, and exact in sum.

A user is a number k. It is due at its place in the schedule, whatever the size of the fleet: the
same seed gives the same arrivals with one agent or with sixteen.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import gcd
from typing import Annotated

import msgspec

SHORT_RUN = 8
"""Consecutive numbers that go to the same worker at most, at a low rate.

A worker that wakes up for each connection singly pays as much for waking up: at 31 arrivals a
second and worker, runs of eight halved the CPU of 64 workers and their target.
"""
LONG_RUN = 25
"""The same at a high rate: at 5,000 arrivals a second 64 workers and their target on two cores took
two thirds of the CPU that runs of five took. Pings and answers come in the runs, too."""
RUN_SECONDS = 0.0125
"""The time within which a run longer than SHORT_RUN is due; at the reference rate 25 users are."""
MAX_TURNS = 1024
"""The longest pattern of a split; weights that do not reduce to so few turns are rounded, but the
parts still add up to the whole."""


class Share(msgspec.Struct, frozen=True):
    """The numbers whose remainder by `length` is one of the ascending `positions`.

    The numbers are those of users: 0, 1, 2… A share splits into shares again; the parts are
    disjoint and together are the whole, to the last number.
    """

    length: Annotated[int, msgspec.Meta(ge=1)] = 1
    positions: tuple[int, ...] = (0,)

    def numbers(self, total: int, first: int = 0) -> Iterator[int]:
        """Yields the numbers of this share from `first` on and below `total`, ascending."""
        for base in range(first - first % self.length, total, self.length):
            for position in self.positions:
                number = base + position
                if number >= total:
                    return
                if number >= first:
                    yield number

    def count(self, total: int) -> int:
        """Returns how many of the numbers below `total` belong to this share."""
        rounds, rest = divmod(total, self.length)
        return rounds * len(self.positions) + bisect_left(self.positions, rest)

    @property
    def part(self) -> float:
        """The fraction of all numbers that belongs to this share."""
        return len(self.positions) / self.length

    @property
    def place(self) -> float:
        """The place of its first number in the pattern, from 0 to 1; 0 without numbers."""
        return self.positions[0] / self.length if self.positions else 0.0

    @property
    def run(self) -> int:
        """The number of consecutive numbers that it begins with."""
        return next(
            (run for run, (at, next_) in enumerate(pairwise(self.positions), 1) if next_ > at + 1),
            len(self.positions),
        )

    def split(
        self, weights: Sequence[int], run: int = 1, total: int | None = None
    ) -> list["Share"]:
        """Returns parts in proportion to the weights, interleaved as evenly as possible.

        The weights are not negative and not all 0. Each turn takes `run` numbers of this share in a
        row. With a `total`, numbers from that on are left out: shares of shares of shares then
        never have more positions than numbers.
        """
        pattern = [index for index in interleave(weights) for _ in range(run)]
        turns = len(pattern) if total is None else min(len(pattern), -(-total // self.length))
        parts: list[list[int]] = [[] for _ in weights]
        for turn in range(turns):
            for place, position in enumerate(self.positions):
                number = turn * self.length + position
                index = turn * len(self.positions) + place
                if total is None or number < total:
                    parts[pattern[index % len(pattern)]].append(number)
        return [Share(self.length * len(pattern), tuple(positions)) for positions in parts]


NO_SHARE = Share(1, ())
"""The share without numbers."""


def longest_run(rate: float) -> int:
    """Returns the consecutive numbers that go to the same worker at most.

    `rate` is the highest of the run, in arrivals a second.
    """
    return max(SHORT_RUN, min(LONG_RUN, int(rate * RUN_SECONDS)))


def run_that_fits(total: int, weights: Sequence[int], max_run: int = LONG_RUN) -> int:
    """Returns the longest run with which a split is as even as with runs of 1.

    `total` is the count of numbers.

    Subtle: a pattern of runs is `run` times as long as the pattern of single turns. The parts of
    a split differ by whole runs wherever the total ends inside of a pattern, so a longer run is
    taken only when the total is a multiple of the longer pattern.
    """
    turns = sum(_reduce(weights))
    fitting = (run for run in range(1, max_run + 1) if total % (run * turns) == 0)
    return max(fitting, default=1)


def interleave(weights: Sequence[int]) -> list[int]:
    """Returns a repeating order in which index i occurs in proportion to weights[i].

    Subtle: taking the indexes one after another would give each part its turns in a bunch, and its
    worker its arrivals in bursts. Smooth weighted round robin (as nginx balances servers) spreads
    them: at each turn every index gains its weight as credit, and the index with the most credit
    takes the turn and pays the sum of all weights. The credits add up to 0 after each turn, and
    all of them are 0 again after a whole pattern, so that it repeats.
    """
    turns = _reduce(weights)
    total = sum(turns)
    credit = [0] * len(turns)
    order = []
    for _ in range(total):
        credit = [have + gain for have, gain in zip(credit, turns, strict=True)]
        richest = max(range(len(turns)), key=credit.__getitem__)
        credit[richest] -= total
        order.append(richest)
    return order


def _reduce(weights: Sequence[int]) -> list[int]:
    """Returns the smallest turns by the weights, rounded to at most MAX_TURNS."""
    if not weights or min(weights) < 0 or not any(weights):
        raise ValueError(f"weights must be whole numbers, none negative, not all 0: {weights!r}")
    divisor = gcd(*weights)
    turns = [weight // divisor for weight in weights]
    if sum(turns) > MAX_TURNS:
        scale = MAX_TURNS / sum(turns)
        turns = [max(1, round(turn * scale)) if turn else 0 for turn in turns]
    return turns
