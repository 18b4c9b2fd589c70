"""The run as viewers follow it.

They get its settled seconds, a log of its events and, once a second, an overview. `now` is always
in seconds on the clock of the run.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from coordinator.http.sse import Feed
from coordinator.report.own import MAX_DRAWN, STATISTICS
from coordinator.report.samples import AGENT_SERIES, Sampler, bars, values_of
from coordinator.run.notices import Notice
from coordinator.run.row import Row
from coordinator.run.run import Run
from coordinator.scrape import Scrape
from coordinator.text import sample_file
from loadgen.plan.life import alive_within
from loadgen.stats.http_ends import HTTP_KINDS, http_fault_of
from loadgen.stats.reasons import fault_of
from loadgen.version import VERSION

Level = Literal["info", "good", "warning", "bad"]
STATUS_EVENTS: dict[str, tuple[Level, str]] = {
    "joined": ("info", "joined"),
    "ready": ("good", "is ready"),
    "refused": ("bad", "refuses to load the target"),
    "running": ("info", "has its share"),
    "finished": ("good", "has finished"),
    "lost": ("bad", "is lost"),
}
"""The level and the text of the event when an agent reaches a status."""
STATE_TEXTS: dict[str, str] = {
    "gathering": "waiting for agents",
    "running": "the fleet has gathered; the run starts",
    "draining": "the hold is over; connections are closed in good order",
    "done": "the run is over",
}
"""The text of the event when the run reaches a state."""


class LogEvent(msgspec.Struct):
    """One line of a run's log."""

    at: float
    """Seconds from the start of the run; 0 before it."""
    level: Level
    text: str
    agent: str = ""


class EventLog:
    """Turns the changes of a run into the events of its log."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._state = ""
        self._phase = ""
        self._paused = False
        self._statuses: dict[str, str] = {}

    def changes(self, now: float) -> Iterator[LogEvent]:
        """Yields an event for each change since the last call.

        `now` is in seconds on the run's clock.
        """
        run = self._run
        for agent in run.agents.by_id.values():
            if self._statuses.get(agent.name) != agent.status:
                self._statuses[agent.name] = agent.status
                level, text = STATUS_EVENTS[agent.status]
                yield self.event(level, f"{agent.name} {text}", now, agent.name)
        if self._paused != run.paused:
            self._paused = run.paused
            yield self.event(
                "warning", "arrivals are paused" if run.paused else "arrivals go on", now
            )
        phase = run.phase(now)
        if run.plan.phases and phase and self._phase != phase:
            self._phase = phase
            yield self.event("info", f"phase: {phase}", now)
        if self._state != run.state:
            self._state = run.state
            yield self.event("info", STATE_TEXTS[run.state], now)

    def event(self, level: Level, text: str, now: float, agent: str = "") -> LogEvent:
        """Returns an event at `now`, in seconds on the run's clock."""
        return LogEvent(round(self._run.age(now), 1), level, text, agent)


class Live:
    """Turns a run into a feed. `describe` returns the run as /v1/run shows it.

    `edition` differs between this coordinator and an earlier one of the same run, since the events
    of their feeds differ.
    """

    def __init__(
        self, run: Run, describe: Callable[[Run, float], dict[str, Any]], edition: str
    ) -> None:
        self._run = run
        self._describe = describe
        self._sampler = Sampler(run.plan, MAX_DRAWN)
        self._log = EventLog(run)
        self._shown: tuple[str, str, int] = ("", "", 0)
        """The state, the outcome and the second of the last overview."""
        self._added = False
        """True while a second was added that the viewers were not woken for."""
        self.outcome = ""
        """The verdict as people read it; empty until the run is judged."""
        self.folder = ""
        """The name of the run directory; empty while there is none."""
        self.feed = Feed(f"{run.key}-{edition}", msgspec.json.encode(preamble(run)))

    def update(self, now: float) -> bool:
        """Adds what has changed to the feed; returns True when anything has."""
        changed, self._added = self._added, False
        logged = False
        for event in self._log.changes(now):
            self.feed.add("log", event)
            logged = True
        changed = changed or logged
        shown = (self._run.state, self.outcome, int(now))
        if logged or self._shown != shown:
            self._shown = shown
            self.feed.set_overview(lambda: self._overview(now))
            changed = True
        return changed

    def _overview(self, now: float) -> dict[str, Any]:
        described = self._describe(self._run, now) | {"outcome": self.outcome}
        return overview(self._run, described, now, self.folder)

    def add_second(self, row: Row) -> None:
        """Adds a settled second."""
        progress = self._run.progress
        sample = self._sampler.take(row, progress.gates, progress.pauses, progress.changes)
        self.feed.add("second", sample)
        self._added = True

    def add_scrape(self, scrape: Scrape) -> None:
        """Adds a scrape of a watched server."""
        self.feed.add("watch", scrape)

    def add_action(self, action: str, now: float) -> None:
        """Adds an operator's action to the log."""
        self.feed.add("log", self._log.event("warning", f"the operator said {action}", now))

    def add_notice(self, notice: Notice, now: float) -> None:
        """Adds a warning of the coordinator or a note of an agent to the log.

        Of a refused handshake it adds what is wrong, and leaves the reply to the run directory:
        everybody may view the log of a run with --public-view.
        """
        text = notice.text.partition("\n\n")[0] if notice.reason else notice.text
        self.feed.add("log", self._log.event("warning", text, now, notice.agent))


def preamble(run: Run) -> dict[str, Any]:
    """Returns what never changes in a run, and how its samples are to be read."""
    return {
        "key": run.key,
        "version": VERSION,
        "alive_within_s": alive_within(run.plan.session_specs),
        "wanted": run.wanted,
        "statistics": STATISTICS,
        "agent_series": AGENT_SERIES,
        "most_drawn": MAX_DRAWN,
    }


def overview(run: Run, described: dict[str, Any], now: float, folder: str = "") -> dict[str, Any]:
    """Returns the run as it stands, with what only the page shows.

    That is the time left in seconds, bars of the histograms, whose fault each failure and close
    is, and the paths of the samples in the run directory of this name.
    """
    ledger = described["ledger"]
    return described | {
        "left_s": _seconds_left(run, now),
        "bars": {
            name: bars(values_of(one)) for name, one in run.total.histograms().items() if one.counts
        },
        "culprits": {reason: fault_of(reason) for reason in (*ledger.failed, *ledger.closed)},
        "http_culprits": {
            kind: {end: http_fault_of(kind, end) for end in described[kind]} for kind in HTTP_KINDS
        },
        "samples": {
            reason: f"/runs/{folder}/{sample_file(reason)}"
            for reason in sorted(run.notices.sampled)
            if folder
        },
    }


def _seconds_left(run: Run, now: float) -> float | None:
    """Returns the seconds until the drain; None where they are unknown."""
    known = run.state == "running" and not run.paused and run.progress.drain_after < math.inf
    return round(max(0.0, run.progress.drain_after - run.age(now)), 1) if known else None
