"""The number of workers of an agent or a target, and why it is that.

It follows cores, descriptors and memory, all of them facts of a Machine.
"""

from typing import NamedTuple

from loadgen.machine.facts import Machine
from loadgen.machine.limits import (
    CLIENT_BYTES,
    GIB,
    KERNEL_BYTES,
    TARGET_FILL,
    TLS_BYTES,
    WORKER_BYTES,
    workers_needed,
)

WORKERS_PART = 0.5
"""The part of the memory that connections leave free which workers may take before their first
connection; what an agent, its seconds and everything else on the machine take comes on top."""

ONE_A_CORE = "one a core"


class WorkerCount(NamedTuple):
    """A number of worker processes with its reason, for people: `4, one a core`."""

    number: int
    reason: str


def client_workers(connections: int, machine: Machine, *, tls: bool = False) -> WorkerCount:
    """Returns how many workers of an agent open these connections.

    There is one for each core; more where the descriptor limit of a process demands it, and fewer
    where the connections leave too little memory for them. `tls`: connections have TLS.
    """
    least = workers_needed(connections, machine, 1)
    room = machine.memory_room
    if least > machine.cpus or room is None:
        return _by_descriptors(max(least, machine.cpus), machine)
    left = room - connections * (CLIENT_BYTES + KERNEL_BYTES + TLS_BYTES * tls)
    fitting = max(least, int(left * WORKERS_PART) // WORKER_BYTES)
    if fitting < machine.cpus:
        return WorkerCount(fitting, f"{room / GIB:.2g} GiB of memory leave no room for one a core")
    return WorkerCount(machine.cpus, ONE_A_CORE)


def target_workers(connections: int, machine: Machine) -> WorkerCount:
    """Returns how many workers of the embedded target hold these connections."""
    number = workers_needed(connections, machine, machine.cpus, TARGET_FILL)
    return _by_descriptors(number, machine)


def _by_descriptors(number: int, machine: Machine) -> WorkerCount:
    if number > machine.cpus:
        return WorkerCount(number, f"a process may open {machine.nofile_hard:,} files")
    return WorkerCount(number, ONE_A_CORE)
