"""The phases of a run: the users that arrive, are closed, and come back."""

from collections.abc import Iterator
from typing import Annotated

import msgspec

MAX_NUMBER = 1e9
"""Seconds (thirty years), or a rate per second that no fleet has: more must be a typing error."""
Positive = Annotated[float, msgspec.Meta(gt=0, le=MAX_NUMBER)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=MAX_NUMBER)]
MAX_ARRIVALS = 10**12
"""Arrivals in one phase: more must be a typing error."""
Weight = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
"""A part in proportion to others."""
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One phase of a run.

    Durations are in seconds, rates are per second over the whole fleet.

    Users arrive while it has a rate; without a rate it holds the open connections. It lasts
    `duration`, or as long as `max` arrivals take at its rate; with both it ends with `duration`,
    and no more than `max` arrive.
    """

    name: str = ""
    rate: NotNegative = 0.0
    """Arrivals per second, at its beginning when it has a `rate_to`."""
    rate_to: NotNegative | None = None
    """Arrivals per second at its end; in between the rate changes linearly."""
    duration: Positive | None = None
    max: Annotated[int, msgspec.Meta(ge=1, le=MAX_ARRIVALS)] | None = None
    """Connections started in this phase at most."""
    wait: bool = False
    """The next phase begins only when every session is over (Tsung's wait_all_sessions_end)."""
    keep: bool = False
    """A user whose session ends in this phase comes back at once, so that the number of
    connections stays the same (a closed model)."""
    churn: NotNegative = 0.0
    """Connections per second that are closed, one after another, and come back at once."""
    storm: Fraction = 0.0
    """The part of all connections that is aborted when the phase begins, and comes back within
    `jitter`."""
    jitter: NotNegative = 0.0
    """Seconds over which a storm's connections come back, evenly."""
    sessions: dict[str, Weight] = {}
    """The weights of the sessions that arrive in this phase, by name, where they are not the
    plan's own."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """Yields each mistake: its key, empty for the whole phase, and what is wrong."""
        if self.duration is None:
            yield from self._mistakes_without_duration()
        elif self.jitter > self.duration:
            yield (
                "jitter",
                "is longer than the phase's `duration`; all that were aborted must be back by its"
                " end",
            )
        if self.jitter and not self.storm:
            yield "jitter", "has no effect without a `storm`"
        if self.max is not None and not (self.rate or self.rate_to):
            yield "max", "has no effect without a `rate`"

    def _mistakes_without_duration(self) -> Iterator[tuple[str, str]]:
        if self.rate_to is not None:
            yield "rate_to", "needs a `duration`, in which the rate gets there"
        if self.storm:
            yield "storm", "needs a `duration`, in which those that were aborted come back"
        if not self.rate or self.max is None:
            yield "", "needs a `duration`, or a `rate` and a `max`"

    @property
    def last_rate(self) -> float:
        """Arrivals per second at its end."""
        return self.rate if self.rate_to is None else self.rate_to

    @property
    def is_steady(self) -> bool:
        """True when the rate does not change."""
        return self.last_rate == self.rate

    @property
    def length(self) -> float:
        """The seconds that it lasts; one that waits may last longer."""
        if self.duration is not None:
            return self.duration
        assert self.max is not None
        return self.max / self.rate

    def brought(self, seconds: float) -> float:
        """Returns how many users arrive in its first seconds; fractions count too."""
        passed = min(max(0.0, seconds), self.length)
        return min(
            self.arrivals,
            passed * (self.rate + (self.last_rate - self.rate) * passed / (2 * self.length)),
        )

    @property
    def area(self) -> float:
        """The integral of the rate over its length: arrivals that are not rounded."""
        return (self.rate + self.last_rate) / 2 * self.length

    @property
    def arrivals(self) -> int:
        """The number of users that arrive in it."""
        return round(self.area) if self.max is None else min(round(self.area), self.max)
