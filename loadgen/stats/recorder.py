"""The events of one worker as they happen: tally of the second, samples, remarks."""

from random import Random

from loadgen.stats.deliveries import Deliveries
from loadgen.stats.tally import Tally

MICROSECONDS = 1_000_000
"""In a second."""
MAX_REMARKS = 10
"""Remarks kept of one second."""


class Recorder:
    """The tally that connections and users of one worker write into.

    It is swapped every second.
    """

    __slots__ = ("_remarks", "_sampled", "abort", "bits", "deliveries", "samples", "tally")

    def __init__(self, seed: int) -> None:
        self.tally = Tally()
        """Of the current second."""
        self.bits = Random(seed).getrandbits
        """Masks and keys. RFC 6455 section 10.3 wants masks unpredictable against attackers in a
        browser; a load generator has none, so a fast generator does."""
        self.samples: dict[str, str] = {}
        """Tracebacks of sessions by the ledger's reason, the first of each, since the last swap."""
        self._sampled: set[str] = set()
        self._remarks: list[str] = []
        self.abort = ""
        """The reason for which a session asked for the end of the whole run; empty: none did."""

        self.deliveries: Deliveries | None = None
        """The publications that are received; None in a run without any."""

    def sample(self, reason: str, traceback: str) -> None:
        """Keeps a traceback if it is the first for its reason."""
        if reason not in self._sampled:
            self._sampled.add(reason)
            self.samples[reason] = traceback

    def remark(self, text: str) -> None:
        """Keeps a line for the agent's log.

        Drops it when the second has MAX_REMARKS already.
        """
        if len(self._remarks) < MAX_REMARKS:
            self._remarks.append(text)

    def take_remarks(self) -> tuple[str, ...]:
        """Returns the remarks since the last call."""
        remarks = tuple(self._remarks)
        self._remarks = []
        return remarks

    def take_samples(self) -> dict[str, str]:
        """Returns the samples since the last call."""
        samples = self.samples
        self.samples = {}
        return samples

    def swap(self) -> Tally:
        """Returns the tally so far and begins an empty one."""
        tally = self.tally
        self.tally = Tally()
        return tally


def microseconds(seconds: float) -> int:
    """Returns a duration in seconds as histograms record it."""
    return int(seconds * MICROSECONDS)
