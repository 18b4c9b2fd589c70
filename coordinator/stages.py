"""Where a run stands among the phases of its plan: each as a stage, with when it ran and who came in it."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from math import inf

import msgspec

from loadgen.arrivals import Span
from loadgen.phases import Phase
from loadgen.plan import Plan

HOLD = "hold"
"""What comes after the last phase."""
WAITING = "waiting for sessions to end"
"""What comes before a gate opens."""


class Stage(msgspec.Struct):
    """One phase as far as it is known; seconds from the start of the run, None while nobody knows."""

    name: str
    begin: float | None
    end: float | None
    """A phase that waits lasts until the gate after it opens."""
    planned: int
    """How many connections arrive in it, by the plan."""
    launched: int = 0
    """How many of the plan's connections were launched in its time; in what comes after it, they were late."""


def stages_of(plan: Plan, spans: Sequence[Span], gates: Sequence[float], launched: Mapping[int, int]) -> list[Stage]:
    """The stages of a run whose gates 1, 2, 3… opened at these times, with its launches by second."""
    opened = (0.0, *gates)
    stages = [
        Stage(name, _after(opened, span.gate, span.begin), _after(opened, span.gate, span.end), span.planned)
        for name, span in zip(plan.phase_names, spans, strict=True)
    ]
    for stage, phase, following in zip(stages, plan.phases, spans[1:], strict=False):
        if phase.wait:
            stage.end = _after(opened, following.gate, 0.0)
    _share_out(stages, plan.phases or (Phase(rate=plan.rate, max=plan.max),), launched)
    return stages


def _share_out(stages: Sequence[Stage], phases: Sequence[Phase], launched: Mapping[int, int]) -> None:
    """Adds each second's launches to its stage; where several share a second, in proportion to who was due in each."""
    begins = [inf if stage.begin is None else stage.begin for stage in stages]
    for second, count in launched.items():
        there = range(max(0, bisect_right(begins, second) - 1), bisect_left(begins, second + 1))
        due = [_due(phases[place], second - begins[place]) for place in there]
        for place, part in zip(there, _parts(count, due if any(due) else [1.0, *due[1:]]), strict=True):
            stages[place].launched += part


def _due(phase: Phase, since: float) -> float:
    """How many are due in the second that begins so long after the phase."""
    return phase.brought(since + 1.0) - phase.brought(since)


def _parts(count: int, weights: Sequence[float]) -> list[int]:
    """A count in whole parts, in proportion to weights that are not all 0."""
    whole = [round(count * upto / sum(weights)) for upto in accumulate(weights)]
    return [after - before for before, after in pairwise([0, *whole])]


def _after(opened: Sequence[float], gate: int, seconds: float) -> float | None:
    return round(opened[gate] + seconds, 3) if gate < len(opened) else None


def stage_at(plan: Plan, spans: Sequence[Span], gates: Sequence[float], age: float) -> str:
    """The name of the phase that runs at an age of the run, or what does between and after them."""
    place, since = place_at(spans, gates, age)
    if since < spans[place].end - spans[place].begin:
        return plan.phase_names[place]
    return WAITING if spans[place].gate < spans[-1].gate else HOLD


def place_at(spans: Sequence[Span], gates: Sequence[float], age: float) -> tuple[int, float]:
    """The place of the last phase that has begun, and how many seconds ago."""
    opened = (0.0, *gates)
    begins = [opened[span.gate] + span.begin for span in spans if span.gate < len(opened)]
    place = max(0, bisect_right(begins, age) - 1)
    return place, age - begins[place]


def rate_at(plan: Plan, spans: Sequence[Span], gates: Sequence[float], age: float) -> float:
    """Arrivals per second that the plan asks for at an age of the run."""
    if not plan.phases:
        return plan.rate
    place, since = place_at(spans, gates, age)
    phase = plan.phases[place]
    if since >= phase.length:
        return 0.0
    return phase.rate + (phase.last_rate - phase.rate) * max(0.0, since) / phase.length


def mean_rate(plan: Plan, spans: Sequence[Span]) -> float:
    """Arrivals per second from the first to the last phase with any, behind each gate, over all of them."""
    if not plan.phases:
        return plan.rate
    arriving = [span for span in spans if span.planned]
    gates = {span.gate for span in arriving}
    firsts = [min(span.begin for span in arriving if span.gate == gate) for gate in gates]
    lasts = [max(span.end for span in arriving if span.gate == gate) for gate in gates]
    return round(plan.total / (sum(lasts) - sum(firsts)), 1)
