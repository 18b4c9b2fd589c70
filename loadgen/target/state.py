"""What all connections of one worker share."""

from collections.abc import Iterable

from loadgen.target.channels import Subscribers
from loadgen.target.counters import SENT, Book, Ledger
from loadgen.target.modes import dialect_of
from loadgen.target.settings import Settings


class Host:
    """One worker's behaviour, its row of the ledger and its subscribers."""

    __slots__ = ("_ledger", "_workers", "book", "cells", "dialect", "pongs", "settings", "subscribers", "vices")

    def __init__(self, settings: Settings, ledger: Ledger, workers: int, number: int) -> None:
        self.settings = settings
        self.vices = settings.vices
        self.pongs = not settings.vices.no_pong
        """Whether pings are answered."""
        self.dialect = dialect_of(settings.mode)
        self.book = Book(ledger, number)
        self.cells = self.book.cells
        self.subscribers = Subscribers()
        self._ledger = ledger
        self._workers = workers

    def stats(self) -> dict[str, int | str]:
        """The body of GET /stats: the same from whichever worker answers."""
        settings = self.settings
        return {**self._ledger.stats(), "workers": self._workers, "limit": settings.limit, "mode": settings.mode}

    def deliver(self, channels: Iterable[str], frame: bytes) -> int:
        """Writes a frame to this worker's subscribers of the channels; says to how many connections."""
        count = 0
        for subscriber in self.subscribers.of(channels):
            count += 1
            self.cells[SENT] += 1
            subscriber.write(frame)
        return count
