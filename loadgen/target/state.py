"""What all connections of one worker share."""

from collections.abc import Iterable

from loadgen.target.channels import Subscribers
from loadgen.target.counters import SENT, Counters, WorkerCounters
from loadgen.target.modes import mode_of
from loadgen.target.settings import TargetSettings


class WorkerState:
    """One worker's behaviour, its row of the ledger and its subscribers."""

    __slots__ = (
        "_counters",
        "_workers",
        "cells",
        "counters",
        "faults",
        "mode",
        "pongs",
        "settings",
        "subscribers",
    )

    def __init__(
        self, settings: TargetSettings, counters: Counters, workers: int, number: int
    ) -> None:
        self.settings = settings
        self.faults = settings.faults
        self.pongs = not settings.faults.no_pong
        """Whether pings are answered."""
        self.mode = mode_of(settings.mode)
        self.counters = WorkerCounters(counters, number)
        self.cells = self.counters.cells
        self.subscribers = Subscribers()
        self._counters = counters
        self._workers = workers

    def stats(self) -> dict[str, int | str]:
        """The body of GET /stats: the same from whichever worker answers."""
        settings = self.settings
        return {
            **self._counters.stats(),
            "workers": self._workers,
            "limit": settings.limit,
            "mode": settings.mode,
        }

    def deliver(self, channels: Iterable[str], frame: bytes) -> int:
        """Writes a frame to this worker's subscribers of the channels; says to how many
        connections."""
        count = 0
        for subscriber in self.subscribers.of(channels):
            count += 1
            self.cells[SENT] += 1
            subscriber.write(frame)
        return count
