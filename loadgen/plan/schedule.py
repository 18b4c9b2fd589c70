"""The schedule of a plan: when each connection is due, with phases and without.

All times are seconds, from the start of the run or from the opening of a gate.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain
from math import inf, log, sqrt
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


class PhaseArrivals(msgspec.Struct, frozen=True):
    """The consecutive numbers that arrive in one phase, or in a piece of it.

    Times count from the opening of its gate.

    The integral of the rate up to t seconds is what has arrived by then; its inverse says when
    number k is due.
    """

    gate: int
    begin: float
    first: int
    """The number of its first connection."""
    phase: Phase
    place: int = 0
    """The place of its phase among the plan's."""
    seed: int | str | None = None
    """The seed of random times; None: arrivals come at even distances."""
    open_ended: bool = False
    """True in a plan without phases: it is over with its last arrival, and random gaps make it
    longer or shorter."""
    shift: float = 0.0
    """Seconds from its begin until arrivals at even distances begin."""
    cut: float = inf
    """The time at which a change ends it; infinite without one."""
    cut_stop: int = 0
    """The number after the last one that is due by then."""

    @property
    def span(self) -> Span:
        """Its beginning, its end, and the number of its arrivals."""
        return Span(self.gate, self.begin, self.end, self.planned)

    @property
    def whole(self) -> int:
        """The number after its last one, if no change ended it."""
        if not self.shift or self.open_ended:
            return self.first + self.phase.arrivals
        fitting = max(0, round(self.phase.area - self.shift * self.phase.rate))
        return self.first + min(fitting, self.phase.arrivals)

    @property
    def stop(self) -> int:
        """The number after its last one."""
        return self.whole if self.cut == inf else self.cut_stop

    @property
    def planned(self) -> int:
        """The number of its arrivals."""
        return self.stop - self.first

    @property
    def end(self) -> float:
        """The time at which it is over."""
        if self.cut < inf:
            return self.cut
        if not self.open_ended:
            return self.begin + self.phase.length
        if not self.planned:
            return self.begin
        if self.seed is None:
            return self.begin + self.shift + (self.planned - 1) / self.phase.rate
        return _last_of_gaps(self.seed, self.phase.rate, self.begin, self.planned)

    @property
    def until(self) -> float:
        """The time at which its rate has brought all of its arrivals, on average."""
        if self.cut < inf or not self.open_ended:
            return self.end
        return self.begin + self.shift + self.phase.length

    def arrived(self, at: float) -> float:
        """Returns the integral of its rate up to a time that lies in it.

        It is negative before its first arrival at an even distance.
        """
        since = at - self.begin - self.shift
        rise = self.phase.last_rate - self.phase.rate
        return since * (self.phase.rate + rise * since / (2.0 * self.phase.length))

    def dues(self, share: Share) -> Iterator[tuple[int, float]]:
        """Yields the numbers of a share with their due times, both ascending.

        Random times are drawn for every number, also for those of other shares, so that they do not
        depend on the split. A draw takes a third of a microsecond.
        """
        if self.seed is None:
            return self._even(share)
        return self._gaps(share) if self.open_ended else self._counted(share)

    def next_after(self, at: float) -> int:
        """Returns the number of the first arrival that is due at a time or later."""
        if self.seed is None:
            due = self._due()
            first = self.first
            numbers = range(first, self.stop)
            return first + bisect_left(numbers, at, key=lambda number: due(number - first))
        return next((number for number, due in self.dues(Share()) if due >= at), self.stop)

    def _even(self, share: Share) -> Iterator[tuple[int, float]]:
        first = self.first
        numbers = share.numbers(self.stop, first)
        if self.phase.is_steady:
            begin = self.begin + self.shift
            rate = self.phase.rate
            return ((number, begin + (number - first) / rate) for number in numbers)
        due = self._due()
        return ((number, due(number - first)) for number in numbers)

    def _gaps(self, share: Share) -> Iterator[tuple[int, float]]:
        """Yields them with exponential gaps."""
        uniform = Random(self.seed).random
        scale = -1.0 / self.phase.rate
        due = self.begin
        passed = self.first
        for number in share.numbers(self.stop, self.first):
            while passed <= number:
                due += scale * log(1.0 - uniform())
                passed += 1
            yield number, due

    def _counted(self, share: Share) -> Iterator[tuple[int, float]]:
        """Yields them at random times, exactly as many as connections.

        Given the number of its events, a Poisson process has them at independent random times.
        They are drawn in ascending order: of n events in what is left of the time, the first leaves
        a part V^(1/n) of it, with V uniform over [0, 1).
        """
        uniform = Random(self.seed).random
        due = self._due()
        rest = 1.0
        passed = self.first
        whole = self.whole
        arrivals = min(self.phase.arrivals, self.phase.area)
        for number in share.numbers(self.stop, self.first):
            while passed <= number:
                rest *= (1.0 - uniform()) ** (1.0 / (whole - passed))
                passed += 1
            yield number, due(arrivals * (1.0 - rest))

    def _due(self) -> Callable[[float], float]:
        """Returns the function from a number of arrivals to the time when they are in."""
        begin = self.begin + self.shift
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


@lru_cache(maxsize=64)
def _last_of_gaps(seed: int | str, rate: float, begin: float, count: int) -> float:
    """Returns when the last of some arrivals with exponential gaps is due.

    It is asked for each second, and takes a third of a second for a million.
    """
    piece = PhaseArrivals(0, begin, 0, Phase(rate=rate, max=count), seed=seed, open_ended=True)
    return next(piece.dues(Share(count, (count - 1,))))[1]


def phase_arrivals_of(
    phases: tuple[Phase, ...], seed: int | None = None
) -> tuple[PhaseArrivals, ...]:
    """Returns the arrivals of phases that follow each other.

    With a seed they come at random times. After a phase that waits comes a gate, at which the time
    begins anew.
    """
    found: list[PhaseArrivals] = []
    gate = 0
    begin = 0.0
    first = 0
    for place, phase in enumerate(phases):
        salt = None if seed is None else f"{seed}/phase {place}"
        arrivals = PhaseArrivals(gate, begin, first, phase, place, salt)
        found.append(arrivals)
        gate, begin = (gate + 1, 0.0) if phase.wait else (gate, arrivals.end)
        first = arrivals.stop
    return tuple(found)


class Arriving(msgspec.Struct, frozen=True):
    """The due times of a plan, in seconds from a gate's opening, by its pieces.

    Numbers go on from piece to piece. Gate 0 is open from the start of the run. After a phase that
    waits comes a gate, which the coordinator opens once every session is over: a worker then takes
    `dues(share, gate)` and adds the time of the opening.
    """

    @property
    def arrivals(self) -> tuple[PhaseArrivals, ...]:
        """The arrivals of each phase, or piece of one."""
        raise NotImplementedError

    @property
    def gates(self) -> int:
        """The number of gates, including the one that is open from the start."""
        return 1 + self.arrivals[-1].gate

    @property
    def spans(self) -> tuple[Span, ...]:
        """The time of each piece."""
        return tuple(arrivals.span for arrivals in self.arrivals)

    @property
    def phases_with_spans(self) -> tuple[tuple[Phase, Span], ...]:
        """The phases of the plan, with their times."""
        return tuple(
            (arrivals.phase, arrivals.span) for arrivals in self.arrivals if not arrivals.open_ended
        )

    def phase_of(self, number: int) -> int:
        """Returns the place of a number's piece among the pieces."""
        assert 0 <= number < self.arrivals[-1].stop
        return bisect_right([arrivals.first for arrivals in self.arrivals], number) - 1

    def dues(self, share: Share, gate: int = 0, first: int = 0) -> Iterator[tuple[int, float]]:
        """Yields the numbers of a share that arrive behind a gate, with their due times.

        Both ascend. They are those of the pieces that begin with number `first` or a later one.
        """
        return chain.from_iterable(
            arrivals.dues(share)
            for arrivals in self.arrivals
            if arrivals.gate == gate and arrivals.first >= first
        )

    def end(self, gate: int | None = None) -> float:
        """Returns when the last phase behind a gate is over.

        None stands for the last gate.
        """
        wanted = self.gates - 1 if gate is None else gate
        return max(span.end for span in self.spans if span.gate == wanted)


class Schedule(Arriving, frozen=True):
    """The due times of a plan without phases, in seconds from the run's start."""

    rate: float
    """Arrivals per second over the whole fleet, above 0."""
    total: int
    """The number of connections that arrive in all."""
    poisson: bool = False
    """True for exponential gaps, as in Tsung; else the gaps are even."""
    seed: int = 0

    @property
    def arrivals(self) -> tuple[PhaseArrivals, ...]:
        """The only piece."""
        phase = Phase(rate=self.rate, max=self.total)
        seed = self.seed if self.poisson else None
        return (PhaseArrivals(0, 0.0, 0, phase, seed=seed, open_ended=True),)


class PhasedSchedule(Arriving, frozen=True):
    """The due times of a plan with phases, in seconds from a gate's opening."""

    phases: tuple[Phase, ...]
    """At least one."""
    poisson: bool = False
    """True for random times; a phase still has exactly its number of arrivals."""
    seed: int = 0

    @property
    def arrivals(self) -> tuple[PhaseArrivals, ...]:
        """The arrivals of each phase."""
        return phase_arrivals_of(self.phases, self.seed if self.poisson else None)

    @property
    def total(self) -> int:
        """The number of connections that arrive in all."""
        return self.arrivals[-1].stop
