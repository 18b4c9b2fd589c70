"""The parts that a run has one after another: who arrives in them, who is sent away and comes back."""

import sys
from typing import Annotated

import msgspec

HIGHEST = sys.float_info.max  # JSON has no infinity
Positive = Annotated[float, msgspec.Meta(gt=0, le=HIGHEST)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=HIGHEST)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One part of a run; durations in seconds, rates per second over the whole fleet.

    Connections arrive while it has a rate; without one it holds what is there. It lasts `duration`, or as long as
    `max` arrivals take at its rate; with both it ends with `duration`, and no more than `max` arrive.
    """

    name: str = ""
    rate: NotNegative = 0.0
    """Arrivals per second, at its beginning when there is a `rate_to`."""
    rate_to: NotNegative | None = None
    """Arrivals per second at its end; in between the rate changes steadily."""
    duration: Positive | None = None
    max: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Connections started in this phase at most."""
    wait: bool = False
    """The next phase begins only when every session is over (Tsung's wait_all_sessions_end)."""
    keep: bool = False
    """Whose session ends in this phase comes back at once: so many stay connected as were (a closed model)."""
    churn: NotNegative = 0.0
    """Connections per second that are closed, one after another, and come back at once."""
    storm: Fraction = 0.0
    """This part of all connections is cut when the phase begins, and comes back within `jitter`."""
    jitter: NotNegative = 0.0
    """Seconds over which a storm's connections come back, evenly."""
    sessions: dict[str, Positive] = {}
    """The weights of the sessions that arrive in this phase, by name, where they are not the plan's own."""

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

    @property
    def area(self) -> float:
        """What the rate brings in that time: no whole number as a rule."""
        return (self.rate + self.last_rate) / 2 * self.length

    @property
    def arrivals(self) -> int:
        """How many connections arrive in it."""
        return round(self.area) if self.max is None else min(round(self.area), self.max)
