"""The run as viewers follow it: its settled seconds, what happens in it, and once a second how it stands."""

import math
from collections.abc import Callable
from typing import Any

import msgspec

from coordinator.bars import bars, values_of
from coordinator.blame import culprit
from coordinator.chronicle import Chronicle, Happening
from coordinator.feed import Feed
from coordinator.news import News
from coordinator.readings import Reading
from coordinator.run import Run
from coordinator.sample import AGENT_SERIES, STATISTICS, Sampler, verified_within
from coordinator.timeline import Row
from loadgen.version import VERSION


class Live:
    """Turns a run into a feed. `describe` gives the run as it stands, as /v1/run has it.

    `edition` tells this coordinator's feed from that of one before it, whose run it took up: their events differ.
    """

    def __init__(self, run: Run, describe: Callable[[Run, float], dict[str, Any]], edition: str) -> None:
        self._run = run
        self._describe = describe
        self._sampler = Sampler(run.plan)
        self._chronicle = Chronicle()
        self._shown: tuple[str, int] = ("", 0)
        self.feed = Feed(f"{run.key}-{edition}", msgspec.json.encode(head(run)))

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
        self.feed.add("second", self._sampler.take(row, self._run.course.gates, self._run.course.pauses))

    def watched(self, reading: Reading) -> None:
        """Tells of a scrape of a watched server."""
        self.feed.add("watch", reading)

    def said(self, action: str, now: float) -> None:
        """Tells that an operator said something by HTTP."""
        self.feed.add("log", Happening(round(self._run.age(now), 1), "warning", f"the operator said {action}"))

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
        "bars": {name: bars(values_of(one)) for name, one in run.total.histograms().items() if one.counts},
        "culprits": {reason: culprit(reason) for reason in (*ledger.failed, *ledger.closed)},
    }


def _left(run: Run, now: float) -> float | None:
    """Seconds until the fleet is drained; None where nobody knows."""
    known = run.state == "running" and not run.paused and run.course.drain_after < math.inf
    return round(max(0.0, run.course.drain_after - run.age(now)), 1) if known else None
