"""The run as viewers follow it: its settled seconds, what happens in it, and once a second how it stands."""

import math
from collections.abc import Callable
from typing import Any

import msgspec

from coordinator.blame import culprit
from coordinator.chronicle import Chronicle
from coordinator.feed import Feed
from coordinator.run import News, Run
from coordinator.sample import AGENT_SERIES, STATISTICS, Sampler, verified_within
from coordinator.timeline import Row
from loadgen.histogram import Histogram
from loadgen.version import VERSION

BARS_US = tuple(round(step * 10**power) for power in range(1, 8) for step in (1, 1.5, 2, 3, 5, 7))  # 10 µs to 70 s
"""The upper bounds of the bars that a histogram is shown with, in microseconds."""


class Live:
    """Turns a run into a feed. `describe` gives the run as it stands, as /v1/run has it."""

    def __init__(self, run: Run, describe: Callable[[Run, float], dict[str, Any]]) -> None:
        self._run = run
        self._describe = describe
        self._sampler = Sampler(run.plan)
        self._chronicle = Chronicle()
        self._shown: tuple[str, int] = ("", 0)
        self.feed = Feed(run.key, msgspec.json.encode(head(run)))

    def look(self, now: float) -> bool:
        """Tells what changed; whether there is anything new to tell."""
        news = False
        for happening in self._chronicle.look(self._run, now):
            self.feed.add("log", happening)
            news = True
        if news or self._shown != (self._run.state, int(now)):
            self._shown = (self._run.state, int(now))
            self.feed.stand(lambda: standing(self._run, self._describe(self._run, now), now))
            news = True
        return news

    def second(self, row: Row) -> None:
        """Tells of a settled second."""
        self.feed.add("second", self._sampler.take(row, self._run.gates))

    def tell(self, news: News, now: float) -> None:
        """Tells of a warning or an agent's note."""
        self.feed.add("log", self._chronicle.note(self._run, news, now))


def head(run: Run) -> dict[str, Any]:
    """What never changes in a run, and how its samples are to be read."""
    return {
        "key": run.key,
        "version": VERSION,
        "verified_within_s": verified_within(run.plan),
        "wanted": run.wanted,
        "statistics": STATISTICS,
        "agent_series": AGENT_SERIES,
    }


def standing(run: Run, described: dict[str, Any], now: float) -> dict[str, Any]:
    """The run as it stands, with what a page shows besides: time left, bars, and who is at fault for what."""
    ledger = described["ledger"]
    return described | {
        "left_s": _left(run, now),
        "bars": bars(run.total.histograms()),
        "culprits": {reason: culprit(reason) for reason in (*ledger.failed, *ledger.closed)},
    }


def _left(run: Run, now: float) -> float | None:
    """Seconds until the fleet is drained; None where nobody knows."""
    known = run.state == "running" and run.drain_after < math.inf
    return round(max(0.0, run.drain_after - run.age(now)), 1) if known else None


def bars(histograms: dict[str, Histogram]) -> dict[str, list[tuple[float, int]]]:
    """Each histogram that is not empty as bars: the upper bound in milliseconds, and how many values fell below it."""
    return {name: _bars(histogram) for name, histogram in histograms.items() if histogram.counts}


def _bars(histogram: Histogram) -> list[tuple[float, int]]:
    found, below = [], 0
    for bound, at_most in zip(BARS_US, histogram.at_most(BARS_US), strict=True):
        found.append((bound / 1000, at_most - below))
        below = at_most
    found[-1] = (found[-1][0], found[-1][1] + histogram.total - below)
    filled = [at for at, (_, number) in enumerate(found) if number]
    return found[filled[0] : filled[-1] + 1]
