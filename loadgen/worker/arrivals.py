"""The users that are still to arrive on one worker, reassigned ones included.

Ages are seconds of the plan's own time: from the start of the run, less the pauses since.
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush, heapreplace
from itertools import chain, dropwhile, takewhile
from math import inf

from loadgen.plan.reassign import Reassignment
from loadgen.plan.shares import Share

Due = tuple[int, float]
"""The number of a user, and when it is due: seconds after its gate opens."""
Arrival = tuple[float, int, float]
"""The age at which a user may be launched, its number, and the age at which it was due.

The two ages are the same unless the user was reassigned."""


class Stream:
    """The users of one share behind one gate, from a number on, in their order."""

    def __init__(
        self, share: Share, first: int, dues: Iterator[Due], arrival_of: Callable[[Due], Arrival]
    ) -> None:
        self.share = share
        self._dues: Iterator[Due] = dropwhile(lambda due: due[0] < first, dues)
        self._arrival_of = arrival_of
        self._after = first
        """The number after the last one that was taken out."""
        self._head: Due | None = None
        """The one that comes next, which `next` has shown."""

    def next(self) -> Arrival | None:
        """Returns the user that comes after the last one shown; None: there is none."""
        if self._head is not None:
            self._after = self._head[0] + 1
        self._head = next(self._dues, None)
        return None if self._head is None else self._arrival_of(self._head)

    def steer(self, first: int, dues: Iterator[Due]) -> Arrival | None:
        """Replaces the users from number `first` on by those of `dues`.

        Those that were taken out do not come again. Returns the user that comes next.
        """
        head = () if self._head is None else (self._head,)
        before = takewhile(lambda due: due[0] < first, chain(head, self._dues))
        taken = self._after
        self._dues = chain(before, dropwhile(lambda due: due[0] < taken, dues))
        self._head = None
        return self.next()


class Arrivals:
    """The users to come, gate by gate, in the order of their launches."""

    def __init__(
        self, dues: Callable[[Share, int], Iterator[Due]], share: Share, gates: int
    ) -> None:
        """`dues` gives the numbers of a share behind a gate, and when they are due.

        These times are seconds after the gate opens.
        """
        self._dues = dues
        self._share = share
        self._gates = gates
        self._opened = [0.0]
        """The ages at which the gates opened, in their order."""
        self._reassignments: list[tuple[Reassignment, float]] = []
        """With the seconds of all pauses before each."""
        self._streams: list[Stream] = []
        self._coming: list[tuple[Arrival, int]] = []
        """A heap of the next user of each stream, with the place of the stream."""
        self._add(self._own(0))

    @property
    def next_launch(self) -> float:
        """The age at which the next user may be launched; infinite when none is to come."""
        return self._coming[0][0][0] if self._coming else inf

    @property
    def next_gate(self) -> int:
        """The number of the gate that has to open next; 0 when all are open."""
        return len(self._opened) if len(self._opened) < self._gates else 0

    @property
    def over(self) -> bool:
        """True when no user is to come, also behind a gate that is shut."""
        return not self._coming and not self.next_gate

    def take(self) -> tuple[int, float]:
        """Takes out the next user; returns its number and the age at which it was due."""
        (_, number, due), place = self._coming[0]
        following = self._streams[place].next()
        if following is None:
            heappop(self._coming)
        else:
            heapreplace(self._coming, (following, place))
        return number, due

    def stop(self) -> None:
        """Ends the arrivals, behind gates too."""
        self._coming.clear()
        self._gates = 0

    def open_gate(self, gate: int, age: float) -> bool:
        """Opens the next gate; False, and harmless, when it is not the next one."""
        if not 0 < gate == self.next_gate:
            return False
        self._opened.append(age)
        self._add(self._own(gate))
        for reassignment, delay in self._reassignments:
            self._add(self._reassigned(reassignment, delay, gate))
        return True

    def reassign(self, reassignment: Reassignment, delay: float) -> None:
        """Adds the users of a reassignment that were not launched before.

        `delay` is the seconds of all pauses so far.
        """
        self._reassignments.append((reassignment, delay))
        for gate in range(len(self._opened)):
            self._add(self._reassigned(reassignment, delay, gate))

    def steer(
        self,
        dues: Callable[[Share, int], Iterator[Due]],
        first: int,
        changed: Callable[[Share], Iterator[Due]],
    ) -> None:
        """Follows a change of a plan without gates, from number `first` on.

        `dues` gives all numbers of a share from now on, `changed` those from `first` on.
        """
        self._dues = dues
        coming = [
            (stream.steer(first, changed(stream.share)), place)
            for place, stream in enumerate(self._streams)
        ]
        self._coming = sorted((head, place) for head, place in coming if head is not None)

    def _own(self, gate: int) -> Stream:
        opened = self._opened[gate]

        def arrival_of(due: Due) -> Arrival:
            number, after = due
            return opened + after, number, opened + after

        return Stream(self._share, 0, self._dues(self._share, gate), arrival_of)

    def _reassigned(self, reassignment: Reassignment, delay: float, gate: int) -> Stream:
        # Subtle: users whose time has passed are late; they are launched at the pace of the
        # reassignment, not all at once.
        opened = self._opened[gate]
        unfinished = reassignment.unfinished

        def arrival_of(due: Due) -> Arrival:
            number, after = due
            earliest = reassignment.not_before(number) - delay
            return max(opened + after, earliest), number, opened + after

        share = unfinished.share
        return Stream(share, unfinished.below, self._dues(share, gate), arrival_of)

    def _add(self, stream: Stream) -> None:
        head = stream.next()
        if head is not None:
            heappush(self._coming, (head, len(self._streams)))
        self._streams.append(stream)
