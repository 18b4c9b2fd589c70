"""The state that all connections of one worker share."""

from collections.abc import Callable, Iterable

from loadgen.target.channels import Subscribers
from loadgen.target.counters import SENT, Counters, WorkerCounters
from loadgen.target.delivery import FaultyDelivery
from loadgen.target.modes import mode_of
from loadgen.target.settings import TargetSettings


class WorkerState:
    """The mode, the counters and the subscribers of one worker."""

    __slots__ = (
        "_counters",
        "_faulty",
        "cells",
        "counters",
        "faults",
        "mode",
        "pongs",
        "settings",
        "spread",
        "subscribers",
    )

    def __init__(self, settings: TargetSettings, counters: Counters, number: int) -> None:
        self.settings = settings
        self.faults = settings.faults
        self.pongs = not settings.faults.no_pong
        """True when pings are answered."""
        self.mode = mode_of(settings.mode)
        self.counters = WorkerCounters(counters, number)
        self.cells = self.counters.cells
        self.subscribers = Subscribers()
        self._faulty = FaultyDelivery(settings.faults) if settings.faults.deliveries else None
        self._counters = counters
        self.spread: Callable[[list[str], bytes], int] = self.deliver
        """Writes a frame to the subscribers of channels on all workers."""

    def stats(self) -> dict[str, int | str]:
        """Returns the body of GET /stats, the same from every worker."""
        return {
            **self._counters.stats(),
            "workers": self._counters.running[0],
            "limit": self._counters.limit,
            "mode": self.settings.mode,
        }

    def deliver(self, channels: Iterable[str], frame: bytes) -> int:
        """Writes a frame to this worker's subscribers of the channels.

        Returns their number.
        """
        count = 0
        for subscriber in self.subscribers.of(channels):
            count += 1
            if self._faulty is not None:
                self.cells[SENT] += self._faulty.write(subscriber, frame)
            else:
                self.cells[SENT] += 1
                subscriber.write(frame)
        return count
