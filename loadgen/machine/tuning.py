"""The kernel settings that a machine needs as a client or as the target.

All of it is arithmetic on the facts of a Machine. A setting that is high enough stays as it is:
nothing is lowered. sysctl/README.md says the same for people, key by key, and a test compares the
two.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from loadgen.machine.facts import UNBOUNDED, Machine
from loadgen.values import DEFAULT_MAX_CONNECTIONS, REFERENCE_CONNECTIONS

Role = Literal["client", "target"]
CONNECTIONS: dict[Role, int] = {
    "client": DEFAULT_MAX_CONNECTIONS,
    "target": REFERENCE_CONNECTIONS,
}
"""The connections that a machine of each role holds in the reference run over sixteen agents."""
NO_BOUND = (1 << 63) - 1
"""The value to which systemd sets fs.file-max."""
PORTS = (1024, 65535)
BACKLOG = 16_384
"""Handshakes or packets that may wait: 8 s of arrivals, half a second of pings of the reference
run."""
CLOSED_LATELY = 2_000 * 120
"""Closed connections that a target's conntrack still knows: 2,000 a second over two minutes."""
CONNTRACK_STEP = 1 << 18
OTHER_FILES = 10_000
"""Open files of everything else on a machine."""


class Setting(msgspec.Struct, frozen=True):
    """One kernel setting as it should be: name, text for /proc/sys, reason."""

    key: str
    value: str
    reason: str


def wanted(machine: Machine, role: Role, connections: int) -> tuple[Setting, ...]:
    """Returns the settings that are too low for these connections.

    A key that this kernel does not have or does not show is left out.
    """
    of_role = _of_client if role == "client" else _of_target
    return (
        *of_role(machine, connections),
        *_file_max(machine, connections),
        *_tcp_mem(machine, connections),
        *_conntrack(machine, 3 * connections if role == "client" else connections + CLOSED_LATELY),
    )


def _of_client(machine: Machine, _: int) -> Iterator[Setting]:
    low = max(PORTS[0], machine.unprivileged_start or 0)
    low += low % 2  # with an even and an odd end the kernel logs no warning
    if machine.local_range is not None and (
        machine.local_range[0] > low or machine.local_range[1] < PORTS[1]
    ):
        yield Setting(
            "net.ipv4.ip_local_port_range",
            f"{low} {PORTS[1]}",
            "leaves ports for the machine's own connections while workers hold nearly all",
        )


def _of_target(machine: Machine, connections: int) -> Iterator[Setting]:
    files = _power_of_two(connections + OTHER_FILES)
    yield from _at_least(
        "fs.nr_open", machine.nr_open, files, "one process may hold every connection"
    )
    yield from _at_least(
        "net.core.somaxconn",
        machine.somaxconn,
        BACKLOG,
        "8 s of 2,000 arrivals a second may wait for accept()",
    )
    yield from _at_least(
        "net.ipv4.tcp_max_syn_backlog",
        machine.syn_backlog,
        BACKLOG,
        "as many half-open, where SYN cookies are off",
    )
    yield from _at_least(
        "net.core.netdev_max_backlog",
        machine.packet_backlog,
        BACKLOG,
        "half a second of 33,000 pings a second per core",
    )


def _file_max(machine: Machine, connections: int) -> Iterator[Setting]:
    used = machine.file_nr[0] if machine.file_nr else 0
    needed = used + connections + OTHER_FILES
    if machine.file_max is not None and machine.file_max < min(needed, UNBOUNDED):
        yield Setting(
            "fs.file-max",
            str(NO_BOUND),
            f"{connections:,} open files besides all others; this is no bound",
        )


def _tcp_mem(machine: Machine, connections: int) -> Iterator[Setting]:
    """Yields tcp_mem for a page each way on every connection.

    It is at most half of the memory.
    """
    if machine.tcp_mem is None:
        return
    ceiling = _power_of_two(2 * connections)
    if machine.memory_available is not None:
        ceiling = min(ceiling, machine.memory_available // 2 // machine.page)
    if machine.tcp_mem[2] < ceiling:
        yield Setting(
            "net.ipv4.tcp_mem",
            f"{ceiling // 2} {ceiling * 3 // 4} {ceiling}",
            f"pages: a small frame each way on {connections:,} connections at once, within half the"
            " memory",
        )


def _conntrack(machine: Machine, entries: int) -> Iterator[Setting]:
    goal = -(-entries // CONNTRACK_STEP) * CONNTRACK_STEP
    yield from _at_least(
        "net.netfilter.nf_conntrack_max",
        machine.conntrack_max,
        goal,
        "open connections and those closed lately",
    )


def _at_least(key: str, now: int | None, goal: int, reason: str) -> Iterator[Setting]:
    if now is not None and now < goal:
        yield Setting(key, str(goal), reason)


def _power_of_two(number: int) -> int:
    """Returns the smallest power of two that is not less than a number."""
    return 1 << (number - 1).bit_length()
