"""Churn and storms: the users that a phase sends away, and those that come back.

Ages are seconds of the plan's own time: from the start of the run, less the pauses since.
"""

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple

from loadgen.plan.phases import Phase
from loadgen.plan.schedule import Span
from loadgen.plan.seeded import chance
from loadgen.stats.reasons import CHURN, STORM

RETRY_AFTER = 1.0
"""Seconds after which a user that could not connect comes back."""


class Storm(NamedTuple):
    """A part of all users is aborted at once and comes back within `jitter` seconds."""

    begin: float
    part: float
    jitter: float
    seed: int
    salt: int

    def hits(self, number: int) -> bool:
        """True when it aborts this user's connection."""
        return chance(self.seed, number, 2 * self.salt) < self.part

    def back_at(self, number: int) -> float:
        """Returns the age at which this user comes back."""
        return self.begin + self.jitter * chance(self.seed, number, 2 * self.salt + 1)


class Churn:
    """The phases of a plan that send users of one worker away or bring them back."""

    def __init__(
        self, phases: Sequence[tuple[Phase, Span]], fraction: float, seed: int, origin: float = 0.0
    ) -> None:
        """`fraction` is the worker's part of the fleet.

        `origin` is when age 0 is, in seconds on the monotonic clock.
        """
        self.origin = origin
        self._phases = _that_send_away(phases)
        self._fraction = fraction
        self._seed = seed
        self._gates = {0: 0.0}
        self._churned_at = 0.0
        self._owed = 0.0
        """Users still to be sent away; a fraction of one counts too."""
        self._storm_at = -inf
        self._storm: Storm | None = None
        """The last storm that began."""
        self._times = self._in_time()
        """The phases with the ages at which they begin and end; infinite behind a shut gate."""
        self.next_end = self._find_next_end()
        """The age at which it sends users away next; infinite when no phase does."""
        self._returns: list[tuple[float, int]] = []
        """A heap of the ages at which users come back, with their numbers."""

    def follow(self, phases: Iterable[tuple[Phase, Span]]) -> None:
        """Takes the phases, and their times, from now on."""
        self._phases = _that_send_away(phases)
        self._times = self._in_time()
        self.next_end = self._find_next_end()

    def __bool__(self) -> bool:
        """True when the plan has such phases."""
        return bool(self._phases)

    @property
    def returning(self) -> int:
        """The number of users that have left and will come back."""
        return len(self._returns)

    @property
    def next_return(self) -> float:
        """The age at which the next user comes back; infinite when none does."""
        return self._returns[0][0] if self._returns else inf

    def take_return(self) -> int:
        """Takes out the user that comes back next; returns its number."""
        return heappop(self._returns)[1]

    def bring_back(self, age: float, number: int) -> None:
        """Adds a user that comes back at an age."""
        heappush(self._returns, (age, number))

    def forget_returns(self) -> None:
        """Takes out all users that would come back."""
        self._returns.clear()

    def user_ended(self, number: int, reason: str, now: float, *, failed: bool) -> float:
        """Brings back a user that has just left, where a phase wants that.

        Returns when the next one of all users comes back; infinite when none does. Both times are
        seconds on the monotonic clock. `failed`: the user could not connect.
        """
        age = now - self.origin
        if reason == STORM and self._storm is not None:
            self.bring_back(self._storm.back_at(number), number)
        elif reason == CHURN or self.keeps(age):
            self.bring_back(age + RETRY_AFTER if failed else age, number)
        return self.origin + self.next_return

    def open_gate(self, gate: int, age: float) -> None:
        """Begins the phases that wait at this gate, at an age."""
        self._gates[gate] = age
        self._times = self._in_time()
        self.next_end = self._find_next_end()

    def take(self, fraction: float) -> None:
        """Adds another worker's part of the fleet to this worker's, for the time to come."""
        self._fraction += fraction
        self.next_end = self._find_next_end()

    def keeps(self, age: float) -> bool:
        """True when users whose session ends come back now."""
        return any(phase.keep and begin <= age < end for phase, begin, end in self._times)

    def churned(self, age: float) -> int:
        """Returns how many users are to be sent away since the last call."""
        self.owe(age)
        whole = int(self._owed)
        self._owed -= whole
        self.next_end = self._find_next_end()
        return whole

    def owe(self, age: float) -> None:
        """Counts the users that are to be sent away up to an age."""
        for phase, begin, end in self._times:
            overlap = min(age, end) - max(self._churned_at, begin)
            if overlap > 0.0:
                self._owed += overlap * phase.churn * self._fraction
        self._churned_at = max(self._churned_at, age)

    def storm(self, age: float) -> Storm | None:
        """Returns the storm that began since the last call, if any did."""
        before = self._storm_at
        self._storm_at = age
        self.next_end = self._find_next_end()
        for salt, (phase, begin, _) in enumerate(self._times, 1):
            if phase.storm and before < begin <= age:
                self._storm = Storm(begin, phase.storm, phase.jitter, self._seed, salt)
                return self._storm
        return None

    def _find_next_end(self) -> float:
        owed = self._owed
        ages = [inf]
        for phase, begin, end in self._times:
            if phase.storm and begin > self._storm_at:
                ages.append(begin)
            rate = phase.churn * self._fraction
            since = max(begin, self._churned_at)
            if rate and since < end:
                ages.append(since + (1.0 - owed) / rate)
                owed += (end - since) * rate
        return min(ages)

    def _in_time(self) -> list[tuple[Phase, float, float]]:
        opened = ((phase, span, self._gates.get(span.gate, inf)) for phase, span in self._phases)
        return [(phase, gate + span.begin, gate + span.end) for phase, span, gate in opened]


def _that_send_away(phases: Iterable[tuple[Phase, Span]]) -> list[tuple[Phase, Span]]:
    """Returns the phases that send users away or bring them back."""
    return [(phase, span) for phase, span in phases if phase.keep or phase.churn or phase.storm]
