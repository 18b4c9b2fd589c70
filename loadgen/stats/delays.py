"""The delays of the generator itself in one second.

What it measured in such a second is partly its own slowness, not the server's.
"""

from math import ceil, floor
from typing import Annotated

import msgspec

from loadgen.stats.tally import Count

STALL = 0.2
"""Seconds that a tick of a worker comes late from which on the worker stood still; also the sum of
shorter ones, from SLOW on, that makes a second count as such."""
SLOW = 0.1
"""Seconds that a tick comes late from which on it is summed up."""
APART = 1.5
"""Seconds from which on two clocks went apart by a jump, not by their drift."""

Duration = Annotated[float, msgspec.Meta(ge=0)]


class Delays(msgspec.Struct, omit_defaults=True):
    """The delays of some workers in one second."""

    stalls: Annotated[dict[Count, Duration], msgspec.Meta(max_length=10_000)] = {}
    """Seconds of this second in which workers stood still, by the number of the worker.

    The coordinator reads it of single agents: their workers have the same numbers.
    """
    late: Count = 0
    """Launches that were late although neither an order nor the lack of a place held them up."""
    late_by: Duration = 0.0
    """The most seconds by which one of them was late."""
    stepped: Duration = 0.0
    """Seconds by which the clock of the host had jumped: the number of the second is wrong, or was
    moved in it."""
    unreported: Annotated[tuple[Count, ...], msgspec.Meta(max_length=10_000)] = ()
    """The numbers of the workers that were gone before they reported this second: what they did in
    it is unknown. The coordinator reads it of single agents, too."""
    waited: bool = False
    """True when launches waited for a place among the handshakes in flight."""

    def merge(self, other: "Delays") -> None:
        """Adds the delays of other workers, or of another second, to these."""
        for worker, seconds in other.stalls.items():
            self.stalls[worker] = self.stalls.get(worker, 0.0) + seconds
        self.late += other.late
        self.late_by = max(self.late_by, other.late_by)
        self.stepped = max(self.stepped, other.stepped)
        self.unreported += other.unreported
        self.waited = self.waited or other.waited

    def launched_late(self, by: float) -> None:
        """Counts a launch that was late by `by` seconds."""
        self.late += 1
        self.late_by = max(self.late_by, by)


class Stalls:
    """The seconds in which one worker stood still.

    Times are seconds from the start of the run.
    """

    def __init__(self) -> None:
        self._still: dict[int, float] = {}
        """How long it stood still, by second."""
        self._marked: set[int] = set()
        """The seconds that a whole stall touches."""
        self._catching_up = False

    def tick(self, last: float, planned: float, now: float) -> None:
        """Takes note of a tick, of when it was planned, and of the one before.

        Subtle: the time from the last tick on is charged, since the worker may have stopped right
        after it. The turn that follows a stall works off what piled up meanwhile, such as pongs
        that have waited; it is charged as well.
        """
        late = now - planned
        stalled = late >= STALL
        if stalled or late >= SLOW or self._catching_up:
            self._charge(last, now, mark=stalled or self._catching_up)
        self._catching_up = stalled

    def _charge(self, begin: float, end: float, *, mark: bool) -> None:
        for second in range(floor(begin), ceil(end)):
            part = min(end, second + 1) - max(begin, second)
            self._still[second] = self._still.get(second, 0.0) + part
            if mark:
                self._marked.add(second)

    def take(self, second: int) -> float:
        """Takes out how long it stood still in a second.

        Returns seconds; 0 where that was too short to matter.
        """
        still = self._still.pop(second, 0.0)
        marked = second in self._marked
        self._marked.discard(second)
        return still if marked or still >= STALL else 0.0
