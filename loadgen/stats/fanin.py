"""Merges one tally per source per second, and releases complete seconds.

A second is complete once every living source reported it; repeats are ignored. The agent merges
its workers here, the coordinator its agents.
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from loadgen.machine.host import HostState
from loadgen.stats.delays import Delays
from loadgen.stats.delivery import News
from loadgen.stats.peak import Peak
from loadgen.stats.reasons import LOST
from loadgen.stats.tally import Count, Held, Ledger, Tally


class Second(msgspec.Struct, omit_defaults=True):
    """The counts of one second at one source, and the state of the source at its end."""

    number: Annotated[int, msgspec.Meta(ge=-1, le=2**31)]
    """Second n is from n to n+1 seconds after the start, on the source's own monotonic clock."""
    tally: Tally = msgspec.field(default_factory=Tally)
    held: Held = msgspec.field(default_factory=Held)
    cpu_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """CPU seconds, user and system, used since the source started."""
    rss: Count = 0
    """Resident memory in bytes."""
    span: int = 1
    """The number of seconds whose counts are in this one.

    It is more than 1 after a long outage, and 0 where a later second has the counts.
    """
    delays: Delays = msgspec.field(default_factory=Delays)
    """The source's own: a second with any proves less, or nothing."""
    host: HostState | None = None
    """The state of its host meanwhile; None where unknown, and for a worker or a fleet."""
    news: News | None = None
    """The news about publications, if there are any."""

    def absorb(self, earlier: "Second") -> "Second":
        """Returns a second that holds the counts of this one and of the one before it."""
        tally = Tally()
        tally.merge(earlier.tally)
        tally.merge(self.tally)
        delays = Delays()
        delays.merge(earlier.delays)
        delays.merge(self.delays)
        span = earlier.span + self.span
        host = self.host or earlier.host
        whole = Second(self.number, tally, self.held, self.cpu_s, self.rss, span, delays, host)
        for second in (earlier, self):
            whole.add_news(second.news)
        return whole

    def merge(self, other: "Second") -> None:
        """Adds the same second of another source to this one."""
        self.tally.merge(other.tally)
        self.held.merge(other.held)
        self.delays.merge(other.delays)
        self.cpu_s += other.cpu_s
        self.rss += other.rss
        self.add_news(other.news)

    def add_news(self, news: News | None) -> None:
        """Adds news about publications to its own."""
        if news is not None:
            self.news = self.news or News()
            self.news.merge(news)


class Settled(msgspec.Struct):
    """A released second: complete, or without the sources named in `missing`."""

    second: Second
    parts: dict[str, Second]
    missing: list[str]
    lost: list[str] = []
    """The sources that were lost before they reported it: what they did in it is unknown."""


class Source(msgspec.Struct):
    """A worker or agent that reports: the sum of its reports, and the newest one."""

    total: Tally = msgspec.field(default_factory=Tally)
    last: Second = msgspec.field(default_factory=lambda: Second(-1))
    """The newest second that it reported."""
    first: int = 0
    """The first second that it has to report."""
    living: bool = True
    """True while it has more seconds to report."""
    unreported: range = range(0)
    """The seconds that it did not report before it was lost."""

    @property
    def launched(self) -> int:
        """The number of the plan's connections that it launched, each counted once."""
        return self.total.launched - self.total.relaunched

    @property
    def users(self) -> int:
        """The number of its users, including those that will be launched again."""
        return self.total.sessions_running + self.last.held.coming


class FanIn:
    """The merge point of several sources, by second.

    A source begins with `expect`, and ends with `finish` (it reported everything) or `lose` (it
    died). A second waits for its missing sources until it is `patience` seconds older than the
    newest one; with 0 it waits without a limit. `first` is the first second of the run.
    """

    def __init__(self, patience: int = 0, first: int = 0) -> None:
        self.sources: dict[str, Source] = {}
        self.total = Tally()
        """The sum of everything that every source reported."""
        self._patience = patience
        self._parts: dict[int, dict[str, Second]] = {}
        self._partial: dict[int, dict[str, Second]] = {}
        """The parts of seconds that were released incomplete, until the other parts come."""
        self._next = first
        self._newest = first - 1

    @property
    def next(self) -> int:
        """The next second to release."""
        return self._next

    @property
    def alive(self) -> int | None:
        """The connections alive by the newest second of each source.

        None where that is unknown.
        """
        held = Held()
        for source in self.sources.values():
            held.merge(source.last.held)
        return held.alive

    def expect(self, name: str, first: int = 0) -> None:
        """Adds a source that reports every second from `first` on."""
        self.sources[name] = Source(first=first)

    def add(self, name: str, second: Second) -> bool:
        """Adds a second; returns False for a repeat and for a source that ended."""
        source = self.sources[name]
        if second.number <= source.last.number or not source.living:
            return False
        for number in range(
            max(source.last.number + 1, second.number - second.span + 1), second.number
        ):
            # Subtle: a second that covers several holds the counts of all of them. Those before it
            # are empty, so that none is missing.
            last = source.last
            self._count(name, Second(number, Tally(), last.held, last.cpu_s, last.rss, span=0))
        self._count(name, second)
        return True

    def finish(self, name: str) -> None:
        """Ends a source that has delivered its last second."""
        self.sources[name].living = False

    def lose(self, name: str, until: int = -1) -> Tally:
        """Ends a source that died; returns the counts that its next second gets for it.

        What it did up to the second `until` is unknown. Its open connections count as `lost`, its
        connecting ones and its sessions as failed.
        """
        source = self.sources[name]
        if not source.living:
            return Tally()
        source.living = False
        source.unreported = range(max(source.last.number + 1, source.first), until + 1)
        ledger = Ledger.of(None, source.total)
        tally = Tally(
            lost=ledger.open,
            failed={LOST: ledger.connecting} if ledger.connecting else {},
            sessions_failed=source.total.sessions_running,
        )
        number = max(source.last.number + 1, self._next)
        held = Held(peak=Peak(known=False))
        self._count(name, Second(number, tally, held, cpu_s=source.last.cpu_s))
        return tally

    def _count(self, name: str, second: Second) -> None:
        source = self.sources[name]
        source.last = second
        source.total.merge(second.tally)
        self.total.merge(second.tally)
        self._parts.setdefault(second.number, {})[name] = second
        self._newest = max(self._newest, second.number)

    def settle(self, over: int = -1) -> Iterator[Settled]:
        """Yields the seconds to release, in order, and then corrections of earlier ones.

        A second is released when it is complete or has waited for `patience`. One that was released
        incomplete is yielded again whenever a late report makes it more complete. `over` is the
        newest second that is over by the caller's clock.
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
        lost = [name for name, source in self.sources.items() if number in source.unreported]
        return Settled(whole, parts, missing, lost)
