"""What every connection of a worker shares: the tally of the current second, masks, the clock's
arithmetic."""

from random import Random
from typing import Any

from loadgen.stats.tally import Tally
from loadgen.timers import Deadlines

ONE_SECOND_IN_US = 1_000_000
MAX_REMARKS = 10


class Recorder:
    """The open book of one worker: connections write what happens into `tally`, which is swapped
    every second."""

    __slots__ = ("_remarks", "_sampled", "abort", "bits", "closing", "samples", "tally")

    def __init__(self, seed: int, close_within: float) -> None:
        self.tally = Tally()
        self.bits = Random(seed).getrandbits
        """Masks and keys: a load generator needs them unguessable by no one."""
        self.closing: Deadlines[Any] = Deadlines(close_within)
        """Connections that sent or answered a CLOSE and wait for the server to end."""
        self.samples: dict[str, str] = {}
        """Tracebacks of sessions that failed in a new way since the last page was turned, by the
        ledger's reason."""
        self._sampled: set[str] = set()
        self._remarks: list[str] = []
        self.abort = ""
        """Why a session asked for the end of the whole run, if any did."""

    def sample(self, reason: str, traceback: str) -> None:
        """Keeps the traceback, if it is the first for its reason."""
        if reason not in self._sampled:
            self._sampled.add(reason)
            self.samples[reason] = traceback

    def remark(self, text: str) -> None:
        """Has something said in the agent's log; only so much a second."""
        if len(self._remarks) < MAX_REMARKS:
            self._remarks.append(text)

    def take_remarks(self) -> tuple[str, ...]:
        """The remarks that are new."""
        remarks, self._remarks = self._remarks, []
        return tuple(remarks)

    def take_samples(self) -> dict[str, str]:
        """The samples that are new."""
        samples, self.samples = self.samples, {}
        return samples

    def swap(self) -> Tally:
        """The tally so far; an empty one takes its place."""
        page, self.tally = self.tally, Tally()
        return page


def microseconds(seconds: float) -> int:
    """A duration as histograms record it."""
    return int(seconds * ONE_SECOND_IN_US)
