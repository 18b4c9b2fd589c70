"""The notices of a run, which wait until the controller takes them."""

import re

import msgspec

from coordinator.text import one_line, plain_lines
from loadgen.stats.reasons import HTTP
from loadgen.wire import Post

MAX_SAMPLES = 100
"""The number of reasons of which a sample is kept."""
MAX_REFUSED = 50
"""The addresses and reasons of refused agents that are named: strangers knock as often as they
like."""

_RETRY_AFTER = re.compile(r"\A[^\n]*; Retry-After: ([^\n]+)")
"""The end of the first line of a sample, as agents word it."""
WALL_STEP = 0.1
"""Seconds by which a wall clock moves against the monotonic one when somebody sets it."""


class Notice(msgspec.Struct):
    """A warning for the operator, a note for an agent's log, or a sample.

    A sample is the first traceback or refused handshake of a reason in the run.
    """

    text: str
    agent: str = ""
    """The agent whose log it belongs to; empty for a warning."""
    reason: str = ""
    """The reason that the text is the sample of; empty for a warning or a note."""


class Notices:
    """Collects the notices of a run."""

    def __init__(self) -> None:
        self.sampled: set[str] = set()
        """The reasons of which a sample was taken."""
        self.retry_after: dict[str, str] = {}
        """When the server says to come back, by the reason: of the samples that say so."""
        self._notices: list[Notice] = []
        self._refused: set[tuple[str, str]] = set()
        """The addresses of agents that were refused, with the reasons."""

    def warn(self, text: str) -> None:
        """Adds a warning for the operator."""
        self._notices.append(Notice(text))

    def refuse(self, address: str, why: str) -> None:
        """Warns of an agent that can't join, once for each address and reason.

        `why` ends with the fix.
        """
        refused = address, one_line(why)
        if refused in self._refused or len(self._refused) > MAX_REFUSED:
            return
        self._refused.add(refused)
        if len(self._refused) > MAX_REFUSED:
            self.warn("further agents were refused; no more of them are named")
        else:
            self.warn(f"an agent at {address} was refused: {refused[1]}")

    def check_wall(self, whose: str, moved: float, bound: float = 0.0) -> bool:
        """Warns of a wall clock that was set; returns True when it was.

        `moved` is by how many seconds it went apart from the monotonic clock, known to `bound`.
        """
        was_set = abs(moved) > WALL_STEP + bound
        if was_set:
            self.warn(
                f"the wall clock of {whose} was set by {moved:+.1f} s; the run goes by the"
                " monotonic clock"
            )
        return was_set

    def note(self, agent: str, text: str) -> None:
        """Adds a line for the log of an agent."""
        self._notices.append(Notice(one_line(text, 1000), agent))

    def sample(self, agent: str, reason: str, text: str) -> None:
        """Adds a sample, if it is the first of its reason."""
        name = one_line(reason, 100)
        if name not in self.sampled and len(self.sampled) < MAX_SAMPLES:
            self.sampled.add(name)
            self._notices.append(Notice(plain_lines(text), agent, name))
            wait = _RETRY_AFTER.search(text)
            if wait and name.startswith(HTTP):
                self.retry_after[name] = one_line(wait[1], 60)

    def take_from(self, agent: str, post: Post) -> None:
        """Adds the notes and the samples that an agent posts."""
        for note in post.notes:
            self.note(agent, note)
        for reason, text in post.tracebacks.items():
            self.sample(agent, reason, text)

    def take(self) -> list[Notice]:
        """Returns what was added since the last call."""
        notices = self._notices
        self._notices = []
        return notices
