"""The most connections that were open at once within a second.

Workers count on their own. The sum of their peaks is the peak of all only if they had them at the
same time; otherwise it is a bound that the peak of all can't exceed.
"""

from math import inf
from typing import Annotated

import msgspec

from loadgen.stats.histogram import MAX_VALUE

FOREVER = 2.0**31
"""Seconds; later than any run ends."""


class Peak(msgspec.Struct, omit_defaults=True):
    """The peak of some workers within one second.

    Times are in seconds from the start of the run.
    """

    count: Annotated[int, msgspec.Meta(ge=0, le=MAX_VALUE)] = 0
    """The sum of the most connections that each worker had open."""
    since: float = 0.0
    """From then on, all of them had theirs."""
    until: float = FOREVER
    """Until then; before `since` where they never had them at the same time."""
    known: bool = True
    """False where a part of it is unknown."""

    def merge(self, other: "Peak") -> None:
        """Adds the peak of other workers in the same second to this one."""
        self.count += other.count
        self.since = max(self.since, other.since)
        self.until = min(self.until, other.until)
        self.known = self.known and other.known

    def at_once(self, apart: float = 0.0) -> bool:
        """Returns True when that many connections were open at the same time.

        The clocks of the workers are at most `apart` seconds apart.
        """
        return self.known and self.until - self.since >= apart


class PeakMeter:
    """Measures the peak of one worker; times are seconds on the monotonic clock."""

    __slots__ = ("count", "open", "since", "until")

    def __init__(self) -> None:
        self.open = 0
        """The connections that are open now."""
        self.count = 0
        """The most of them in the current second."""
        self.since = -inf
        self.until = inf
        """When they were first as many, and no longer."""

    def opened(self, now: float) -> None:
        """Counts a connection that has opened."""
        self.open += 1
        if self.open > self.count:
            self.count = self.open
            self.since = now
            self.until = inf

    @property
    def holds(self) -> bool:
        """True while it is at its first peak: the next end has to say when it comes."""
        return self.open == self.count and self.until == inf

    def take(self, now: float, start: float) -> Peak:
        """Returns the peak since the last call, and begins anew.

        `start` is when the run began.
        """
        since, until = max(self.since, start), min(self.until, now)
        peak = Peak(self.count, round(since - start, 6), round(until - start, 6))
        self.count = self.open
        self.since = now
        self.until = inf
        return peak
