"""What happens in a run and is worth telling, until somebody asks for it."""

import msgspec

from coordinator.text import one_line, plain_lines

MAX_TRACEBACKS = 100
"""Reasons of which a sample traceback is kept."""


class Notice(msgspec.Struct):
    """Something worth telling: a warning for the operator, a note for the log of its agent, a
    sample traceback."""

    text: str
    agent: str = ""
    """The agent whose log it belongs to; empty for a warning."""
    reason: str = ""
    """The reason that the text is the first traceback of; empty for anything else."""


class Notices:
    """Collects the news of a run."""

    def __init__(self) -> None:
        self.sampled: set[str] = set()
        """Reasons of which a sample traceback was told."""
        self._news: list[Notice] = []

    def warn(self, text: str) -> None:
        """Something that the operator should know."""
        self._news.append(Notice(text))

    def note(self, agent: str, text: str) -> None:
        """A line for the log of an agent."""
        self._news.append(Notice(one_line(text, 1000), agent))

    def sample(self, agent: str, reason: str, text: str) -> None:
        """A traceback; only the first of each reason is news."""
        name = one_line(reason, 100)
        if name not in self.sampled and len(self.sampled) < MAX_TRACEBACKS:
            self.sampled.add(name)
            self._news.append(Notice(plain_lines(text), agent, name))

    def take(self) -> list[Notice]:
        """What happened since it was last asked."""
        news, self._news = self._news, []
        return news
