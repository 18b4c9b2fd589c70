"""The schedule of a plan with phases: when each connection is due, over phases that follow each other or wait."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import chain

import msgspec

from loadgen.arrivals import Share, Span
from loadgen.phases import Phase
from loadgen.stretch import Stretch, stretches_of


class PhasedSchedule(msgspec.Struct, frozen=True):
    """When each connection of a plan with phases is due, in seconds from the opening of the gate before its phase.

    Numbers go on from phase to phase. Gate 0 is open from the start of the run. A phase that waits is followed by a
    gate, which the coordinator opens once every session is over: whoever carries the schedule out takes
    `dues(share, gate)` when that gate opens, and adds the time of its opening.
    """

    phases: tuple[Phase, ...]
    """At least one."""
    poisson: bool = False
    """Random times instead of even ones; every phase has exactly its number of arrivals all the same."""
    seed: int = 0

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """The arrivals of each phase."""
        return stretches_of(self.phases)

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

        Random times are drawn for every number of a phase, also for those of other shares, so that the schedule does
        not depend on who carries it out.
        """
        return chain.from_iterable(
            stretch.poisson(share, f"{self.seed}/phase {place}") if self.poisson else stretch.uniform(share)
            for place, stretch in enumerate(self.stretches)
            if stretch.gate == gate
        )

    def end(self, gate: int | None = None) -> float:
        """When the last phase behind a gate is over; without one, behind the last gate."""
        wanted = self.gates - 1 if gate is None else gate
        return max(span.end for span in self.spans if span.gate == wanted)
