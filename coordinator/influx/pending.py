"""The seconds that a receiver has not taken yet."""

from collections.abc import Sequence
from itertools import islice

from coordinator.report.samples import Sample


class Pending:
    """The seconds of a run on their way to a receiver, each in its newest version.

    A second waits, was taken, or is missing: dropped because too many wait, or refused.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._waiting: dict[int, Sample] = {}
        self._taken: set[int] = set()
        self._missing: set[int] = set()

    def add(self, sample: Sample) -> bool:
        """Adds a second, or a newer version of one.

        Returns True when the oldest is dropped for it.
        """
        self._taken.discard(sample.second)
        self._missing.discard(sample.second)
        self._waiting[sample.second] = sample
        if len(self._waiting) <= self._room:
            return False
        oldest = next(iter(self._waiting))
        del self._waiting[oldest]
        self._missing.add(oldest)
        return True

    def first(self, count: int) -> list[Sample]:
        """Returns the `count` seconds that wait longest."""
        return list(islice(self._waiting.values(), count))

    def take(self, samples: Sequence[Sample]) -> None:
        """Notes that the receiver has these seconds; a newer version of one still waits."""
        self._taken |= self._remove(samples)

    def refuse(self, samples: Sequence[Sample]) -> None:
        """Notes that the receiver will never take these seconds."""
        self._missing |= self._remove(samples)

    def _remove(self, samples: Sequence[Sample]) -> set[int]:
        removed = {one.second for one in samples if self._waiting.get(one.second) is one}
        for second in removed:
            del self._waiting[second]
        return removed

    @property
    def waiting(self) -> int:
        """The seconds that wait."""
        return len(self._waiting)

    @property
    def taken(self) -> int:
        """The seconds that the receiver has in their newest version."""
        return len(self._taken)

    @property
    def missing(self) -> int:
        """The seconds that were dropped or refused."""
        return len(self._missing)
