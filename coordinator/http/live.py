"""The run as viewers follow it: its settled seconds, what happens in it, and once a second how
it stands."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from coordinator.http.sse import Feed
from coordinator.report.samples import (
    AGENT_SERIES,
    STATISTICS,
    Sampler,
    bars,
    values_of,
    verified_within,
)
from coordinator.run.notices import Notice
from coordinator.run.run import Run
from coordinator.run.timeline import Row
from coordinator.scrape import Scrape
from loadgen.stats.reasons import fault_of
from loadgen.version import VERSION

Level = Literal["info", "good", "warning", "bad"]
OF_STATUS: dict[str, tuple[Level, str]] = {
    "joined": ("info", "joined"),
    "ready": ("good", "is ready"),
    "refused": ("bad", "refuses to load the target"),
    "running": ("info", "has its share"),
    "finished": ("good", "has finished"),
    "lost": ("bad", "is lost"),
}
OF_STATE: dict[str, str] = {
    "gathering": "waiting for agents",
    "running": "the fleet has gathered; the run starts",
    "draining": "the hold is over; connections are closed in good order",
    "done": "the run is over",
}


class LogEvent(msgspec.Struct):
    """One line of the log of events."""

    at: float
    """Seconds since the common start; 0 before it."""
    level: Level
    text: str
    agent: str = ""


class EventLog:
    """Notices what changed since it last looked at a run."""

    def __init__(self) -> None:
        self._state = self._phase = ""
        self._paused = False
        self._statuses: dict[str, str] = {}

    def look(self, run: Run, now: float) -> Iterator[LogEvent]:
        """What is new in the run as it stands."""
        at = round(run.age(now), 1)
        for member in run.agents.by_id.values():
            if self._statuses.get(member.name) != member.status:
                self._statuses[member.name] = member.status
                level, text = OF_STATUS[member.status]
                yield LogEvent(at, level, f"{member.name} {text}", member.name)
        if self._paused != run.paused:
            self._paused = run.paused
            yield LogEvent(at, "warning", "arrivals are paused" if run.paused else "arrivals go on")
        phase = run.phase(now)
        if run.plan.phases and phase and self._phase != phase:
            self._phase = phase
            yield LogEvent(at, "info", f"phase: {phase}")
        if self._state != run.state:
            self._state = run.state
            yield LogEvent(at, "info", OF_STATE[run.state])

    @staticmethod
    def note(run: Run, news: Notice, now: float) -> LogEvent:
        """A warning of the coordinator or a note of an agent."""
        return LogEvent(round(run.age(now), 1), "warning", news.text, news.agent)


class Live:
    """Turns a run into a feed. `describe` gives the run as it stands, as /v1/run has it.

    `edition` tells this coordinator's feed from that of one before it, whose run it took up: their
    events differ.
    """

    def __init__(
        self, run: Run, describe: Callable[[Run, float], dict[str, Any]], edition: str
    ) -> None:
        self._run = run
        self._describe = describe
        self._sampler = Sampler(run.plan)
        self._chronicle = EventLog()
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
        self.feed.add(
            "second", self._sampler.take(row, self._run.progress.gates, self._run.progress.pauses)
        )

    def watched(self, reading: Scrape) -> None:
        """Tells of a scrape of a watched server."""
        self.feed.add("watch", reading)

    def said(self, action: str, now: float) -> None:
        """Tells that an operator said something by HTTP."""
        self.feed.add(
            "log", LogEvent(round(self._run.age(now), 1), "warning", f"the operator said {action}")
        )

    def tell(self, news: Notice, now: float) -> None:
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
    """The run as it stands, with what a page shows besides: time left, bars, and who is at fault
    for what."""
    ledger = described["ledger"]
    return described | {
        "left_s": _left(run, now),
        "bars": {
            name: bars(values_of(one)) for name, one in run.total.histograms().items() if one.counts
        },
        "culprits": {reason: fault_of(reason) for reason in (*ledger.failed, *ledger.closed)},
    }


def _left(run: Run, now: float) -> float | None:
    """Seconds until the fleet is drained; None where nobody knows."""
    known = run.state == "running" and not run.paused and run.progress.drain_after < math.inf
    return round(max(0.0, run.progress.drain_after - run.age(now)), 1) if known else None
