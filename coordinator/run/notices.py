"""The notices of a run, which wait until the controller takes them."""

import msgspec

from coordinator.text import one_line, plain_lines

MAX_TRACEBACKS = 100
"""The number of reasons of which a sample traceback is kept."""


class Notice(msgspec.Struct):
    """A warning for the operator, a note for an agent's log, or a traceback.

    A traceback is the sample for a reason: the first of it in the run.
    """

    text: str
    agent: str = ""
    """The agent whose log it belongs to; empty for a warning."""
    reason: str = ""
    """The reason that the text is the first traceback of; empty for a warning or a note."""


class Notices:
    """Collects the notices of a run."""

    def __init__(self) -> None:
        self.sampled: set[str] = set()
        """The reasons of which a sample traceback was taken."""
        self._notices: list[Notice] = []

    def warn(self, text: str) -> None:
        """Adds a warning for the operator."""
        self._notices.append(Notice(text))

    def note(self, agent: str, text: str) -> None:
        """Adds a line for the log of an agent."""
        self._notices.append(Notice(one_line(text, 1000), agent))

    def sample(self, agent: str, reason: str, text: str) -> None:
        """Adds a traceback, if it is the first of its reason."""
        name = one_line(reason, 100)
        if name not in self.sampled and len(self.sampled) < MAX_TRACEBACKS:
            self.sampled.add(name)
            self._notices.append(Notice(plain_lines(text), agent, name))

    def take(self) -> list[Notice]:
        """Returns what was added since the last call."""
        notices = self._notices
        self._notices = []
        return notices
