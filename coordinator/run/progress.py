"""The course of one run: when the phases of its plan begin and end, by the gates that opened and
the pauses it had.

Ages are seconds from the start of the run. The plan's own time, `paced`, stands still while
arrivals are paused.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from math import inf

import msgspec

from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.schedule import Span


class Pauses:
    """The pauses of a run, in order; the last one may be open."""

    def __init__(self, spans: Iterable[tuple[float, float | None]] = ()) -> None:
        self._spans = [(begin, inf if end is None else end) for begin, end in spans]

    def __bool__(self) -> bool:
        return bool(self._spans)

    @property
    def open(self) -> bool:
        """Whether arrivals are paused and nobody has said until when."""
        return bool(self._spans) and self._spans[-1][1] == inf

    @property
    def total(self) -> float:
        """Seconds in all pauses that are over, or of which the end is known."""
        return round(sum(end - begin for begin, end in self._spans if end < inf), 3)

    def begin(self, age: float) -> None:
        """Arrivals are paused from this age on, or from the end of the pause that is known
        already."""
        if not self.open:
            self._spans.append((max(age, self._spans[-1][1]) if self._spans else age, inf))

    def end(self, age: float) -> None:
        """Arrivals go on from this age."""
        if self.open:
            self._spans[-1] = (self._spans[-1][0], max(age, self._spans[-1][0]))

    def cover(self, age: float) -> bool:
        """Whether arrivals are paused at an age."""
        return any(begin <= age < end for begin, end in self._spans)

    def paced(self, age: float) -> float:
        """The plan's own time at an age of the run."""
        return age - sum(min(age, end) - begin for begin, end in self._spans if begin < age)

    def real(self, paced: float) -> float:
        """The age of the run at which the plan's own time comes to so much; infinite when a
        pause has no end."""
        age = paced
        for begin, end in self._spans:
            age += end - begin if begin <= age else 0.0
        return age

    def spans(self) -> list[tuple[float, float | None]]:
        """Begin and end of each, as JSON has them."""
        return [
            (round(begin, 3), None if end == inf else round(end, 3)) for begin, end in self._spans
        ]


HOLD = "hold"
"""What comes after the last phase."""
WAITING = "waiting for sessions to end"
"""What comes before a gate opens."""


class PhaseProgress(msgspec.Struct):
    """One phase as far as it is known; seconds from the start of the run, None while nobody
    knows."""

    name: str
    begin: float | None
    end: float | None
    """A phase that waits lasts until the gate after it opens."""
    planned: int
    """How many connections arrive in it, by the plan."""
    launched: int = 0
    """How many of the plan's connections were launched in its time; in what comes after it, they
    were late."""


def phase_progress_of(
    plan: Plan, spans: Sequence[Span], gates: Sequence[float], launched: Mapping[int, int]
) -> list[PhaseProgress]:
    """The stages of a run whose gates 1, 2, 3… opened at these times, with its launches by
    second."""
    opened = (0.0, *gates)
    phases = [
        PhaseProgress(
            name,
            _after(opened, span.gate, span.begin),
            _after(opened, span.gate, span.end),
            span.planned,
        )
        for name, span in zip(plan.phase_names, spans, strict=True)
    ]
    for progress, phase, following in zip(phases, plan.phases, spans[1:], strict=False):
        if phase.wait:
            progress.end = _after(opened, following.gate, 0.0)
    _count_launches(phases, plan.phases or (Phase(rate=plan.rate, max=plan.max),), launched)
    return phases


def _count_launches(
    progress: Sequence[PhaseProgress], phases: Sequence[Phase], launched: Mapping[int, int]
) -> None:
    """Adds each second's launches to its phase; several in one second share them by how many
    were due in each."""
    begins = [inf if phase.begin is None else phase.begin for phase in progress]
    for second, count in launched.items():
        there = range(max(0, bisect_right(begins, second) - 1), bisect_left(begins, second + 1))
        due = [_due(phases[place], second - begins[place]) for place in there]
        for place, part in zip(
            there, _parts(count, due if any(due) else [1.0, *due[1:]]), strict=True
        ):
            progress[place].launched += part


def _due(phase: Phase, since: float) -> float:
    """How many are due in the second that begins so long after the phase."""
    return phase.brought(since + 1.0) - phase.brought(since)


def _parts(count: int, weights: Sequence[float]) -> list[int]:
    """A count in whole parts, in proportion to weights that are not all 0."""
    whole = [round(count * upto / sum(weights)) for upto in accumulate(weights)]
    return [after - before for before, after in pairwise([0, *whole])]


def _after(opened: Sequence[float], gate: int, seconds: float) -> float | None:
    return round(opened[gate] + seconds, 3) if gate < len(opened) else None


def phase_at(plan: Plan, spans: Sequence[Span], gates: Sequence[float], age: float) -> str:
    """The name of the phase that runs at an age of the run, or what does between and after them."""
    place, since = _phase_at(spans, gates, age)
    if since < spans[place].end - spans[place].begin:
        return plan.phase_names[place]
    return WAITING if spans[place].gate < spans[-1].gate else HOLD


def _phase_at(spans: Sequence[Span], gates: Sequence[float], age: float) -> tuple[int, float]:
    """The place of the last phase that has begun, and how many seconds ago."""
    opened = (0.0, *gates)
    begins = [opened[span.gate] + span.begin for span in spans if span.gate < len(opened)]
    place = max(0, bisect_right(begins, age) - 1)
    return place, age - begins[place]


def rate_at(plan: Plan, spans: Sequence[Span], gates: Sequence[float], age: float) -> float:
    """Arrivals per second that the plan asks for at an age of the run."""
    if not plan.phases:
        return plan.rate
    place, since = _phase_at(spans, gates, age)
    phase = plan.phases[place]
    if since >= phase.length:
        return 0.0
    return phase.rate + (phase.last_rate - phase.rate) * max(0.0, since) / phase.length


def mean_rate(plan: Plan, spans: Sequence[Span]) -> float:
    """Arrivals per second from the first to the last phase with any, behind each gate, over all
    of them."""
    if not plan.phases:
        return plan.rate
    arriving = [span for span in spans if span.planned]
    gates = {span.gate for span in arriving}
    firsts = [min(span.begin for span in arriving if span.gate == gate) for gate in gates]
    lasts = [max(span.end for span in arriving if span.gate == gate) for gate in gates]
    return round(plan.total / (sum(lasts) - sum(firsts)), 1)


class Progress:
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

    def phases(self, launched: Mapping[int, int]) -> list[PhaseProgress]:
        """The plan's phases, and what is known of them, given the launches of each second."""
        paced = Counter[int]()
        for second, number in launched.items():
            paced[math.floor(self.pauses.paced(second + 0.5))] += number
        phases = phase_progress_of(self._plan, self._spans, self._paced_gates, paced)
        for phase in phases:
            phase.begin, phase.end = self._real(phase.begin), self._real(phase.end)
        return phases

    def phase(self, age: float) -> str:
        """The phase that runs, or what does between and after them."""
        return phase_at(self._plan, self._spans, self._paced_gates, self.pauses.paced(age))

    def place(self, age: float) -> tuple[int, int]:
        """The number of the phase that runs, or of the last one that did, from 1; and how many
        there are."""
        return _phase_at(self._spans, self._paced_gates, self.pauses.paced(age))[0] + 1, len(
            self._spans
        )

    def rate_asked(self, age: float) -> float:
        """Arrivals per second that the plan asks for; none while they are paused."""
        paused = self.pauses.cover(age)
        return (
            0.0
            if paused
            else rate_at(self._plan, self._spans, self._paced_gates, self.pauses.paced(age))
        )

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
