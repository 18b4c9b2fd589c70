"""The schedule of a plan with phases: when each connection is due, over phases that follow each
other or wait."""

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
    """When one phase of a run runs, in seconds from the opening of its gate."""

    gate: int
    """Gate 0 is open from the start of the run; another opens when all sessions before it are
    over."""
    begin: float
    end: float
    planned: int
    """How many connections arrive in it."""


class Schedule(msgspec.Struct, frozen=True):
    """When each connection of a plan without phases is due, in seconds from the start of the
    run."""

    rate: float
    """Arrivals per second over the whole fleet, above 0."""
    total: int
    """How many connections arrive in all."""
    poisson: bool = False
    """Exponential gaps, as in Tsung, instead of even ones."""
    seed: int = 0

    @property
    def gates(self) -> int:
        """How many gates there are: all arrive behind gate 0, which is open from the start."""
        return 1

    @property
    def spans(self) -> tuple[Span, ...]:
        """The one phase there is."""
        return (Span(0, 0.0, self.end(), self.total),)

    def phase_of(self, number: int) -> int:
        """The place of a number's phase among the spans."""
        assert 0 <= number < self.total
        return 0

    def dues(self, share: Share, gate: int = 0) -> Iterator[tuple[int, float]]:
        """The numbers of a share with their due times, ascending.

        Poisson gaps are drawn for every number, also for those of other shares: a third of a
        microsecond each, and the price of a schedule that does not depend on who carries it out.
        """
        assert gate == 0
        if not self.poisson:
            rate = self.rate
            return ((number, number / rate) for number in share.numbers(self.total))
        return self._poisson_dues(share)

    def _poisson_dues(self, share: Share) -> Iterator[tuple[int, float]]:
        uniform, scale, due, passed = Random(self.seed).random, -1.0 / self.rate, 0.0, 0
        for number in share.numbers(self.total):
            while passed <= number:
                due += scale * log(1.0 - uniform())
                passed += 1
            yield number, due

    def end(self, gate: int = 0) -> float:
        """When the last connection is due, in seconds."""
        assert gate == 0
        if self.total == 0:
            return 0.0
        if not self.poisson:
            return (self.total - 1) / self.rate
        return next(self.dues(Share(self.total, (self.total - 1,))))[1]


class PhaseArrivals(msgspec.Struct, frozen=True):
    """Numbers in a row that arrive in one phase. Times are seconds from the opening of its gate.

    What has arrived after t seconds is the rate's integral up to t; its inverse says when number k
    is due.
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

        A Poisson process of which the number of events is known has them at independent random
        times, so these are drawn in ascending order: of n that are left in a rest of the time, the
        first leaves a part V^(1/n) of it.
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
            # The root of low·x + slope·x²/4 = arrived in a form that loses no digits, whichever way
            # the rate goes.
            root = sqrt(max(0.0, low * low + slope * arrived))
            return begin + length * (2.0 * arrived / (low + root)) if arrived else begin

        return due


def phase_arrivals_of(phases: tuple[Phase, ...]) -> tuple[PhaseArrivals, ...]:
    """The arrivals of phases that follow each other; after one that waits the time begins anew,
    behind a gate."""
    found: list[PhaseArrivals] = []
    gate, begin, first = 0, 0.0, 0
    for phase in phases:
        stretch = PhaseArrivals(gate, begin, first, phase)
        found.append(stretch)
        gate, begin = (gate + 1, 0.0) if phase.wait else (gate, stretch.span.end)
        first = stretch.stop
    return tuple(found)


class PhasedSchedule(msgspec.Struct, frozen=True):
    """When each connection of a plan with phases is due, in seconds from the opening of the gate
    before its phase.

    Numbers go on from phase to phase. Gate 0 is open from the start of the run. A phase that waits
    is followed by a gate, which the coordinator opens once every session is over: whoever carries
    the schedule out takes `dues(share, gate)` when that gate opens, and adds the time of its
    opening.
    """

    phases: tuple[Phase, ...]
    """At least one."""
    poisson: bool = False
    """Random times instead of even ones; every phase has exactly its number of arrivals all the
    same."""
    seed: int = 0

    @property
    def stretches(self) -> tuple[PhaseArrivals, ...]:
        """The arrivals of each phase."""
        return phase_arrivals_of(self.phases)

    @property
    def total(self) -> int:
        """How many connections arrive in all."""
        return sum(phase.arrivals for phase in self.phases)

    @property
    def gates(self) -> int:
        """How many gates there are, the one that is open from the start included."""
        return 1 + sum(phase.wait for phase in self.phases[:-1])

    @property
    def spans(self) -> tuple[Span, ...]:
        """When each phase runs."""
        return tuple(stretch.span for stretch in self.stretches)

    def phase_of(self, number: int) -> int:
        """The place of a number's phase among the phases."""
        assert 0 <= number < self.total
        return bisect_right([stretch.first for stretch in self.stretches], number) - 1

    def dues(self, share: Share, gate: int = 0) -> Iterator[tuple[int, float]]:
        """The numbers of a share that arrive behind a gate, with their due times, both ascending.

        Random times are drawn for every number of a phase, also for those of other shares, so that
        the schedule does not depend on who carries it out.
        """
        return chain.from_iterable(
            stretch.poisson(share, f"{self.seed}/phase {place}")
            if self.poisson
            else stretch.uniform(share)
            for place, stretch in enumerate(self.stretches)
            if stretch.gate == gate
        )

    def end(self, gate: int | None = None) -> float:
        """When the last phase behind a gate is over; without one, behind the last gate."""
        wanted = self.gates - 1 if gate is None else gate
        return max(span.end for span in self.spans if span.gate == wanted)
