"""The orders that the workers of a run have, and those that are new to them.

The coordinator repeats its orders with every reply, so that a lost reply does no harm. The workers
get each of them once.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from loadgen.plan.reassign import Reassignment
from loadgen.plan.steer import PlanChange
from loadgen.stats.delivery import Published, PublisherClock
from loadgen.wire import Destination, Orders, Place, to_wire


class Pace(NamedTuple):
    """The pace of arrivals: paused or not, and late by a number of seconds."""

    paused: bool = False
    delay: float = 0.0
    """Seconds that all pauses so far have put off what is still to come."""


class Gate(NamedTuple):
    """The opening of a gate that phases wait at."""

    number: int
    at: float
    """Seconds from the start of the run."""


def _order(word: bytes, argument: object) -> bytes:
    """Returns the line of an order with one argument, as JSON."""
    # A blank ends a word of an order.
    return b"%b %b\n" % (word, to_wire(argument).replace(b" ", b"\\u0020"))


def announcement(published: Published) -> bytes:
    """Returns the line that tells a worker of a publication."""
    return _order(b"published", published)


def steering(change: PlanChange) -> bytes:
    """Returns the line that tells a worker of a change of the plan."""
    return _order(b"steer", change)


def place_line(place: Place) -> bytes:
    """Returns the line that tells a worker of the place that it wanted."""
    return _order(b"place", place)


def comparison(clocks: Mapping[str, PublisherClock]) -> bytes:
    """Returns the line that tells a worker of publishers' clocks, beside its own."""
    return _order(b"clocks", clocks)


def readdressing(destinations: Sequence[Destination]) -> bytes:
    """Returns the line that tells a worker of the addresses that targets have now."""
    return _order(b"resolved", destinations)


class WorkerOrders:
    """The orders that the workers of one run have, compared with those that come in."""

    def __init__(self) -> None:
        self.draining = False
        """True once the workers were asked to close all that they hold."""
        self.pace = Pace()
        """The pace that the workers were sent last."""
        self.reassigned = 0
        """The number of reassignments that the workers were given."""
        self.accounted = 0
        """The number of reassignments that the seconds reported so far account for."""
        self.steered = 0
        """The number of changes of the plan that the workers have."""
        self.announced = 0
        """The number of publications that the workers were told of, or were too old."""
        self._reassigned_at = 0
        """The second in which the workers got the last reassignment."""
        self._gates = 0
        self._meetings: set[int] = set()

    def new_pace(self, orders: Orders) -> Pace | None:
        """Returns the pace of the orders, None when the workers have it."""
        pace = Pace(orders.do == "pause", orders.delay)
        return None if pace == self.pace else pace

    def new_gates(self, orders: Orders) -> list[Gate]:
        """Returns the gates that the workers do not know to be open, and marks them sent."""
        new = [Gate(number, at) for number, at in enumerate(orders.gates, 1)][self._gates :]
        self._gates = len(orders.gates)
        return new

    def new_meetings(self, orders: Orders) -> list[int]:
        """Returns the meetings that the workers do not know to be over; marks them sent."""
        new = [users for users in dict.fromkeys(orders.met) if users not in self._meetings]
        self._meetings.update(new)
        return new

    def new_reassignments(self, orders: Orders) -> tuple[Reassignment, ...]:
        """Returns the reassignments that the workers were not given yet."""
        return orders.reassignments[max(0, self.reassigned - orders.reassigned) :]

    def new_changes(self, orders: Orders) -> tuple[PlanChange, ...]:
        """Returns the changes of the plan that the workers do not have, and counts them."""
        new = orders.changes[max(0, self.steered - orders.steered) :]
        self.steered = max(self.steered, orders.steered + len(orders.changes))
        return new

    def new_publications(self, orders: Orders) -> tuple[Published, ...]:
        """Returns the publications that are new to the workers; counts them as told.

        Those before the first of the orders are too old to be told.
        """
        new = orders.published[max(0, self.announced - orders.announced) :]
        self.announced = max(self.announced, orders.announced + len(orders.published))
        return new

    def count_reassigned(self, count: int, second: int) -> None:
        """Counts reassignments as given to the workers in a second of the run."""
        self.reassigned += count
        self._reassigned_at = second

    def account_for(self, second: int) -> None:
        """Takes note that this second of the run is complete.

        A second after that of the last reassignment accounts for all that the workers were given.
        """
        if second > self._reassigned_at:
            self.accounted = self.reassigned
