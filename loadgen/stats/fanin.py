"""Merges one tally per source per second, and releases complete seconds.

A second is complete once every living source reported it; repeats are ignored. The agent merges
its workers here, the coordinator its agents.
"""

from collections.abc import Iterator
from typing import Annotated, TypeVar

import msgspec

from loadgen.machine.host import HostState
from loadgen.plan.slices import MAX_SLICES, Slices
from loadgen.stats.delays import Delays
from loadgen.stats.delivery import News
from loadgen.stats.ledger import Held, Ledger
from loadgen.stats.peak import Peak
from loadgen.stats.reasons import LOST
from loadgen.stats.sums import HistogramSums
from loadgen.stats.tally import BY_NAME, WORKER_WIDE, Count, Tally

Key = TypeVar("Key", int, str)


class Slice(msgspec.Struct, omit_defaults=True):
    """The part of a tally that is of the users of one session and one target."""

    tally: Tally = msgspec.field(default_factory=Tally)
    """Without deliveries and the lag of the event loop, which are the worker's."""
    alive: Count | None = None
    """Of its open connections: those alive, as in Held."""
    moved: Count = 0
    """Of its launched users: those whose first connection went to the target of another slice,
    which has them as launched, too."""

    def merge(self, other: "Slice") -> None:
        """Adds the same slice of another source or second to this one."""
        self.tally.merge(other.tally)
        self.moved += other.moved
        if other.alive is not None:
            self.alive = (self.alive or 0) + other.alive

    @property
    def ledger(self) -> Ledger:
        """The ledger of what it counts; how many users it has in all is unknown."""
        return Ledger.of(None, self.tally, self.moved)


MANY = 32
"""Sources from which on their histograms are summed up in lists."""
AllSlices = Annotated[dict[Count, Slice], msgspec.Meta(max_length=MAX_SLICES)]
"""The slices of a run by place, those with something; none where results are not split."""


def merge_slices(mine: dict[Key, Slice], theirs: dict[Key, Slice]) -> None:
    """Adds the slices of another source, or of another second, to these."""
    for place, one in theirs.items():
        mine.setdefault(place, Slice()).merge(one)


def by_session(slices: Slices, counted: dict[int, Slice]) -> dict[str, Slice]:
    """Returns what was counted in slices, added up by session.

    Nothing where results are not split by it. An agent may make a place up: it is left out.
    """
    found = {name: Slice() for name in slices.sessions}
    for place, one in counted.items():
        if found and place < slices.number:
            found[slices.session_of(place)].merge(one)
    for one in found.values():
        one.tally.launched -= one.moved
        one.moved = 0
    return found


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
    slices: AllSlices = msgspec.field(default_factory=dict)
    """The parts of the tally, where results are split."""

    def absorb(self, earlier: "Second") -> "Second":
        """Returns a second that holds the counts of this one and of the one before it."""
        tally = merged(earlier.tally, self.tally)
        delays = Delays()
        delays.merge(earlier.delays)
        delays.merge(self.delays)
        span = earlier.span + self.span
        host = self.host or earlier.host
        whole = Second(self.number, tally, self.held, self.cpu_s, self.rss, span, delays, host)
        for second in (earlier, self):
            whole.add_news(second.news)
            merge_slices(whole.slices, second.slices)
        for place, one in whole.slices.items():
            one.alive = self.slices[place].alive if place in self.slices else None
        return whole

    def merge(self, other: "Second") -> None:
        """Adds the same second of another source to this one."""
        self.tally.merge(other.tally)
        self.merge_state(other)

    def merge_state(self, other: "Second") -> None:
        """Adds all but the tally of the same second of another source."""
        self.held.merge(other.held)
        self.delays.merge(other.delays)
        self.cpu_s += other.cpu_s
        self.rss += other.rss
        self.add_news(other.news)
        merge_slices(self.slices, other.slices)

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
    lost: list[str]
    """The sources that were lost before they reported it: what they did in it is unknown."""
    fresh: Tally
    """The counts that no earlier release of this second had."""


class Source(msgspec.Struct):
    """A worker or agent that reports: the sum of its reports, and the newest one."""

    total: Tally = msgspec.field(default_factory=Tally)
    """Without histograms where the source is one of many: see `FanIn.expect`."""
    detailed: bool = True
    """False where its total has no histograms."""
    last: Second = msgspec.field(default_factory=lambda: Second(-1))
    """The newest second that it reported."""
    first: int = 0
    """The first second that it has to report."""
    living: bool = True
    """True while it has more seconds to report."""
    unreported: range = range(0)
    """The seconds that it did not report before it was lost."""
    slices: dict[int, Slice] = msgspec.field(default_factory=dict)
    """The parts of the total, where results are split; alive are those of the newest second."""

    def count(self, second: Second) -> None:
        """Adds the next second that it reported."""
        self.last = second
        self.total.merge_counts(second.tally)
        if self.detailed:
            self.total.merge_histograms(second.tally)
        merge_slices(self.slices, second.slices)
        for place, one in self.slices.items():
            one.alive = second.slices[place].alive if place in second.slices else None

    def slice_breaches(self, slices: Slices) -> list[str]:
        """Returns a text for each count whose sum over the slices is not the total."""
        split, moved = Tally(), 0
        for place, one in self.slices.items():
            if place < slices.number:
                split.merge(one.tally)
                moved += one.moved
        split.launched -= moved
        counted, whole = _sums(split), _sums(self.total)
        return [
            f"{name} is {whole[name]} but {counted[name]} by session and target"
            for name in whole
            if counted[name] != whole[name]
        ]

    @property
    def launched(self) -> int:
        """The number of the plan's connections that it launched, each counted once."""
        return self.total.launched - self.total.relaunched

    @property
    def users(self) -> int:
        """The number of its users, including those that will be launched again."""
        return self.total.sessions_running + self.last.held.coming


class Fresh:
    """The sum of the parts that a second was not released with yet.

    Of `many` parts histograms are added up in lists.
    """

    def __init__(self, *, many: bool) -> None:
        self._tally = Tally()
        self._sums = HistogramSums() if many else None

    def add(self, tally: Tally) -> None:
        """Adds the tally of another part."""
        if self._sums is None:
            self._tally.merge(tally)
            return
        self._tally.merge_counts(tally)
        self._tally.merge_timings(tally)
        self._sums.add(tally)

    def sum(self) -> Tally:
        """Returns the sum; of few parts the one that more is added to."""
        if self._sums is None:
            return self._tally
        tally = merged(self._tally, Tally())
        self._sums.add_to(tally)
        return tally


class FanIn:
    """The merge point of several sources, by second.

    A source begins with `expect`, and ends with `finish` (it reported everything) or `lose` (it
    died). A second waits for its missing sources until it is `patience` seconds older than the
    newest one; with 0 it waits without a limit. `first` is the first second of the run.
    """

    def __init__(self, patience: int = 0, first: int = 0) -> None:
        self.sources: dict[str, Source] = {}
        self.counts = Tally()
        """The sum of everything that every source reported, without histograms and timings."""
        self._released = Tally()
        """The histograms and timings of everything that was released."""
        self._patience = patience
        self._parts: dict[int, dict[str, Second]] = {}
        self._fresh: dict[int, Fresh] = {}
        """The sums of the parts that were not released yet, by second.

        Subtle: each part is merged into one of them as it comes, and only there, since a thousand
        agents report a histogram a second each. All other totals get a second's sum.
        """
        self._partial: dict[int, tuple[dict[str, Second], Tally]] = {}
        """The parts of seconds that were released incomplete, and their sum, until the other parts
        come."""
        self._next = first
        self._newest = first - 1

    @property
    def next(self) -> int:
        """The next second to release."""
        return self._next

    @property
    def total(self) -> Tally:
        """The sum of everything that every source reported."""
        total = Tally()
        total.merge_counts(self.counts)
        total.merge_histograms(self._released)
        for fresh in self._fresh.values():
            total.merge_histograms(fresh.sum())
        return total

    @property
    def alive(self) -> int | None:
        """The connections alive by the newest second of each source.

        None where that is unknown.
        """
        held = Held()
        for source in self.sources.values():
            held.merge(source.last.held)
        return held.alive

    @property
    def slices(self) -> dict[int, Slice]:
        """The slices of everything that every source reported."""
        slices: dict[int, Slice] = {}
        for source in self.sources.values():
            merge_slices(slices, source.slices)
        return slices

    def expect(self, name: str, first: int = 0, *, detailed: bool = True) -> None:
        """Adds a source that reports every second from `first` on.

        Its own total has histograms where it is `detailed`; that of all sources always has.
        """
        self.sources[name] = Source(first=first, detailed=detailed)

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
        tally = _lost(Ledger.of(None, source.total), source.total)
        number = max(source.last.number + 1, self._next)
        held = Held(peak=Peak(known=False))
        last = Second(number, tally, held, cpu_s=source.last.cpu_s)
        last.slices = {
            place: Slice(_lost(one.ledger, one.tally)) for place, one in source.slices.items()
        }
        self._count(name, last)
        return tally

    def _count(self, name: str, second: Second) -> None:
        source = self.sources[name]
        source.count(second)
        self.counts.merge_counts(second.tally)
        if second.number not in self._fresh:
            self._fresh[second.number] = Fresh(many=len(self.sources) >= MANY)
        self._fresh[second.number].add(second.tally)
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
        fresh = self._fresh.pop(number).sum() if number in self._fresh else Tally()
        self._released.merge_histograms(fresh)
        parts, tally = self._partial.pop(number, ({}, None))
        parts = parts | self._parts.pop(number, {})
        tally = fresh if tally is None else merged(tally, fresh)
        if missing:
            self._partial[number] = parts, tally
        whole = Second(number, tally)
        for part in parts.values():
            whole.merge_state(part)
        lost = [name for name, source in self.sources.items() if number in source.unreported]
        return Settled(whole, parts, missing, lost, fresh)


def merged(earlier: Tally, later: Tally) -> Tally:
    """Returns the sum of two tallies, and leaves both as they are."""
    tally = Tally()
    tally.merge(earlier)
    tally.merge(later)
    return tally


def _sums(tally: Tally) -> dict[str, int]:
    """Returns the counts that are split, with those by reason added up."""
    return {
        **{name: number for name, number in tally.counts().items() if name not in WORKER_WIDE},
        **{name: sum(getattr(tally, name).values()) for name in BY_NAME},
    }


def _lost(ledger: Ledger, total: Tally) -> Tally:
    """Returns what the end of a source that died counts for what it held."""
    return Tally(
        lost=ledger.open,
        failed={LOST: ledger.connecting} if ledger.connecting else {},
        sessions_failed=total.sessions_running,
    )
