"""The relay of an agent: its workers get what orders bring anew."""

import logging

from loadgen.agent.clock import ClockFilter
from loadgen.agent.orders import WorkerOrders
from loadgen.agent.pool import WorkerPool
from loadgen.wire import Orders

log = logging.getLogger("loadgen.agent")


class Relay:
    """Passes orders on to the workers of one run."""

    def __init__(self, pool: WorkerPool, sent: WorkerOrders, clock: ClockFilter) -> None:
        self._pool = pool
        self._sent = sent
        self._clock = clock

    def pass_on(self, orders: Orders, now: float, second: int, *, have_jobs: bool) -> None:
        """Passes on what orders to run or to pause bring anew.

        `now` is in seconds on the monotonic clock, in the second `second` of the run. Workers
        without their jobs get no more than the pace and what is over or open.
        """
        self._send_pace(orders)
        if have_jobs:
            for change in self._sent.new_changes(orders):
                self._pool.steer(change)
            self._send_reassignments(orders, second)
            self.announce(orders, now)
        for gate in self._sent.new_gates(orders):
            self._pool.open_gate(gate)
        for users in self._sent.new_meetings(orders):
            self._pool.end_meeting(users)

    def _send_pace(self, orders: Orders) -> None:
        """Pauses or resumes the workers, unless they have no jobs yet or have that pace."""
        pace = self._sent.new_pace(orders)
        if pace is None or not self._pool.employed:
            return
        if not pace.paused or pace.delay != self._sent.pace.delay:
            self._pool.resume(pace.delay)
        if pace.paused:
            self._pool.pause()
        log.info("arrivals are paused" if pace.paused else "arrivals go on")
        self._sent.pace = pace

    def _send_reassignments(self, orders: Orders, second: int) -> None:
        for reassignment in self._sent.new_reassignments(orders):
            if not self._pool.reassign(reassignment):
                return
            log.info(
                "takes a part of what was lost: %d to launch again, %d for the first time",
                reassignment.unfinished.again(),
                reassignment.unfinished.fresh(self._pool.total),
            )
            self._sent.count_reassigned(1, second)

    def announce(self, orders: Orders, now: float) -> None:
        """Tells the workers of new publications.

        Before that it tells them the clocks of publishers on other hosts, as they are known now.
        """
        clocks = self._clock.publishers(orders.clocks, now)
        if clocks:
            self._pool.compare(clocks)
        for published in self._sent.new_publications(orders):
            self._pool.announce(published)
