"""The memory and cores that connections take, of clients and of the target.

All of it is arithmetic on measured figures. docs/cost-model.md has them, and a test compares them
with these.
"""

from math import ceil

import msgspec

from loadgen.machine.addresses import DEFAULT_PORTS
from loadgen.machine.costs import CLIENT_OPEN, CLIENT_PING, TARGET_OPEN, TARGET_PING
from loadgen.machine.limits import (
    CLIENT_BYTES,
    KERNEL_BYTES,
    MIB,
    TARGET_BYTES,
    TLS_BYTES,
    WORKER_BYTES,
)

AGENT_BYTES = 40 * MIB
"""An agent and the fork server of its workers: 38.8 MiB measured."""
MACHINE_WORKERS = 4
"""Workers of a client machine of the reference run: one a core."""


class Sizing(msgspec.Struct, frozen=True):
    """The least that is needed; memory in bytes, cores that are busy on average."""

    connections: int
    addresses: int
    """The source addresses, all ports of each; also the client machines, with an address each."""
    client_bytes: int
    """The memory of all client machines together."""
    client_cores: float
    target_bytes: int
    target_cores: float


def sizing_of(connections: int, rate: float, think: float, *, tls: bool = False) -> Sizing:
    """Returns the needs while connections arrive and open ones ping.

    Each open one pings once a think time.

    `rate` is in arrivals a second, `think` in seconds. `tls`: clients' connections have TLS, whose
    CPU is not in it; the embedded target has none.
    """
    addresses = ceil(connections / len(DEFAULT_PORTS))
    pings = connections / think
    target_cores = rate * TARGET_OPEN + pings * TARGET_PING
    return Sizing(
        connections=connections,
        addresses=addresses,
        client_bytes=addresses * (AGENT_BYTES + MACHINE_WORKERS * WORKER_BYTES)
        + connections * (CLIENT_BYTES + TLS_BYTES * tls + KERNEL_BYTES),
        client_cores=rate * CLIENT_OPEN + pings * CLIENT_PING,
        target_bytes=max(1, ceil(target_cores)) * WORKER_BYTES
        + connections * (TARGET_BYTES + KERNEL_BYTES),
        target_cores=target_cores,
    )
