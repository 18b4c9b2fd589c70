"""The recorder of a worker, which all its connections share."""

from random import Random
from typing import Any

from loadgen.stats.tally import Tally
from loadgen.timers import Deadlines

ONE_SECOND_IN_US = 1_000_000
MAX_REMARKS = 10


class Recorder:
    """The tally of the current second of one worker, and what else its sessions report."""

    __slots__ = ("_remarks", "_sampled", "abort", "bits", "closing", "samples", "tally")

    def __init__(self, seed: int, close_within: float) -> None:
        self.tally = Tally()
        self.bits = Random(seed).getrandbits
        """Returns this many random bits, for masks and keys; they need not be secret."""
        self.closing: Deadlines[Any] = Deadlines(close_within)
        """Connections that sent or answered a CLOSE, until the server ends them."""
        self.samples: dict[str, str] = {}
        """New tracebacks of sessions that failed, one for each reason of the ledger."""
        self._sampled: set[str] = set()
        self._remarks: list[str] = []
        self.abort = ""
        """Why a session asked for the end of the whole run; empty while none did."""

    def sample(self, reason: str, traceback: str) -> None:
        """Keeps a traceback if it is the first one for its reason."""
        if reason not in self._sampled:
            self._sampled.add(reason)
            self.samples[reason] = traceback

    def remark(self, text: str) -> None:
        """Adds a line for the agent's log; at most MAX_REMARKS are kept for each second."""
        if len(self._remarks) < MAX_REMARKS:
            self._remarks.append(text)

    def take_remarks(self) -> tuple[str, ...]:
        """Returns the remarks since the last call."""
        remarks = self._remarks
        self._remarks = []
        return tuple(remarks)

    def take_samples(self) -> dict[str, str]:
        """Returns the tracebacks since the last call, by reason."""
        samples = self.samples
        self.samples = {}
        return samples

    def swap(self) -> Tally:
        """Returns the tally so far, and puts an empty one in its place."""
        tally = self.tally
        self.tally = Tally()
        return tally


def microseconds(seconds: float) -> int:
    """Returns a duration in whole microseconds, as histograms record it."""
    return int(seconds * ONE_SECOND_IN_US)
