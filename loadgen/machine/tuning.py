"""Which kernel settings a machine needs for so many connections in a role: a client's or the
target's.

All of it is arithmetic on a Machine's readings. A setting that is high enough is left as it is:
nothing is lowered. sysctl/README.md tells the same for people, key by key, and a test holds the two
together.
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
"""What a machine of each role is asked to hold in a run of a million connections over sixteen
agents."""
NO_BOUND = (1 << 63) - 1
"""What systemd sets fs.file-max to."""
PORTS = (1024, 65535)
BACKLOG = 16_384
"""Handshakes or packets that may wait: 8 s of arrivals, half a second of pings of the reference
run."""
CLOSED_LATELY = 2_000 * 120
"""Connections that a target's conntrack still knows: 2,000 a second ended within the last two
minutes."""
CONNTRACK_STEP = 1 << 18
OTHER_FILES = 10_000
"""Open files of everything else on a machine."""


class Setting(msgspec.Struct, frozen=True):
    """One kernel setting as it should be: the key's dotted name, the words that /proc/sys takes,
    and why."""

    key: str
    value: str
    reason: str


def wanted(machine: Machine, role: Role, connections: int) -> tuple[Setting, ...]:
    """The settings that fall short of so many connections; none for a key that this kernel does
    not have or show."""
    of_role = _of_client if role == "client" else _of_target
    return (
        *of_role(machine, connections),
        *_file_max(machine, connections),
        *_tcp_mem(machine, connections),
        *_conntrack(machine, 3 * connections if role == "client" else connections + CLOSED_LATELY),
    )


def _of_client(machine: Machine, _: int) -> Iterator[Setting]:
    low = max(PORTS[0], machine.unprivileged_start or 0)
    low += low % 2  # an even and an odd end spare a warning in the kernel's log
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
    """A page for each connection both ways, as when all of them send and receive at once; half
    the memory at most."""
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
    """The smallest power of two that is no less."""
    return 1 << (number - 1).bit_length()
