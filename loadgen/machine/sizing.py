"""What so many connections take of a fleet of client machines and of the machine under load, before
there are any.

All of it is arithmetic on measured figures: docs/cost-model.md has them, and a test holds these to
them.
"""

from math import ceil

import msgspec

from loadgen.machine.addresses import DEFAULT_PORTS
from loadgen.machine.limits import CLIENT_BYTES, KERNEL_BYTES, MIB, TARGET_BYTES, WORKER_BYTES

AGENT_BYTES = 40 * MIB
"""An agent and the parent of its workers: 38.8 MiB measured."""
MACHINE_WORKERS = 4
"""Workers of a client machine of the reference run: one a core."""
CLIENT_OPEN, CLIENT_PING = 135e-6, 38e-6
"""Seconds of CPU of a client machine, for an arrival, and for a ping with its pong; measured at
a million."""
TARGET_OPEN, TARGET_PING = 62e-6, 24e-6
"""The same of the machine under load, with the embedded target."""


class Sizing(msgspec.Struct, frozen=True):
    """What is needed at the least; bytes, and cores that are busy in the mean."""

    connections: int
    addresses: int
    """Source addresses, all ports of each; with one each also the client machines."""
    client_bytes: int
    """Of all client machines together."""
    client_cores: float
    target_bytes: int
    target_cores: float


def demand(connections: int, rate: float, think: float) -> Sizing:
    """What is needed while connections arrive at a rate and those that are open ping once each
    think time, seconds."""
    addresses = ceil(connections / len(DEFAULT_PORTS))
    pings = connections / think
    target_cores = rate * TARGET_OPEN + pings * TARGET_PING
    return Sizing(
        connections=connections,
        addresses=addresses,
        client_bytes=addresses * (AGENT_BYTES + MACHINE_WORKERS * WORKER_BYTES)
        + connections * (CLIENT_BYTES + KERNEL_BYTES),
        client_cores=rate * CLIENT_OPEN + pings * CLIENT_PING,
        target_bytes=max(1, ceil(target_cores)) * WORKER_BYTES
        + connections * (TARGET_BYTES + KERNEL_BYTES),
        target_cores=target_cores,
    )
