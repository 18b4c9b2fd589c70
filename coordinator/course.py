"""The course of one run: when the phases of its plan begin and end, by the gates that opened and the pauses it had.

Ages are seconds from the start of the run. The plan's own time, `paced`, stands still while arrivals are paused.
"""

import math
from collections import Counter
from collections.abc import Mapping

from coordinator.pauses import Pauses
from coordinator.stages import Stage, mean_rate, place_at, rate_at, stage_at, stages_of
from loadgen.plan import Plan


class Course:
    """Where a plan's time has come to in a run of it."""

    def __init__(self, plan: Plan) -> None:
        self.gates: tuple[float, ...] = ()
        """At which ages gates 1, 2, 3… opened, or will open."""
        self.drain_after = plan.drain_at()
        """The age at which the hold is over; infinite as long as nobody knows."""
        self.pauses = Pauses()
        """When the operator paused its arrivals."""
        self._plan = plan
        self._spans = plan.schedule.spans

    # What changes it.

    def pause(self, age: float) -> None:
        """No arrivals from now on; the plan's own time stands still."""
        self.pauses.begin(age)

    def resume(self, age: float) -> None:
        """Arrivals go on at this age, where the plan was."""
        before = self.pauses.total
        self.pauses.end(age)
        self.drain_after += self.pauses.total - before

    @property
    def next_gate(self) -> int | None:
        """The number of the gate that has to open next; None when there is none."""
        gate = len(self.gates) + 1
        return gate if gate <= self._spans[-1].gate else None

    def open_gate(self, earliest: float) -> None:
        """Opens the next gate, but not before the phases ahead of it are over."""
        ahead = max(span.end for span in self._spans if span.gate == len(self.gates))
        over = self.pauses.real(self.pauses.paced(self.gates[-1] if self.gates else 0.0) + ahead)
        self.gates += (max(over, earliest),)
        self.drain_after = self._plan.drain_at(self.gates)

    # What may be known.

    def stages(self, launched: Mapping[int, int]) -> list[Stage]:
        """The plan's phases, and what is known of them, given the launches of each second."""
        paced = Counter[int]()
        for second, number in launched.items():
            paced[math.floor(self.pauses.paced(second + 0.5))] += number
        stages = stages_of(self._plan, self._spans, self._paced_gates, paced)
        for stage in stages:
            stage.begin, stage.end = self._real(stage.begin), self._real(stage.end)
        return stages

    def phase(self, age: float) -> str:
        """The phase that runs, or what does between and after them."""
        return stage_at(self._plan, self._spans, self._paced_gates, self.pauses.paced(age))

    def place(self, age: float) -> tuple[int, int]:
        """The number of the phase that runs, or of the last one that did, from 1; and how many there are."""
        return place_at(self._spans, self._paced_gates, self.pauses.paced(age))[0] + 1, len(self._spans)

    def rate_asked(self, age: float) -> float:
        """Arrivals per second that the plan asks for; none while they are paused."""
        paused = self.pauses.cover(age)
        return 0.0 if paused else rate_at(self._plan, self._spans, self._paced_gates, self.pauses.paced(age))

    @property
    def mean_rate(self) -> float:
        """Arrivals per second that the plan asks for while there are arrivals."""
        return mean_rate(self._plan, self._spans)

    @property
    def _paced_gates(self) -> tuple[float, ...]:
        return tuple(self.pauses.paced(gate) for gate in self.gates)

    def _real(self, paced: float | None) -> float | None:
        real = math.inf if paced is None else self.pauses.real(paced)
        return round(real, 3) if real < math.inf else None
