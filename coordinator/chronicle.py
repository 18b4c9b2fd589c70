"""What happened in a run, in words and in order: agents that joined or were lost, states it went through."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from coordinator.news import News
from coordinator.run import Run

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


class Happening(msgspec.Struct):
    """One line of the log of events."""

    at: float
    """Seconds since the common start; 0 before it."""
    level: Level
    text: str
    agent: str = ""


class Chronicle:
    """Notices what changed since it last looked at a run."""

    def __init__(self) -> None:
        self._state = self._phase = ""
        self._paused = False
        self._statuses: dict[str, str] = {}

    def look(self, run: Run, now: float) -> Iterator[Happening]:
        """What is new in the run as it stands."""
        at = round(run.age(now), 1)
        for member in run.members.values():
            if self._statuses.get(member.name) != member.status:
                self._statuses[member.name] = member.status
                level, text = OF_STATUS[member.status]
                yield Happening(at, level, f"{member.name} {text}", member.name)
        if self._paused != run.paused:
            self._paused = run.paused
            yield Happening(at, "warning", "arrivals are paused" if run.paused else "arrivals go on")
        phase = run.phase(now)
        if run.plan.phases and phase and self._phase != phase:
            self._phase = phase
            yield Happening(at, "info", f"phase: {phase}")
        if self._state != run.state:
            self._state = run.state
            yield Happening(at, "info", OF_STATE[run.state])

    @staticmethod
    def note(run: Run, news: News, now: float) -> Happening:
        """A warning of the coordinator or a note of an agent."""
        return Happening(round(run.age(now), 1), "warning", news.text, news.agent)
