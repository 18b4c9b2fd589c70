"""The arrivals of one phase: which numbers come in it, and when each of them is due."""

from collections.abc import Callable, Iterator
from math import sqrt
from random import Random

import msgspec

from loadgen.arrivals import Share, Span
from loadgen.phases import Phase


class Stretch(msgspec.Struct, frozen=True):
    """Numbers in a row that arrive in one phase. Times are seconds from the opening of its gate.

    What has arrived after t seconds is the rate's integral up to t; its inverse says when number k is due.
    """

    gate: int
    begin: float
    first: int
    """The number of its first connection."""
    phase: Phase

    @property
    def span(self) -> Span:
        """When it begins and ends, and how many arrive in it."""
        return Span(self.gate, self.begin, self.begin + self.phase.length, self.phase.arrivals)

    @property
    def stop(self) -> int:
        """The number after its last one."""
        return self.first + self.phase.arrivals

    def uniform(self, share: Share) -> Iterator[tuple[int, float]]:
        """The numbers of a share with their due times, evenly one after the other."""
        first, due, numbers = self.first, self._due(), share.numbers(self.stop, self.first)
        if self.phase.is_steady:
            begin, rate = self.begin, self.phase.rate
            return ((number, begin + (number - first) / rate) for number in numbers)
        return ((number, due(number - first)) for number in numbers)

    def poisson(self, share: Share, seed: str) -> Iterator[tuple[int, float]]:
        """The same at random times, of which there are exactly as many as connections.

        A Poisson process of which the number of events is known has them at independent random times, so these are
        drawn in ascending order: of n that are left in a rest of the time, the first leaves a part V^(1/n) of it.
        """
        uniform, due, rest, passed = Random(seed).random, self._due(), 1.0, self.first
        stop, most = self.stop, min(self.phase.arrivals, self.phase.area)
        for number in share.numbers(stop, self.first):
            while passed <= number:
                rest *= (1.0 - uniform()) ** (1.0 / (stop - passed))
                passed += 1
            yield number, due(most * (1.0 - rest))

    def _due(self) -> Callable[[float], float]:
        """When so many have arrived."""
        begin, length, rate = self.begin, self.phase.length, self.phase.rate
        if self.phase.is_steady:
            return lambda arrived: begin + arrived / rate
        low = rate * length
        slope = 2.0 * (self.phase.last_rate * length - low)

        def due(arrived: float) -> float:
            # The root of low·x + slope·x²/4 = arrived in a form that loses no digits, whichever way the rate goes.
            root = sqrt(max(0.0, low * low + slope * arrived))
            return begin + length * (2.0 * arrived / (low + root)) if arrived else begin

        return due


def stretches_of(phases: tuple[Phase, ...]) -> tuple[Stretch, ...]:
    """The arrivals of phases that follow each other; after one that waits the time begins anew, behind a gate."""
    found: list[Stretch] = []
    gate, begin, first = 0, 0.0, 0
    for phase in phases:
        stretch = Stretch(gate, begin, first, phase)
        found.append(stretch)
        gate, begin = (gate + 1, 0.0) if phase.wait else (gate, stretch.span.end)
        first = stretch.stop
    return tuple(found)
