"""The figures of sessions' own, second by second.

Rows have the counters and checks of the run up to the end of their second; here are those of the
second alone.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from coordinator.run.parts import RECENT
from coordinator.run.row import Figures
from coordinator.run.summary import Summary
from loadgen.stats.tally import OTHER, CheckCounts

STATISTICS = ("p50", "p90", "p95", "p99", "max")
"""The statistics of a histogram or a timing of one second, in this order."""
MAX_DRAWN = 20
"""Names of each kind that charts show: of a run that goes on the first ones, which it keeps, and
of those that come in the same second the most frequent; of runs that are over the most frequent."""
Checked = tuple[int, int]
"""How often a check passed, and how often it failed."""
KINDS = ("counters", "checks", "timings")


class OwnFigures(msgspec.Struct, omit_defaults=True):
    """The own figures of sessions in one second."""

    counters: dict[str, int] = {}
    """The counts of this second alone, of each counter that there is by then."""
    checks: dict[str, Checked] = {}
    """The checks that were made in this second."""
    timings: dict[str, list[float | None]] = {}
    """The number of this second's values, and their STATISTICS in milliseconds; an older run has
    no p95."""


class OwnSeconds:
    """Makes the own figures of seconds, in the order in which their rows settled.

    Of each kind it has at most `most` names; None: all.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._kept: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self._totals: dict[int, tuple[dict[str, int], ...]] = {-1: ({}, {}, {})}
        """The counters, and how often checks passed and failed, up to the end of each second that
        another may follow."""

    def take(self, second: int, figures: Figures) -> OwnFigures:
        """Returns the own figures of a second of the fleet.

        Where the second before it has no row, it is unknown what was counted and checked in it.
        """
        passed = {name: one.passed for name, one in figures.checks.items()}
        failed = {name: one.failed for name, one in figures.checks.items()}
        self._totals[second] = figures.counters, passed, failed
        for old in [number for number in self._totals if number < second - RECENT]:
            del self._totals[old]
        counted: dict[str, int] = {}
        checked: dict[str, Checked] = {}
        if second - 1 in self._totals:
            counters_before, passed_before, failed_before = self._totals[second - 1]
            counted = _since(figures.counters, counters_before)
            passes, failures = _since(passed, passed_before), _since(failed, failed_before)
            made = {name: (passes[name], failures[name]) for name in passes}
            checked = {name: both for name, both in made.items() if any(both)}
        made_of = {name: sum(both) for name, both in checked.items()}
        times = {name: one.count for name, one in figures.timings.items()}
        return OwnFigures(
            {name: counted[name] for name in self._keep("counters", counted)},
            {name: checked[name] for name in self._keep("checks", made_of)},
            {
                name: [
                    times[name],
                    *(getattr(figures.timings[name], statistic) for statistic in STATISTICS),
                ]
                for name in self._keep("timings", times)
            },
        )

    def _keep(self, kind: str, numbers: Mapping[str, int]) -> list[str]:
        """Returns those of the names that are kept; new ones are, while there is room."""
        if self._most is None:
            return list(numbers)
        kept = self._kept[kind]
        if len(kept) < self._most:
            new = {name: number for name, number in numbers.items() if name not in kept}
            kept.update(most_frequent(new, self._most - len(kept)))
        return [name for name in numbers if name in kept]


def _since(totals: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Returns what was added to each total.

    A name beyond the most that a tally keeps is gone: what it had is in that of OTHER.
    """
    moved = sum(number for name, number in before.items() if name not in totals)
    known = {**before, OTHER: before.get(OTHER, 0) + moved}
    return {name: max(0, number - known.get(name, 0)) for name, number in totals.items()}


class Drawn(msgspec.Struct, frozen=True):
    """The names that charts of runs that are over show, the most frequent first."""

    counters: list[str]
    checks: list[str]
    timings: list[str]
    beyond: int
    """The number of names that they do not show."""


def drawn_of(summaries: Sequence[Summary]) -> Drawn:
    """Returns the names that are drawn of one run or several."""
    counters, checks, timings = totals = Counter[str](), Counter[str](), Counter[str]()
    for summary in summaries:
        counters.update(summary.counters)
        checks.update({name: one.total for name, one in summary.checks.items()})
        timings.update({name: one.count for name, one in summary.timings.items()})
    return Drawn(
        most_frequent(counters, MAX_DRAWN),
        most_frequent(checks, MAX_DRAWN),
        most_frequent(timings, MAX_DRAWN),
        beyond=sum(max(0, len(total) - MAX_DRAWN) for total in totals),
    )


def most_frequent(numbers: Mapping[str, int], most: int) -> list[str]:
    """Returns the `most` names with the highest numbers, the highest first."""
    return sorted(numbers, key=lambda name: (-numbers[name], name))[:most]


def share_of(checked: Checked) -> float:
    """Returns how many of the checks of a second passed, in percent."""
    return CheckCounts(*checked).share
