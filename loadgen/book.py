"""What every connection of a worker shares: the tally of the current second, masks, the clock's arithmetic."""

from collections.abc import Iterator
from random import Random
from typing import Any, Generic, TypeVar

from loadgen.tally import Tally

Item = TypeVar("Item")
ONE_SECOND_IN_US = 1_000_000
MOST_REMARKS = 10


class Deadlines(Generic[Item]):
    """Items that have the same time to finish, in the order in which they began; who finishes is taken out."""

    __slots__ = ("_deadlines", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._deadlines: dict[Item, float] = {}

    def add(self, item: Item, now: float) -> None:
        """The item has `seconds` from now."""
        self._deadlines[item] = now + self.seconds

    def remove(self, item: Item) -> None:
        """The item finished, or was given up; harmless when it is not here."""
        self._deadlines.pop(item, None)

    def expired(self, now: float) -> Iterator[Item]:
        """Takes out and hands over, oldest first, what is over its time."""
        while self._deadlines:
            item, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                return
            del self._deadlines[item]
            yield item

    def __len__(self) -> int:
        return len(self._deadlines)

    def __contains__(self, item: Item) -> bool:
        return item in self._deadlines


class Book:
    """The open book of one worker: connections write what happens into `tally`, which is swapped every second."""

    __slots__ = ("_remarks", "_sampled", "abort", "bits", "closing", "samples", "tally")

    def __init__(self, seed: int, close_within: float) -> None:
        self.tally = Tally()
        self.bits = Random(seed).getrandbits
        """Masks and keys: a load generator needs them unguessable by no one."""
        self.closing: Deadlines[Any] = Deadlines(close_within)
        """Connections that sent or answered a CLOSE and wait for the server to end."""
        self.samples: dict[str, str] = {}
        """Tracebacks of sessions that failed in a new way since the last page was turned, by the ledger's reason."""
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
        if len(self._remarks) < MOST_REMARKS:
            self._remarks.append(text)

    def turn_remarks(self) -> tuple[str, ...]:
        """The remarks that are new."""
        remarks, self._remarks = self._remarks, []
        return tuple(remarks)

    def turn_samples(self) -> dict[str, str]:
        """The samples that are new."""
        samples, self.samples = self.samples, {}
        return samples

    def turn_page(self) -> Tally:
        """The tally so far; an empty one takes its place."""
        page, self.tally = self.tally, Tally()
        return page


def microseconds(seconds: float) -> int:
    """A duration as histograms record it."""
    return int(seconds * ONE_SECOND_IN_US)
