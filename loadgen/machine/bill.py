"""The bill of a client machine: CPU and memory that its part of a load takes.

All of it is arithmetic on measured figures. An event of a worker that sleeps before it costs
several times one that comes together with others, since it is woken for it, and finds its caches
cold.
"""

from math import ceil, exp

import msgspec

from loadgen.grain import grain_at
from loadgen.machine.costs import (
    AGENT_IDLE,
    COOLING,
    MESSAGE,
    OPEN,
    OPEN_WAKES,
    PING,
    PING_WAKES,
    TLS_OPEN,
    WAKE,
    WORKER_IDLE,
)
from loadgen.machine.limits import CLIENT_BYTES, KERNEL_BYTES, TLS_BYTES, WORKER_BYTES
from loadgen.machine.sizing import AGENT_BYTES


class Demand(msgspec.Struct, frozen=True):
    """A load that a fleet, or one machine of it, is to make."""

    connections: int
    rate: float
    """Arrivals a second."""
    think: float = 0.0
    """Seconds between two pings of a connection; 0: it never pings."""
    messages: float = 0.0
    """Messages that each connection receives in a second."""
    tls: bool = False

    def part(self, machines: int) -> "Demand":
        """Returns the largest part where machines share it evenly."""
        return msgspec.structs.replace(
            self, connections=ceil(self.connections / machines), rate=self.rate / machines
        )

    @property
    def pings(self) -> float:
        """Pings a second while all connections are open."""
        return self.connections / self.think if self.think else 0.0

    @property
    def opening_pings(self) -> float:
        """Pings a second when the last connections arrive: each think time adds the rate."""
        turns = ceil(self.connections / self.rate / self.think) - 1 if self.think else 0
        return min(self.pings, turns * self.rate)


class Bill(msgspec.Struct, frozen=True):
    """The CPU and memory of one client machine; memory in bytes."""

    opening_cores: float
    """Busy cores when the last connections arrive."""
    held_cores: float
    """Busy cores while all connections are open."""
    agent_bytes: int
    """The agent with its fork server."""
    worker_bytes: int
    """The workers before the first connection."""
    user_bytes: int
    """The connections in the workers."""
    kernel_bytes: int
    """The machine's ends of the connections in the kernel."""

    @property
    def cores(self) -> float:
        """The most cores that are busy."""
        return max(self.opening_cores, self.held_cores)

    @property
    def memory(self) -> int:
        """The bytes of all together."""
        return self.agent_bytes + self.worker_bytes + self.user_bytes + self.kernel_bytes


def bill_of(demand: Demand, workers: int, speed: float = 1.0) -> Bill:
    """Returns the bill of a machine that opens a load with this many workers.

    `speed` is that of its cores, as a multiple of those that the figures come from.
    """
    connections = demand.connections
    share = demand.part(workers)
    opening = _cores(share, min(share.rate, share.connections), share.opening_pings)
    held = _cores(share, 0.0, share.pings)
    return Bill(
        opening_cores=(AGENT_IDLE + workers * opening) / speed,
        held_cores=(AGENT_IDLE + workers * held) / speed,
        agent_bytes=AGENT_BYTES,
        worker_bytes=workers * WORKER_BYTES,
        user_bytes=connections * (CLIENT_BYTES + TLS_BYTES * demand.tls),
        kernel_bytes=connections * KERNEL_BYTES,
    )


def _cores(share: Demand, opens: float, pings: float) -> float:
    """Returns how busy a worker is with these arrivals and pings a second.

    What is due within a grain comes in one batch, and so do the answers to it.
    """
    messages = share.messages * share.connections
    work = opens * (OPEN + TLS_OPEN * share.tls) + pings * PING + messages * MESSAGE + WORKER_IDLE
    batch = max(1.0, (opens + pings) * grain_at(share.rate, share.pings))
    wakes = (opens + pings) / batch + messages
    if not wakes:
        return work
    woken = (opens * OPEN_WAKES + pings * PING_WAKES) / batch + messages
    return work + woken * WAKE * (1 - exp(-1 / wakes / COOLING))
