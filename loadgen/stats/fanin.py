"""Merges one tally per source per second, ignores repeats, releases a second when every living
source has reported.

The same merge point stands in the agent (over its workers) and in the coordinator (over its
agents).
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from loadgen.stats.reasons import LOST
from loadgen.stats.tally import Count, Held, Ledger, Tally


class Second(msgspec.Struct):
    """What one source did in one second of the run, and what it was at its end."""

    number: Annotated[int, msgspec.Meta(ge=-1, le=2**31)]
    """Second n covers n to n+1 seconds after the start, on the source's own monotonic clock."""
    tally: Tally = msgspec.field(default_factory=Tally)
    held: Held = msgspec.field(default_factory=Held)
    cpu_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """CPU seconds, user and system, used since the source started."""
    rss: Count = 0
    """Resident memory in bytes."""
    span: int = 1
    """How many seconds are counted in this one: more after a long outage; 0: its counts are in a
    later one."""

    def absorb(self, earlier: "Second") -> "Second":
        """This second with the counts of the one before it in it."""
        tally = Tally()
        tally.merge(earlier.tally)
        tally.merge(self.tally)
        return Second(self.number, tally, self.held, self.cpu_s, self.rss, earlier.span + self.span)

    def merge(self, other: "Second") -> None:
        """Adds another source's same second to this one."""
        self.tally.merge(other.tally)
        self.held.merge(other.held)
        self.cpu_s += other.cpu_s
        self.rss += other.rss


class Settled(msgspec.Struct):
    """A second that was released: complete, or without the sources named in `missing`."""

    second: Second
    parts: dict[str, Second]
    missing: list[str]


class Source(msgspec.Struct):
    """One reporter: the sum of all it said, and where it stands."""

    total: Tally = msgspec.field(default_factory=Tally)
    last: Second = msgspec.field(default_factory=lambda: Second(-1))
    """The newest second it reported."""
    first: int = 0
    """The first second it owes."""
    living: bool = True
    """Whether seconds are still to come from it."""

    @property
    def launched(self) -> int:
        """How many of its numbers it launched for the first time."""
        return self.total.launched - self.total.relaunched

    @property
    def users(self) -> int:
        """How many users it has, those included that are about to come back."""
        return self.total.sessions_started - self.total.sessions_done + self.last.held.coming


class FanIn:
    """Seconds by source. `patience` is how many seconds a released one may lag behind the newest: 0
    waits for ever.

    Sources are declared with `expect`, and end with `finish` (all is said) or `lose` (it died).
    `first` is the first second that there is.
    """

    def __init__(self, patience: int = 0, first: int = 0) -> None:
        self.sources: dict[str, Source] = {}
        self.total = Tally()
        """Everything every source ever reported."""
        self._patience = patience
        self._parts: dict[int, dict[str, Second]] = {}
        self._partial: dict[int, dict[str, Second]] = {}
        """Seconds released incomplete: what they had, until the rest comes."""
        self._next = first
        self._newest = first - 1

    @property
    def next(self) -> int:
        """The next second to be released."""
        return self._next

    def expect(self, name: str, first: int = 0) -> None:
        """Declares a source that reports every second from `first` on."""
        self.sources[name] = Source(first=first)

    def add(self, name: str, second: Second) -> bool:
        """Takes a source's second; False when it was there already (or its source was given up)."""
        source = self.sources[name]
        if second.number <= source.last.number or not source.living:
            return False
        for number in range(
            max(source.last.number + 1, second.number - second.span + 1), second.number
        ):
            last = source.last  # what was counted then is in the later one
            self._count(name, Second(number, Tally(), last.held, last.cpu_s, last.rss, span=0))
        self._count(name, second)
        return True

    def finish(self, name: str) -> None:
        """Nothing more comes from this source: its last second was delivered."""
        self.sources[name].living = False

    def lose(self, name: str) -> Tally:
        """The source died: what it held open becomes `lost`, what was connecting becomes failed, in
        its next second.

        Its sessions are over.
        """
        source = self.sources[name]
        if not source.living:
            return Tally()
        source.living = False
        gone = Ledger.of(None, source.total)
        tally = Tally(
            lost=gone.open,
            failed={LOST: gone.connecting} if gone.connecting else {},
            sessions_done=source.total.sessions_started - source.total.sessions_done,
        )
        self._count(
            name, Second(max(source.last.number + 1, self._next), tally, cpu_s=source.last.cpu_s)
        )
        return tally

    def _count(self, name: str, second: Second) -> None:
        source = self.sources[name]
        source.last = second
        source.total.merge(second.tally)
        self.total.merge(second.tally)
        self._parts.setdefault(second.number, {})[name] = second
        self._newest = max(self._newest, second.number)

    def settle(self, over: int = -1) -> Iterator[Settled]:
        """Releases, in order, what is complete or has waited long enough; then corrections of what
        was not.

        `over` is the newest second that is over by the caller's clock. A second that was released
        incomplete comes again, more complete, whenever a late report arrives.
        """
        newest = max(self._newest, over)
        while self._next <= newest:
            missing = self._missing(self._next)
            if missing and not (self._patience and newest - self._next >= self._patience):
                break
            yield self._release(self._next, missing)
            self._next += 1
        for number in sorted(number for number in self._parts if number < self._next):
            yield self._release(number, self._missing(number))

    def _missing(self, number: int) -> list[str]:
        return [
            name
            for name, source in self.sources.items()
            if source.living and source.first <= number and source.last.number < number
        ]

    def _release(self, number: int, missing: list[str]) -> Settled:
        parts = self._partial.pop(number, {}) | self._parts.pop(number, {})
        if missing:
            self._partial[number] = parts
        whole = Second(number)
        for part in parts.values():
            whole.merge(part)
        return Settled(whole, parts, missing)
