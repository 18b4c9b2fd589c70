"""The progress of one run: the begin and end of its phases.

They follow from the gates that opened, from the pauses, and from the changes of the plan.

Ages are in seconds from the start of the run. Paced times are in seconds of the plan's own time,
which stands still while arrivals are paused.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from math import inf
from typing import NamedTuple

import msgspec

from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.schedule import Arriving, PhaseArrivals
from loadgen.plan.steer import PlanChange, SteeredSchedule, steered

START_IN = 1.5
"""Seconds from the gathering of the fleet to its common start, and from the end of a pause: every
agent posts once in that time."""
GATE_IN = START_IN
"""Seconds from the end of the last session to the opening of the gate after it, for the same
reason."""
STEERED_IN = START_IN
"""Seconds from a change of the plan until it holds, for the same reason."""


class Pauses:
    """The pauses of a run, in order; the last one may be open."""

    def __init__(self, spans: Iterable[tuple[float, float | None]] = ()) -> None:
        self._spans = [(begin, inf if end is None else end) for begin, end in spans]

    def __bool__(self) -> bool:
        return bool(self._spans)

    @property
    def open(self) -> bool:
        """True while arrivals are paused and it is not known until when."""
        return bool(self._spans) and self._spans[-1][1] == inf

    @property
    def total(self) -> float:
        """Seconds in all pauses whose end is known."""
        return round(sum(end - begin for begin, end in self._spans if end < inf), 3)

    def begin(self, age: float) -> None:
        """Opens a pause at this age, or right after the last pause where that ends later."""
        if not self.open:
            self._spans.append((max(age, self._spans[-1][1]) if self._spans else age, inf))

    def end(self, age: float) -> None:
        """Ends the open pause, if any, at this age."""
        if self.open:
            self._spans[-1] = (self._spans[-1][0], max(age, self._spans[-1][0]))

    def cover(self, age: float) -> bool:
        """Returns True when arrivals are paused at this age."""
        return any(begin <= age < end for begin, end in self._spans)

    def paced(self, age: float) -> float:
        """Returns the paced time at an age."""
        return age - sum(min(age, end) - begin for begin, end in self._spans if begin < age)

    def real(self, paced: float) -> float:
        """Returns the age at a paced time; infinite after a pause that is open."""
        age = paced
        for begin, end in self._spans:
            age += end - begin if begin <= age else 0.0
        return age

    def spans(self) -> list[tuple[float, float | None]]:
        """Returns the age at which each begins and ends, as JSON has them."""
        return [
            (round(begin, 3), None if end == inf else round(end, 3)) for begin, end in self._spans
        ]


HOLD = "hold"
"""The name of the time after the last phase."""
WAITING = "waiting for sessions to end"
"""The name of the time before a gate opens."""


class PhaseProgress(msgspec.Struct):
    """The progress of one phase.

    Begin and end are in seconds from the start of the run, and None until they are known.
    """

    name: str
    begin: float | None
    end: float | None
    """A phase that waits lasts until the gate after it opens."""
    planned: int
    """The number of connections that arrive in it, by the plan."""
    launched: int = 0
    """The number of the plan's connections launched in its time, late ones of earlier phases
    included."""


def phase_progress_of(
    plan: Plan,
    arrivals: Sequence[PhaseArrivals],
    gates: Sequence[float],
    launched: Mapping[int, int],
) -> list[PhaseProgress]:
    """Returns the progress of each phase of a plan.

    `gates` has the times at which gates 1, 2, 3… opened, `launched` the launches of each second.
    """
    opened = (0.0, *gates)
    names = plan.phase_names
    pieces = [
        PhaseProgress(
            names[piece.place],
            _after(opened, piece.gate, piece.begin),
            _after(opened, piece.gate, piece.end),
            piece.planned,
        )
        for piece in arrivals
    ]
    for progress, piece, following in zip(pieces, arrivals, arrivals[1:], strict=False):
        if piece.phase.wait:
            progress.end = _after(opened, following.gate, 0.0)
    _count_launches(pieces, [piece.phase for piece in arrivals], launched)
    of_place: list[list[PhaseProgress]] = [[] for _ in names]
    for progress, piece in zip(pieces, arrivals, strict=True):
        of_place[piece.place].append(progress)
    return [_joined(name, own) for name, own in zip(names, of_place, strict=True)]


def _joined(name: str, pieces: Sequence[PhaseProgress]) -> PhaseProgress:
    """Returns the progress of a phase from that of its pieces.

    One that a change has left out has none.
    """
    if not pieces:
        return PhaseProgress(name, None, None, 0)
    return PhaseProgress(
        name,
        pieces[0].begin,
        pieces[-1].end,
        sum(piece.planned for piece in pieces),
        sum(piece.launched for piece in pieces),
    )


def _count_launches(
    progress: Sequence[PhaseProgress], phases: Sequence[Phase], launched: Mapping[int, int]
) -> None:
    """Adds the launches of each second to its phase.

    Subtle: several phases may lie in one second. They share its launches in proportion to the
    connections that are due in each. Where none are due, launches are late, and count for the phase
    that was there first.
    """
    begins = [inf if phase.begin is None else phase.begin for phase in progress]
    for second, count in launched.items():
        there = range(max(0, bisect_right(begins, second) - 1), bisect_left(begins, second + 1))
        due = [_due(phases[place], second - begins[place]) for place in there]
        weights = due if any(due) else [1.0, *due[1:]]
        for place, part in zip(there, _parts(count, weights), strict=True):
            progress[place].launched += part


def _due(phase: Phase, since: float) -> float:
    """Returns how many connections are due in one second of a phase.

    The second begins `since` seconds after the phase.
    """
    return phase.brought(since + 1.0) - phase.brought(since)


def _parts(count: int, weights: Sequence[float]) -> list[int]:
    """Splits a count into whole parts, in proportion to weights that are not all 0."""
    sums = [round(count * upto / sum(weights)) for upto in accumulate(weights)]
    return [after - before for before, after in pairwise([0, *sums])]


def _after(opened: Sequence[float], gate: int, seconds: float) -> float | None:
    return round(opened[gate] + seconds, 3) if gate < len(opened) else None


def phase_at(
    plan: Plan, arrivals: Sequence[PhaseArrivals], gates: Sequence[float], age: float
) -> str:
    """Returns the name of the phase at an age, or of the time between or after them."""
    piece, since = _piece_at(arrivals, gates, age)
    if since < piece.end - piece.begin:
        return plan.phase_names[piece.place]
    return WAITING if piece.gate < arrivals[-1].gate else HOLD


def _piece_at(
    arrivals: Sequence[PhaseArrivals], gates: Sequence[float], age: float
) -> tuple[PhaseArrivals, float]:
    """Returns the last piece that has begun, and the seconds since."""
    opened = (0.0, *gates)
    begins = [opened[piece.gate] + piece.begin for piece in arrivals if piece.gate < len(opened)]
    place = max(0, bisect_right(begins, age) - 1)
    return arrivals[place], age - begins[place]


def rate_at(arrivals: Sequence[PhaseArrivals], gates: Sequence[float], age: float) -> float:
    """Returns the arrivals per second that are asked for at an age."""
    piece, since = _piece_at(arrivals, gates, age)
    phase = piece.phase
    if piece.open_ended:
        return phase.rate
    if since >= piece.end - piece.begin:
        return 0.0
    return phase.rate + (phase.last_rate - phase.rate) * max(0.0, since) / phase.length


def arrival_times(arrivals: Sequence[PhaseArrivals]) -> dict[int, tuple[float, float]]:
    """Returns the begin and the end of the arrivals behind each gate.

    They are in seconds from its opening, and last from the first phase with arrivals to the end of
    the last one. Without phases the last connection takes as long as any other.
    """
    times: dict[int, tuple[float, float]] = {}
    for piece in arrivals:
        if piece.planned:
            last = piece.open_ended and piece.cut == inf
            end = piece.end + (1.0 / piece.phase.rate if last else 0.0)
            first_begin, last_end = times.get(piece.gate, (piece.begin, end))
            times[piece.gate] = min(first_begin, piece.begin), max(last_end, end)
    return times


def mean_rate(arrivals: Sequence[PhaseArrivals]) -> float:
    """Returns the arrivals per second that are asked for, on average."""
    if len(arrivals) == 1 and arrivals[0].open_ended:
        return arrivals[0].phase.rate
    length = sum(end - begin for begin, end in arrival_times(arrivals).values())
    return sum(piece.planned for piece in arrivals) / length if length else 0.0


class Asked(NamedTuple):
    """A change that the operator made."""

    change: PlanChange
    planned: int
    """The connections that the plan asks for from then on."""
    call: int = 0
    """The number of the recorded call."""


class Progress:
    """The progress of a plan in a run of it."""

    def __init__(self, plan: Plan) -> None:
        self.gates: tuple[float, ...] = ()
        """The ages at which gates 1, 2, 3… opened, or will open."""
        self.drain_after = plan.drain_at()
        """The age at which the hold is over; infinite until it is known."""
        self.asked: list[Asked] = []
        """The changes that the operator made, in their order."""
        self.pauses = Pauses()
        """The pauses of arrivals that the operator made."""
        self._plan = plan
        self._schedule: Arriving = plan.schedule
        self._arrivals = plan.schedule.arrivals

    # What changes it.

    def steer(self, asked: Asked) -> None:
        """Changes the plan, of which no phase waits."""
        self.asked.append(asked)
        self._schedule = schedule = self.schedule.steered(asked.change)
        self._arrivals = schedule.arrivals
        self.drain_after = self._plan.drain_at(schedule=schedule) + self.pauses.total

    @property
    def schedule(self) -> SteeredSchedule:
        """The schedule as it was changed."""
        if isinstance(self._schedule, SteeredSchedule):
            return self._schedule
        return steered(self._plan, ())

    def pause(self, age: float) -> None:
        """Pauses arrivals, and with them the plan's own time."""
        self.pauses.begin(age)

    def resume(self, age: float) -> None:
        """Continues arrivals at this age, where the plan was."""
        before = self.pauses.total
        self.pauses.end(age)
        self.drain_after += self.pauses.total - before

    @property
    def arrivals(self) -> Sequence[PhaseArrivals]:
        """The arrivals of the phases, from the openings of their gates."""
        return self._arrivals

    @property
    def next_gate(self) -> int | None:
        """The number of the gate that opens next; None after the last one."""
        gate = len(self.gates) + 1
        return gate if gate <= self._arrivals[-1].gate else None

    def open_gate(self, earliest: float) -> None:
        """Opens the next gate at this age, or later, when the phases before it are over."""
        length = max(piece.end for piece in self._arrivals if piece.gate == len(self.gates))
        over = self.pauses.real(self.pauses.paced(self.gates[-1] if self.gates else 0.0) + length)
        self.gates += (max(over, earliest),)
        self.drain_after = self._plan.drain_at(self.gates)

    # What may be known.

    @property
    def changes(self) -> list[PlanChange]:
        """The changes that the operator made."""
        return [asked.change for asked in self.asked]

    def phases(self, launched: Mapping[int, int]) -> list[PhaseProgress]:
        """Returns the progress of each phase, given the launches of each second.

        Subtle: the phases are computed in paced time, since a pause moves all that comes after it.
        A second is counted where its middle lies, and begins and ends are turned into ages again.
        """
        paced = Counter[int]()
        for second, number in launched.items():
            paced[math.floor(self.pauses.paced(second + 0.5))] += number
        phases = phase_progress_of(self._plan, self._arrivals, self._paced_gates, paced)
        for phase in phases:
            phase.begin = self.age_at(phase.begin)
            phase.end = self.age_at(phase.end)
        return phases

    def phase(self, age: float) -> str:
        """Returns the name of the phase that runs, or of the time between or after them."""
        return phase_at(self._plan, self._arrivals, self._paced_gates, self.pauses.paced(age))

    def place(self, age: float) -> tuple[int, int]:
        """Returns the number of the last begun phase, from 1, and that of all phases."""
        piece, _ = _piece_at(self._arrivals, self._paced_gates, self.pauses.paced(age))
        return piece.place + 1, len(self._plan.phase_names)

    def rate_asked(self, age: float) -> float:
        """Returns the arrivals per second that the plan asks for.

        They are 0 while arrivals are paused.
        """
        if self.pauses.cover(age):
            return 0.0
        return rate_at(self._arrivals, self._paced_gates, self.pauses.paced(age))

    def arrival_seconds(self, age: float) -> float:
        """Returns the seconds before an age in which the plan asks for arrivals."""
        now = self.pauses.paced(age)
        return sum(max(0.0, min(now, end) - begin) for begin, end in self._arrival_times())

    @property
    def last_arrival(self) -> float:
        """The age at which the last arrival is due; infinite until it is known."""
        times = self._arrival_times()
        if len(times) < len(arrival_times(self._arrivals)):
            return inf
        return self.pauses.real(max(end for _, end in times))

    def _arrival_times(self) -> list[tuple[float, float]]:
        """Returns the paced times of the arrivals behind the gates that are open."""
        opened = (0.0, *self._paced_gates)
        times = arrival_times(self._arrivals).items()
        return [
            (opened[gate] + begin, opened[gate] + end)
            for gate, (begin, end) in times
            if gate < len(opened)
        ]

    @property
    def mean_rate(self) -> float:
        """Arrivals per second that the plan asks for while there are arrivals."""
        return mean_rate(self._arrivals)

    @property
    def _paced_gates(self) -> tuple[float, ...]:
        return tuple(self.pauses.paced(gate) for gate in self.gates)

    def age_at(self, paced: float | None) -> float | None:
        """Returns the age at a paced time; None where it is not known yet."""
        real = math.inf if paced is None else self.pauses.real(paced)
        return round(real, 3) if real < math.inf else None
