"""The users that are still to arrive on one worker, reassigned ones included.

Ages are seconds of the plan's own time: from the start of the run, less the pauses since.
"""

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import dropwhile
from math import inf

from loadgen.plan.reassign import Reassignment
from loadgen.plan.shares import Share

Arrival = tuple[float, int, float]
"""The age at which a user may be launched, its number, and the age at which it was due.

The two ages are the same unless the user was reassigned."""


class Arrivals:
    """The users to come, gate by gate, in the order of their launches."""

    def __init__(
        self, dues: Callable[[Share, int], Iterator[tuple[int, float]]], share: Share, gates: int
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
        self._coming = self._own(0)
        self._next = next(self._coming, None)

    @property
    def next_launch(self) -> float:
        """The age at which the next user may be launched; infinite when none is to come."""
        return inf if self._next is None else self._next[0]

    @property
    def next_gate(self) -> int:
        """The number of the gate that has to open next; 0 when all are open."""
        return len(self._opened) if len(self._opened) < self._gates else 0

    @property
    def over(self) -> bool:
        """True when no user is to come, also behind a gate that is shut."""
        return self._next is None and not self.next_gate

    def take(self) -> tuple[int, float]:
        """Takes out the next user; returns its number and the age at which it was due."""
        assert self._next is not None
        _, number, due = self._next
        self._next = next(self._coming, None)
        return number, due

    def stop(self) -> None:
        """Ends the arrivals, behind gates too."""
        self._next = None
        self._gates = 0

    def open_gate(self, gate: int, age: float) -> bool:
        """Opens the next gate; False, and harmless, when it is not the next one."""
        if not 0 < gate == self.next_gate:
            return False
        self._opened.append(age)
        reassigned = (self._reassigned(*entry, gate) for entry in self._reassignments)
        self._add(self._own(gate), *reassigned)
        return True

    def reassign(self, reassignment: Reassignment, delay: float) -> None:
        """Adds the users of a reassignment that were not launched before.

        `delay` is the seconds of all pauses so far.
        """
        self._reassignments.append((reassignment, delay))
        gates = range(len(self._opened))
        self._add(*(self._reassigned(reassignment, delay, gate) for gate in gates))

    def _own(self, gate: int) -> Iterator[Arrival]:
        opened = self._opened[gate]
        return (
            (opened + due, number, opened + due) for number, due in self._dues(self._share, gate)
        )

    def _reassigned(self, reassignment: Reassignment, delay: float, gate: int) -> Iterator[Arrival]:
        # Subtle: users whose time has passed are late; they are launched at the pace of the
        # reassignment, not all at once.
        opened = self._opened[gate]
        unfinished = reassignment.unfinished
        dues = self._dues(unfinished.share, gate)
        fresh = dropwhile(lambda arrival: arrival[0] < unfinished.below, dues)
        return (
            (max(opened + due, reassignment.not_before(number) - delay), number, opened + due)
            for number, due in fresh
        )

    def _add(self, *more: Iterator[Arrival]) -> None:
        pending = iter(() if self._next is None else (self._next,))
        self._coming = merge(pending, self._coming, *more)
        self._next = next(self._coming, None)
