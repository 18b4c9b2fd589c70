"""Changes of a plan while it runs: another rate, number of users, or phase.

A change begins a new piece of the schedule, as if the plan had had another phase from there on;
what is due before it stays as it was. So every worker works out the same due times from the plan
and the list of changes.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec.structs import replace

from loadgen.plan.phases import MAX_ARRIVALS, Phase, Positive
from loadgen.plan.plan import Plan
from loadgen.plan.schedule import Arriving, PhaseArrivals

MAX_CHANGES = 1000
"""Changes of one run at most."""
Users = Annotated[int, msgspec.Meta(ge=1, le=MAX_ARRIVALS)]


class PlanChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of a rate, a number of users and a phase, from a time on."""

    at: Annotated[float, msgspec.Meta(ge=0)]
    """Seconds of the plan's own time: from the start of the run, without pauses."""
    first: Annotated[int, msgspec.Meta(ge=0)]
    """The number of the first user that is due then or later."""
    rate: Positive | None = None
    """Arrivals per second until the phase is over."""
    max: Users | None = None
    """The users that arrive in all, of a plan without phases."""
    phase: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """The place of the phase that begins."""


class SteeredSchedule(Arriving, frozen=True):
    """The due times of a plan that was changed while it ran."""

    phases: tuple[Phase, ...]
    """Those of the plan; empty for a plan without phases."""
    pieces: tuple[PhaseArrivals, ...]

    @property
    def arrivals(self) -> tuple[PhaseArrivals, ...]:
        """The pieces."""
        return self.pieces

    @property
    def total(self) -> int:
        """The number of users that arrive in all."""
        return self.pieces[-1].stop

    def piece_at(self, at: float) -> PhaseArrivals:
        """Returns the piece that runs at a time, or the last one."""
        return self.pieces[_running(self.pieces, at)]

    def next_after(self, at: float) -> int:
        """Returns the number of the first user that is due at a time or later."""
        return self.piece_at(at).next_after(at)

    def steered(self, change: PlanChange) -> "SteeredSchedule":
        """Returns the schedule with one more change, which comes after all others."""
        running = _running(self.pieces, change.at)
        piece = self.pieces[running]
        over = change.first >= piece.stop if piece.open_ended else change.at >= piece.end
        cut = piece if over else replace(piece, cut=change.at, cut_stop=change.first)
        rest = [(later.place, later.phase, 0.0) for later in self.pieces[running + 1 :]]
        if change.phase is not None:
            rest = [
                (place, phase, 0.0)
                for place, phase in enumerate(self.phases)
                if place >= change.phase
            ]
        elif piece.open_ended:
            rest = _open_ended_rest(piece, change, over=over)
        elif not over:
            rest = [*_rest(piece, change), *rest]
        return replace(self, pieces=(*self.pieces[:running], cut, *_laid(rest, piece, change)))


def steered(plan: Plan, changes: Iterable[PlanChange]) -> SteeredSchedule:
    """Returns the schedule of a plan after changes in their order."""
    schedule = SteeredSchedule(plan.phases, plan.schedule.arrivals)
    for change in changes:
        schedule = schedule.steered(change)
    return schedule


def _running(pieces: Sequence[PhaseArrivals], at: float) -> int:
    """Returns the place of the piece that runs at a time, or of the last one."""
    return max((place for place, piece in enumerate(pieces) if piece.begin <= at), default=0)


def _shift(piece: PhaseArrivals, change: PlanChange, rate: float) -> float:
    """Returns the seconds until the next arrival at a new rate.

    A part of the distance to it has passed at the old one. Random times do not remember that.
    """
    if piece.seed is not None:
        return 0.0
    owed = change.first - piece.first - piece.arrived(change.at)
    return min(1.0, max(0.0, owed)) / rate


Laid = tuple[int, Phase, float]
"""A phase to come: its place in the plan, what is left of it, and its shift."""


def _open_ended_rest(piece: PhaseArrivals, change: PlanChange, *, over: bool) -> list[Laid]:
    """Returns what is left of a plan without phases."""
    rate = change.rate or piece.phase.rate
    left = (change.max or piece.whole) - change.first
    shift = 0.0 if over else _shift(piece, change, rate)
    return [(0, Phase(rate=rate, max=left), shift)] if left > 0 else []


def _rest(piece: PhaseArrivals, change: PlanChange) -> list[Laid]:
    """Returns what is left of a phase, at a new rate."""
    phase = piece.phase
    rate = change.rate or phase.rate
    shift = _shift(piece, change, rate)
    left = None if phase.max is None else piece.first + phase.max - change.first
    # A storm has been when its phase began.
    phase = replace(phase, rate=rate, rate_to=None, max=left, storm=0.0, jitter=0.0)
    if phase.duration is None:
        return [(piece.place, phase, shift)] if left else []
    return [(piece.place, replace(phase, duration=piece.end - change.at), shift)]


def _laid(rest: Iterable[Laid], before: PhaseArrivals, change: PlanChange) -> list[PhaseArrivals]:
    """Returns phases as pieces that follow each other from a change on."""
    found: list[PhaseArrivals] = []
    begin, first = change.at, change.first
    for place, phase, shift in rest:
        seed = before.seed
        if seed is not None:
            # Random times begin anew: no number of another piece has the same ones.
            seed = f"{str(seed).partition('/')[0]}/phase {place} from {first}"
        piece = PhaseArrivals(0, begin, first, phase, place, seed, before.open_ended, shift)
        found.append(piece)
        begin, first = piece.until, piece.stop
    return found
