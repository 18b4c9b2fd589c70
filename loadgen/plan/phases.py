"""The parts that a run has one after another: who arrives in them, who is sent away and comes
back."""

from collections.abc import Iterator
from typing import Annotated

import msgspec

HIGHEST = 1e9
"""Seconds, or as many a second: thirty years, and what no fleet does; whatever is more is a slip
of the pen."""
Positive = Annotated[float, msgspec.Meta(gt=0, le=HIGHEST)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=HIGHEST)]
MAX_ARRIVALS = 10**12
"""In one phase; whatever brings more is a slip of the pen."""
Weight = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
"""A part in proportion to others."""
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One part of a run; durations in seconds, rates per second over the whole fleet.

    Connections arrive while it has a rate; without one it holds what is there. It lasts `duration`,
    or as long as `max` arrivals take at its rate; with both it ends with `duration`, and no more
    than `max` arrive.
    """

    name: str = ""
    rate: NotNegative = 0.0
    """Arrivals per second, at its beginning when there is a `rate_to`."""
    rate_to: NotNegative | None = None
    """Arrivals per second at its end; in between the rate changes steadily."""
    duration: Positive | None = None
    max: Annotated[int, msgspec.Meta(ge=1, le=MAX_ARRIVALS)] | None = None
    """Connections started in this phase at most."""
    wait: bool = False
    """The next phase begins only when every session is over (Tsung's wait_all_sessions_end)."""
    keep: bool = False
    """Whose session ends in this phase comes back at once: so many stay connected as were (a
    closed model)."""
    churn: NotNegative = 0.0
    """Connections per second that are closed, one after another, and come back at once."""
    storm: Fraction = 0.0
    """This part of all connections is cut when the phase begins, and comes back within `jitter`."""
    jitter: NotNegative = 0.0
    """Seconds over which a storm's connections come back, evenly."""
    sessions: dict[str, Weight] = {}
    """The weights of the sessions that arrive in this phase, by name, where they are not the
    plan's own."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """What keeps it from being run: the key at fault, if it is one, and what is wrong with
        it."""
        if self.duration is None:
            yield from self._faults_without_duration()
        elif self.jitter > self.duration:
            yield (
                "jitter",
                "is longer than the phase's `duration`; all who were cut must be back by its end",
            )
        if self.jitter and not self.storm:
            yield "jitter", "says nothing without a `storm`"
        if self.max is not None and not (self.rate or self.rate_to):
            yield "max", "says nothing without a `rate`"

    def _faults_without_duration(self) -> Iterator[tuple[str, str]]:
        if self.rate_to is not None:
            yield "rate_to", "needs a `duration`, in which the rate gets there"
        if self.storm:
            yield "storm", "needs a `duration`, in which those who were cut come back"
        if not self.rate or self.max is None:
            yield "", "needs a `duration`, or a `rate` and a `max`"

    @property
    def last_rate(self) -> float:
        """Arrivals per second at its end."""
        return self.rate if self.rate_to is None else self.rate_to

    @property
    def is_steady(self) -> bool:
        """Whether the rate stays as it is."""
        return self.last_rate == self.rate

    @property
    def length(self) -> float:
        """How long it lasts, in seconds; one that waits may last longer."""
        if self.duration is not None:
            return self.duration
        assert self.max is not None
        return self.max / self.rate

    def brought(self, seconds: float) -> float:
        """What its rate brings in so many seconds from its beginning on: no whole number as a
        rule."""
        passed = min(max(0.0, seconds), self.length)
        return min(
            self.arrivals,
            passed * (self.rate + (self.last_rate - self.rate) * passed / (2 * self.length)),
        )

    @property
    def area(self) -> float:
        """What the rate brings in that time: no whole number as a rule."""
        return (self.rate + self.last_rate) / 2 * self.length

    @property
    def arrivals(self) -> int:
        """How many connections arrive in it."""
        return round(self.area) if self.max is None else min(round(self.area), self.max)
