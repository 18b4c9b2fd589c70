"""The schedule of a plan: when each connection is due, with phases and without.

All times are seconds, from the start of the run or from the opening of a gate.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import chain
from math import log, sqrt
from random import Random
from typing import NamedTuple

import msgspec

from loadgen.plan.phases import Phase
from loadgen.plan.shares import Share


class Span(NamedTuple):
    """The time of one phase, in seconds from the opening of its gate."""

    gate: int
    """Gate 0 is open from the start of the run; any other opens when all sessions before it are
    over."""
    begin: float
    end: float
    planned: int
    """The number of connections that arrive in it."""


class Schedule(msgspec.Struct, frozen=True):
    """The due times of a plan without phases, in seconds from the run's start."""

    rate: float
    """Arrivals per second over the whole fleet, above 0."""
    total: int
    """The number of connections that arrive in all."""
    poisson: bool = False
    """True for exponential gaps, as in Tsung; else the gaps are even."""
    seed: int = 0

    @property
    def gates(self) -> int:
        """The number of gates: all connections arrive behind gate 0, open from the start."""
        return 1

    @property
    def spans(self) -> tuple[Span, ...]:
        """The only phase."""
        return (Span(0, 0.0, self.end(), self.total),)

    def phase_of(self, number: int) -> int:
        """Returns the place of a number's phase among the spans."""
        assert 0 <= number < self.total
        return 0

    def dues(self, share: Share, gate: int = 0) -> Iterator[tuple[int, float]]:
        """Yields the numbers of a share with their due times, both ascending.

        Poisson gaps are drawn for every number, also for those of other shares, so that the
        schedule does not depend on the split. A gap takes a third of a microsecond.
        """
        assert gate == 0
        if not self.poisson:
            rate = self.rate
            return ((number, number / rate) for number in share.numbers(self.total))
        return self._poisson_dues(share)

    def _poisson_dues(self, share: Share) -> Iterator[tuple[int, float]]:
        uniform = Random(self.seed).random
        scale = -1.0 / self.rate
        due = 0.0
        passed = 0
        for number in share.numbers(self.total):
            while passed <= number:
                due += scale * log(1.0 - uniform())
                passed += 1
            yield number, due

    def end(self, gate: int = 0) -> float:
        """Returns when the last connection is due."""
        assert gate == 0
        if self.total == 0:
            return 0.0
        if not self.poisson:
            return (self.total - 1) / self.rate
        return next(self.dues(Share(self.total, (self.total - 1,))))[1]


class PhaseArrivals(msgspec.Struct, frozen=True):
    """The consecutive numbers that arrive in one phase.

    Times count from the opening of its gate.

    The integral of the rate up to t seconds is what has arrived by then; its inverse says when
    number k is due.
    """

    gate: int
    begin: float
    first: int
    """The number of its first connection."""
    phase: Phase

    @property
    def span(self) -> Span:
        """Its beginning, its end, and the number of its arrivals."""
        return Span(self.gate, self.begin, self.begin + self.phase.length, self.phase.arrivals)

    @property
    def stop(self) -> int:
        """The number after its last one."""
        return self.first + self.phase.arrivals

    def uniform(self, share: Share) -> Iterator[tuple[int, float]]:
        """Yields the numbers of a share with their due times, at even distances."""
        first = self.first
        due = self._due()
        numbers = share.numbers(self.stop, first)
        if self.phase.is_steady:
            begin = self.begin
            rate = self.phase.rate
            return ((number, begin + (number - first) / rate) for number in numbers)
        return ((number, due(number - first)) for number in numbers)

    def poisson(self, share: Share, seed: str) -> Iterator[tuple[int, float]]:
        """Yields the numbers of a share at random times, exactly as many as connections.

        Given the number of its events, a Poisson process has them at independent random times.
        They are drawn in ascending order: of n events in what is left of the time, the first leaves
        a part V^(1/n) of it, with V uniform over [0, 1).
        """
        uniform = Random(seed).random
        due = self._due()
        rest = 1.0
        passed = self.first
        stop = self.stop
        arrivals = min(self.phase.arrivals, self.phase.area)
        for number in share.numbers(stop, self.first):
            while passed <= number:
                rest *= (1.0 - uniform()) ** (1.0 / (stop - passed))
                passed += 1
            yield number, due(arrivals * (1.0 - rest))

    def _due(self) -> Callable[[float], float]:
        """Returns the function from a number of arrivals to the time when they are in."""
        begin = self.begin
        length = self.phase.length
        rate = self.phase.rate
        if self.phase.is_steady:
            return lambda arrived: begin + arrived / rate
        low = rate * length
        slope = 2.0 * (self.phase.last_rate * length - low)

        def due(arrived: float) -> float:
            # The root of low·x + slope·x²/4 = arrived, in the form that loses no digits whether the
            # rate rises or falls.
            root = sqrt(max(0.0, low * low + slope * arrived))
            return begin + length * (2.0 * arrived / (low + root)) if arrived else begin

        return due


def phase_arrivals_of(phases: tuple[Phase, ...]) -> tuple[PhaseArrivals, ...]:
    """Returns the arrivals of phases that follow each other.

    After a phase that waits comes a gate, at which the time begins anew.
    """
    found: list[PhaseArrivals] = []
    gate = 0
    begin = 0.0
    first = 0
    for phase in phases:
        arrivals = PhaseArrivals(gate, begin, first, phase)
        found.append(arrivals)
        gate, begin = (gate + 1, 0.0) if phase.wait else (gate, arrivals.span.end)
        first = arrivals.stop
    return tuple(found)


class PhasedSchedule(msgspec.Struct, frozen=True):
    """The due times of a plan with phases, in seconds from a gate's opening.

    Numbers go on from phase to phase. Gate 0 is open from the start of the run. After a phase that
    waits comes a gate, which the coordinator opens once every session is over: a worker then takes
    `dues(share, gate)` and adds the time of the opening.
    """

    phases: tuple[Phase, ...]
    """At least one."""
    poisson: bool = False
    """True for random times; a phase still has exactly its number of arrivals."""
    seed: int = 0

    @property
    def arrivals(self) -> tuple[PhaseArrivals, ...]:
        """The arrivals of each phase."""
        return phase_arrivals_of(self.phases)

    @property
    def total(self) -> int:
        """The number of connections that arrive in all."""
        return sum(phase.arrivals for phase in self.phases)

    @property
    def gates(self) -> int:
        """The number of gates, including the one that is open from the start."""
        return 1 + sum(phase.wait for phase in self.phases[:-1])

    @property
    def spans(self) -> tuple[Span, ...]:
        """The time of each phase."""
        return tuple(arrivals.span for arrivals in self.arrivals)

    def phase_of(self, number: int) -> int:
        """Returns the place of a number's phase among the phases."""
        assert 0 <= number < self.total
        return bisect_right([arrivals.first for arrivals in self.arrivals], number) - 1

    def dues(self, share: Share, gate: int = 0) -> Iterator[tuple[int, float]]:
        """Yields the numbers of a share that arrive behind a gate, with their due times.

        Both ascend. Random times are drawn for every number of a phase, also for those of other
        shares, so that the schedule does not depend on the split.
        """
        return chain.from_iterable(
            arrivals.poisson(share, f"{self.seed}/phase {place}")
            if self.poisson
            else arrivals.uniform(share)
            for place, arrivals in enumerate(self.arrivals)
            if arrivals.gate == gate
        )

    def end(self, gate: int | None = None) -> float:
        """Returns when the last phase behind a gate is over.

        None stands for the last gate.
        """
        wanted = self.gates - 1 if gate is None else gate
        return max(span.end for span in self.spans if span.gate == wanted)
