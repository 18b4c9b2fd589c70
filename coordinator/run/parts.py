"""The figures of a run, its plateau, its phases, its sessions and its targets.

A second is in the phase in which it begins, or in DRAIN once the run is drained. The plateau lasts
from the first second with nearly as many connections open as at the peak until the drain, whatever
happens to them in between. Counts are those of all seconds, percentiles those of the valid ones: a
stalled generator measures itself.
"""

from collections.abc import Container, Sequence

import msgspec

from coordinator.run.life import NEARLY
from coordinator.run.row import Percentiles, copied, in_order, summaries
from coordinator.run.timeline import Entry, counts_only
from loadgen.stats.reasons import unexpected
from loadgen.stats.tally import CheckCounts, Count, Counts, CountsByReason, Tally

WHOLE = "run"
PLATEAU = "plateau"
PHASE = "phase."
"""Before the name of a phase."""
DRAIN = "drain"
"""The name of the time in which connections are closed in good order, as of a phase."""
RECENT = 20
"""Seconds in which a second may be corrected: an agent that is silent for longer is lost."""
STEP = 1 + (1 - NEARLY) / 64
"""The growth of the open connections at which the plateau may begin anew."""


class Part(Counts, kw_only=True, omit_defaults=False):
    """The figures of a part of the run; the counters are those of `Counts`."""

    begin: Count
    """Its first second."""
    end: Count
    """Its last second."""
    seconds: Count
    """The number of its seconds that have settled."""
    invalid_seconds: Count
    held: Count
    """Connections that were open at its begin, and those that opened in it."""
    open_peak: int
    """The most connections that were open at the end of one of its seconds."""
    open_min: int
    """The fewest."""
    open_end: int | None = None
    """Those at the end of its last second; None in an older run directory."""
    failed: CountsByReason
    closed: CountsByReason
    unexpected: Count
    """Closes that plan, operator and session did not ask for."""
    histograms: dict[str, Percentiles]
    """Of its valid seconds; percentiles in milliseconds."""
    counters: dict[str, Count]
    timings: dict[str, Percentiles]
    """Of its valid seconds."""
    checks: dict[str, CheckCounts] = msgspec.field(default_factory=dict)
    http_replies: CountsByReason = msgspec.field(default_factory=dict)
    """By status."""
    http_failed: CountsByReason = msgspec.field(default_factory=dict)


class PartSecond(msgspec.Struct):
    """One second, as long as it may be corrected."""

    number: int
    phase: str
    draining: bool
    tally: Tally = msgspec.field(default_factory=Tally)
    open: int = 0
    """Connections open at its end."""
    before: int = 0
    """Connections open at its begin."""
    valid: bool = True
    split: "dict[str, PartSecond]" = msgspec.field(default_factory=dict)
    """The same second of each session and each target, where results are split."""


class Portion(msgspec.Struct):
    """The sum of consecutive seconds."""

    begin: int
    held: int
    """Connections open at its begin."""
    level: int
    """Connections open at the end of its first second."""
    open_min: int
    open_peak: int
    open_end: int
    """Connections open at the end of its last second."""
    end: int
    seconds: int = 0
    invalid: int = 0
    counts: Tally = msgspec.field(default_factory=Tally)
    """Of all seconds, without histograms."""
    valid: Tally = msgspec.field(default_factory=Tally)
    """Of the valid seconds alone; its histograms count."""

    @classmethod
    def of(cls, second: PartSecond) -> "Portion":
        """Returns a second as a portion, which shares its tally: nothing may be added."""
        portion = cls.before(second)
        portion.seconds = 1
        portion.counts = counts_only(second.tally)
        if second.valid:
            portion.valid = second.tally
        else:
            portion.invalid = 1
        return portion

    @classmethod
    def before(cls, first: "PartSecond | Portion") -> "Portion":
        """Returns an empty portion, which `first` is to be merged into."""
        if isinstance(first, Portion):
            return cls(
                first.begin,
                first.held,
                first.level,
                first.open_min,
                first.open_peak,
                first.open_end,
                first.end,
            )
        return cls(
            first.number,
            first.before,
            first.open,
            first.open,
            first.open,
            first.open,
            first.number,
        )

    def merge(self, later: "Portion") -> None:
        """Adds a portion that follows this one."""
        self.end = later.end
        self.seconds += later.seconds
        self.invalid += later.invalid
        self.open_min = min(self.open_min, later.open_min)
        self.open_peak = max(self.open_peak, later.open_peak)
        self.open_end = later.open_end
        self.counts.merge(later.counts)
        self.valid.merge(later.valid)

    def part(self) -> Part:
        """Returns the figures."""
        total = self.counts
        return Part(
            **total.counts(),
            begin=self.begin,
            end=self.end,
            seconds=self.seconds,
            invalid_seconds=self.invalid,
            held=self.held + total.opened,
            open_peak=self.open_peak,
            open_min=self.open_min,
            open_end=self.open_end,
            failed=in_order(total.failed),
            closed=in_order(total.closed),
            unexpected=sum(unexpected(total.closed).values()),
            histograms=summaries(self.valid.histograms()),
            counters=in_order(total.counters),
            timings=summaries(in_order(self.valid.timings)),
            checks=copied(total.checks),
            http_replies=in_order(total.http_replies),
            http_failed=in_order(total.http_failed),
        )


class Parts:
    """Adds up the seconds of a run by its parts.

    Subtle: a second is kept apart for RECENT seconds, since a correction may make it valid, and is
    then merged into its parts. The peak may still rise, and the plateau then begins later. So the
    plateau is kept in segments that begin with a second in which more connections were open than
    ever before; the first segments are dropped as the peak leaves them behind. With STEP between
    two of them they are few, however long the run, and the plateau begins at most the time late in
    which the open connections grow by so little.
    """

    def __init__(self) -> None:
        self._recent: dict[int, PartSecond] = {}
        self._named: dict[str, Portion] = {}
        """WHOLE, the phases, sessions and targets, without the recent seconds."""
        self._plateau: list[Portion] = []
        """The segments of the plateau, without the recent seconds."""

    def add(self, entry: Entry, phase: str, *, draining: bool) -> None:
        """Adds a settled second of a phase, or corrects it."""
        row = entry.row
        phase = DRAIN if draining else phase
        second = self._recent.get(row.second)
        if second is None:
            if row.corrects:
                self._add_late(entry, phase)
                return
            second = self._recent[row.second] = PartSecond(row.second, phase, draining)
        second.tally.merge(entry.fresh)
        ledger, rates = row.fleet.ledger, row.fleet.rates
        second.open = max(0, ledger.open)
        second.before = max(0, ledger.open - rates.opened + rates.closed + rates.lost)
        second.valid = not row.invalid
        for name, fresh in entry.parts.items():
            one = second.split.setdefault(name, PartSecond(row.second, phase, draining))
            one.tally.merge(fresh)
            one.open = max(0, row.parts[name].open)
            one.before = max(0, row.parts[name].before)
            one.valid = second.valid
        newest = max(self._recent)
        for number in sorted(self._recent):
            if number <= newest - RECENT:
                self._merge(self._recent.pop(number))

    def _add_late(self, entry: Entry, phase: str) -> None:
        """Adds the counts of a correction to parts that have merged its second already.

        The second stays invalid.
        """
        named = (self._named.get(name) for name in (WHOLE, f"{PHASE}{phase}"))
        segments = (one for one in self._plateau if one.begin <= entry.row.second <= one.end)
        for portion in filter(None, (*named, *segments)):
            portion.counts.merge(counts_only(entry.fresh))
        for name, fresh in entry.parts.items():
            self._named[name].counts.merge(counts_only(fresh))

    def _merge(self, second: PartSecond) -> None:
        for name in (WHOLE, f"{PHASE}{second.phase}"):
            self._named.setdefault(name, Portion.before(second)).merge(Portion.of(second))
        for name, one in second.split.items():
            self._named.setdefault(name, Portion.before(one)).merge(Portion.of(one))
        if second.draining:
            return
        if not self._plateau or second.open > STEP * self._plateau[-1].level:
            self._plateau.append(Portion.before(second))
        self._plateau[-1].merge(Portion.of(second))
        self._plateau = _from_level(self._plateau)

    def figures(self, wanted: Container[str] | None = None) -> dict[str, Part]:
        """Returns the figures of each part.

        They are WHOLE, PLATEAU, and PHASE with a name; where results are split, SESSION with a
        name and TARGET with a URL as well. With `wanted`, of these parts alone.
        """
        recent = [self._recent[number] for number in sorted(self._recent)]
        portions = {WHOLE: [], PLATEAU: list(self._plateau)}
        portions |= {name: [portion] for name, portion in self._named.items()}
        for second in recent:
            own = Portion.of(second)
            for name in (WHOLE, f"{PHASE}{second.phase}"):
                portions.setdefault(name, []).append(own)
            for name, one in second.split.items():
                if wanted is None or name in wanted:
                    portions.setdefault(name, []).append(Portion.of(one))
            if not second.draining:
                portions[PLATEAU].append(own)
        portions[PLATEAU] = _from_level(portions[PLATEAU])
        return {
            name: _joined(own).part()
            for name, own in portions.items()
            if own and (wanted is None or name in wanted)
        }


def _from_level(portions: list[Portion]) -> list[Portion]:
    """Returns the portions from the first one on that begins near the peak of all.

    No connection was open: no portion.
    """
    peak = max((portion.level for portion in portions), default=0)
    first = next((at for at, one in enumerate(portions) if one.level >= NEARLY * peak), 0)
    return portions[first:] if peak else []


def _joined(portions: Sequence[Portion]) -> Portion:
    joined = Portion.before(portions[0])
    for portion in portions:
        joined.merge(portion)
    return joined
