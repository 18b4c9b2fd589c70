"""The subscribers of the same channels: how many had to receive a publication.

Times are seconds on this host's monotonic clock.
"""

from collections import deque
from typing import NamedTuple

from loadgen.stats.book import Book
from loadgen.stats.heard import Heard


class Departed(NamedTuple):
    """A connection that left."""

    opened_at: float
    left_at: float
    heard: Heard


class SubscriberGroup:
    """The connections that subscribe to the same channels.

    It knows how many there are, and how many there were a while ago.
    """

    __slots__ = ("_departed", "_open", "_opens", "channels")

    def __init__(self, channels: tuple[str, ...]) -> None:
        self.channels = channels
        self._open = 0
        self._opens: deque[float] = deque()
        """The times of the latest openings, ascending."""
        self._departed: deque[Departed] = deque()
        """The latest departures, in their order."""

    def join(self, now: float) -> None:
        """Counts a connection that opened."""
        self._open += 1
        self._opens.append(now)

    def leave(self, departed: Departed) -> None:
        """Counts a connection that left."""
        self._open -= 1
        self._departed.append(departed)

    def expected(self, book: Book) -> int:
        """Returns how many of its connections had to receive a publication.

        They were open when it was sent; those that left within the grace without it do not count.
        """
        count = self._open
        for opened_at in reversed(self._opens):
            if opened_at <= book.sent:
                break
            count -= 1
        for departed in reversed(self._departed):
            if departed.left_at <= book.sent:
                break
            if departed.opened_at > book.sent:
                count += 1  # its opening was subtracted, and it is not among the open ones
            elif departed.left_at >= book.until or departed.heard.has(book.stream, book.number):
                count += 1
        return count

    def forget(self, before: float) -> None:
        """Forgets what happened before a time."""
        while self._opens and self._opens[0] < before:
            self._opens.popleft()
        while self._departed and self._departed[0].left_at < before:
            self._departed.popleft()
