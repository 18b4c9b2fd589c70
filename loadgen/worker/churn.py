"""How phases turn over who is connected: who is sent away when, and who comes back. Ages in
seconds from the start."""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from loadgen.plan.phases import Phase
from loadgen.plan.schedule import Span
from loadgen.plan.seeded import chance


class Storm(NamedTuple):
    """A part of all connections is cut at once and comes back within `jitter` seconds."""

    begin: float
    part: float
    jitter: float
    seed: int
    salt: int

    def hits(self, number: int) -> bool:
        """Whether it cuts this user's connection."""
        return chance(self.seed, number, 2 * self.salt) < self.part

    def back_at(self, number: int) -> float:
        """When this user comes back."""
        return self.begin + self.jitter * chance(self.seed, number, 2 * self.salt + 1)


class Churn:
    """The phases of one worker's plan that concern who is there already; `fraction` is its part
    of the whole fleet."""

    def __init__(self, phases: Sequence[tuple[Phase, Span]], fraction: float, seed: int) -> None:
        self._phases = [
            (phase, span) for phase, span in phases if phase.keep or phase.churn or phase.storm
        ]
        self._fraction = fraction
        self._seed = seed
        self._gates = {0: 0.0}
        self._looked = 0.0
        self._owed = 0.0
        """Connections still to be sent away, a fraction of one included."""

    def open_gate(self, gate: int, age: float) -> None:
        """The phases behind this gate begin now."""
        self._gates[gate] = age

    def take(self, fraction: float) -> None:
        """Somebody else's part of the fleet is this worker's from now on."""
        self._fraction += fraction

    def keeps(self, age: float) -> bool:
        """Whether those come back now whose session ends."""
        return any(phase.keep and begin <= age < end for phase, begin, end in self._times())

    def churned(self, age: float) -> int:
        """How many are to be sent away since it was last asked."""
        for phase, begin, end in self._times():
            overlap = min(age, end) - max(self._looked, begin)
            if overlap > 0.0:
                self._owed += overlap * phase.churn * self._fraction
        whole = int(self._owed)
        self._owed -= whole
        self._looked = age
        return whole

    def storm(self, before: float, age: float) -> Storm | None:
        """The storm that begins between two ages, if any does."""
        for salt, (phase, begin, _) in enumerate(self._times(), 1):
            if phase.storm and before < begin <= age:
                return Storm(begin, phase.storm, phase.jitter, self._seed, salt)
        return None

    def _times(self) -> list[tuple[Phase, float, float]]:
        opened = ((phase, span, self._gates.get(span.gate, inf)) for phase, span in self._phases)
        return [(phase, gate + span.begin, gate + span.end) for phase, span, gate in opened]

    def __bool__(self) -> bool:
        return bool(self._phases)
