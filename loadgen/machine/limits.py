"""The connections that each resource of a machine carries, and their fixes.

All of it is arithmetic on the facts of a Machine, so that a preflight, `loadgen-tune` and a test
with invented facts go the same way. A resource that does not bound a machine, or could not be read
there, yields no Limit.
"""

from collections.abc import Iterator, Sequence
from math import ceil, floor
from typing import Annotated, Literal

import msgspec

from loadgen.machine.addresses import parse_reserved, ports_left_out
from loadgen.machine.facts import UNBOUNDED, Machine
from loadgen.process import SPARE_DESCRIPTORS
from loadgen.values import REFERENCE_CONNECTIONS

MAX_CONNECTIONS = "max_connections"
"""The name of the limit that is no resource, but what the owner of the machine allows."""


class Limit(msgspec.Struct, frozen=True):
    """One resource of a machine: the connections it can carry, and how to raise it."""

    resource: str
    """Its name: `file_descriptors`, `source_ports`, `memory`, `max_connections`, `conntrack`…"""
    connections: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    """The number of connections that it carries."""
    detail: str
    """The facts that the number follows from, for people: `20,000 per process × 2 workers`."""
    fix: str
    """The command or option that raises it, in one line."""
    needed: str = ""
    """The amount that the asked number of connections takes, in the units of `detail`: `16,064 per
    process`."""


def limiting_resource(limits: Sequence[Limit]) -> Limit | None:
    """Returns the limit of the fewest connections, None without any limit."""
    return min(limits, key=lambda limit: limit.connections, default=None)


def shortfall(limits: Sequence[Limit], share: int) -> Limit | None:
    """Returns the limiting resource of a share; None when all carry the share."""
    first = limiting_resource(limits)
    return first if first is not None and first.connections < share else None


KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

WORKER_BYTES = 14 * MIB
"""One worker process before its first connection: 8.5 MiB measured (docs/cost-model.md), and
room for its seconds."""
KERNEL_BYTES = 5 * KIB
"""One end of a connection in the kernel; both ends of one were measured at 9.9 KiB of slab
(docs/cost-model.md)."""
CLIENT_BYTES = 820
"""The user side of a client connection with the built-in loop: 0.71 KiB measured
(docs/cost-model.md), rounded up."""
TLS_BYTES = 29 * KIB
"""Bytes that TLS adds to a client connection, nearly all of them OpenSSL's: 22.3 KiB measured, and
28.0 KiB where it resumed a session (docs/cost-model.md), rounded up."""
TARGET_BYTES = 1_536
"""The user side of a connection in the embedded target: 1.4 KiB measured (docs/cost-model.md),
rounded up."""
TARGET_FILL = 0.95
"""The part of its descriptors that a worker of the target can use, since connections are dealt
unevenly."""
FULL_CHAIN = 2
"""Sockets on each chain of the kernel's table, on average, above which it is worth enlarging."""
BUFFER_BYTES = 256
"""Socket buffers per connection, averaged over all of them.

An idle connection holds no page: 4,000 pairs took 0 pages when connected, 3,721 with 200 bytes
unread at one end of each, 137 after these were read (Linux 6.18). So 256 bytes mean one connection
in sixteen with a frame under way, as with a target that is two seconds late at a ping every 30 s.
"""


class Advice(msgspec.Struct, frozen=True):
    """A setting that bounds no connections but may spoil a run, and its fix."""

    resource: str
    detail: str
    fix: str


def client_limits(
    machine: Machine,
    *,
    addresses: int,
    ports: range | int,
    workers: int,
    max_connections: int,
    ways: int | None = None,
    tls: bool = False,
) -> list[Limit]:
    """Returns how many client connections each resource of a machine carries.

    The fixes raise a resource to `max_connections`. `ports` are those of each source address; a
    number stands for that many ports up to 65535. `ways` is the number of pairs of a source address
    and an address of the target, each with all ports; without it the target has one address, and
    with 0 it takes no port, as a Unix socket. `tls`: connections have TLS.
    """
    user_bytes = CLIENT_BYTES + TLS_BYTES * tls
    ports = ports if isinstance(ports, range) else range(65536 - ports, 65536)
    ways = addresses if ways is None else ways
    option = f"--max-connections {max_connections:,}"
    mine = Limit(
        MAX_CONNECTIONS,
        max_connections,
        option,
        f"--max-connections {2 * max_connections}",
        option,
    )
    return [
        mine,
        *_source_ports(machine, addresses, ways, ports, max_connections),
        _file_descriptors(machine, workers, max_connections),
        *_common_limits(machine, workers, max_connections, user_bytes),
    ]


def target_limits(
    machine: Machine, *, workers: int, connections: int = REFERENCE_CONNECTIONS
) -> list[Limit]:
    """Returns how many accepted connections each resource of a machine carries.

    The fixes raise a resource to `connections`.
    """
    return [
        _file_descriptors(machine, workers, connections, TARGET_FILL),
        *_common_limits(machine, workers, connections, TARGET_BYTES),
    ]


def workers_needed(connections: int, machine: Machine, cores: int, fill: float = 1.0) -> int:
    """Returns one worker per core, or more where the descriptor limit demands it.

    The limit is that of one process, RLIMIT_NOFILE. `fill` is the part of its descriptors that a
    worker can use: all on a client, TARGET_FILL on a target.
    """
    return max(1, cores, ceil(connections / max(1, _connections_per_process(machine, fill))))


def advice(
    machine: Machine, role: Literal["client", "target"], connections: int = 0
) -> list[Advice]:
    """Returns what else may spoil a run of these connections, besides the limits."""
    return [
        *_idle_conntrack(machine),
        *(_backlog(machine) if role == "target" else ()),
        *_socket_table(machine, connections),
        *_container(machine),
    ]


def unusable_ports(machine: Machine, ports: range) -> frozenset[int]:
    """Returns the ports of a range that the workers of a machine leave out.

    SourcePorts takes them as `reserved`.
    """
    low, high = machine.local_range or (0, -1)
    return ports_left_out(
        ports,
        reserved=parse_reserved(machine.reserved_ports),
        own=range(low, high + 1),
        bindable_from=0 if machine.privileged else machine.unprivileged_start or 0,
    )


def _common_limits(machine: Machine, workers: int, wanted: int, user_bytes: int) -> Iterator[Limit]:
    yield from _file_max(machine, wanted)
    yield from _memory(machine, workers, wanted, user_bytes + KERNEL_BYTES)
    yield from _tcp_mem(machine, wanted)
    yield from _conntrack(machine, wanted)


def _file_descriptors(machine: Machine, workers: int, wanted: int, fill: float = 1.0) -> Limit:
    each = _connections_per_process(machine, fill)
    goal = _goal(wanted, each * workers)
    nofile = ceil(goal / workers / fill) + SPARE_DESCRIPTORS
    raised = f"ulimit -n {nofile} (LimitNOFILE={nofile} in the unit)"
    if machine.nr_open is not None and nofile > machine.nr_open:
        raised = f"sysctl -w fs.nr_open={nofile}, then {raised}"
    return Limit(
        "file_descriptors",
        each * workers,
        f"{machine.nofile_hard:,} per process, {each:,} for connections, ×"
        f" {counted(workers, 'worker')}",
        f"--workers {ceil(goal / each)}, or {raised}" if each else raised,
        f"{ceil(wanted / workers / fill) + SPARE_DESCRIPTORS:,} per process",
    )


def _file_max(machine: Machine, wanted: int) -> Iterator[Limit]:
    if machine.file_max is not None and machine.file_max < UNBOUNDED:
        used = machine.file_nr[0] if machine.file_nr else 0
        holds = max(0, machine.file_max - used)
        fix = f"sysctl -w fs.file-max={_with_room(used, _goal(wanted, holds))}"
        now = f"fs.file-max {machine.file_max:,} less {used:,} open"
        yield Limit("file_max", holds, now, fix, f"{used + wanted:,}")


def _source_ports(
    machine: Machine, addresses: int, ways: int, ports: range, wanted: int
) -> Iterator[Limit]:
    if not ways:
        return
    left_out = len(unusable_ports(machine, ports))
    each = len(ports) - left_out
    kept = (
        f" less {left_out:,} left out (reserved, privileged, the machine's own)" if left_out else ""
    )
    whence = counted(addresses, "address")
    if ways != addresses:
        whence = f"{ways:,} pairs of source and target addresses"
    per_address = each * ways / addresses  # more than one address of the target
    goal = _goal(wanted, each * ways)
    more = ceil(goal / per_address) if each else 1
    yield Limit(
        "source_ports",
        each * ways,
        f"{whence} × {len(ports):,} ports{kept}",
        (
            f"--source FIRST-LAST with {counted(more, 'address')}; `ip addr add ADDRESS dev"
            " INTERFACE` makes one"
            if each
            else "--ports 1025-65535"
        ),
        counted(ceil(wanted / per_address), "address") if each else f"{wanted:,} ports",
    )


def _memory(machine: Machine, workers: int, wanted: int, per_connection: int) -> Iterator[Limit]:
    available, base = machine.memory_room, workers * WORKER_BYTES
    if available is None:
        return
    holds = max(0, (available - base) // per_connection)
    short = base + _goal(wanted, holds) * per_connection - available
    where = "left of the cgroup's limit" if available == machine.cgroup_headroom else "available"
    raised = (
        "raise the container's memory limit"
        if available == machine.cgroup_headroom
        else "give this machine more"
    )
    yield Limit(
        "memory",
        holds,
        f"{available / GIB:,.1f} GiB {where} less {base // MIB:,} MiB for workers, at"
        f" {per_connection / KIB:.1f} KiB",
        f"{raised}, by {short / GIB:,.1f} GiB, or share the load with more machines",
        f"{(base + wanted * per_connection) / GIB:,.1f} GiB",
    )


def _tcp_mem(machine: Machine, wanted: int) -> Iterator[Limit]:
    if machine.tcp_mem is not None:
        ceiling, used = machine.tcp_mem[2], machine.tcp_pages
        holds = max(0, ceiling - used) * machine.page // BUFFER_BYTES
        pages = _with_room(used, ceil(_goal(wanted, holds) * BUFFER_BYTES / machine.page))
        yield Limit(
            "tcp_mem",
            holds,
            f"{ceiling:,} pages less {used:,} in use, at {BUFFER_BYTES} bytes each on average",
            f'sysctl -w net.ipv4.tcp_mem="{pages // 2} {pages * 3 // 4} {pages}"',
            f"{used + ceil(wanted * BUFFER_BYTES / machine.page):,} pages",
        )


def _conntrack(machine: Machine, wanted: int) -> Iterator[Limit]:
    if machine.conntrack_max is not None and machine.conntrack_count:
        holds = max(0, machine.conntrack_max - machine.conntrack_count)
        raised = _with_room(machine.conntrack_count, _goal(wanted, holds))
        yield Limit(
            "conntrack",
            holds,
            f"nf_conntrack_max {machine.conntrack_max:,} less {machine.conntrack_count:,}"
            " tracked now",
            f"sysctl -w net.netfilter.nf_conntrack_max={raised}",
            f"{machine.conntrack_count + wanted:,}",
        )


def _idle_conntrack(machine: Machine) -> Iterator[Advice]:
    """Yields an advice where the module is loaded without its hooks.

    A network namespace gets the hooks with its first rule that needs them.
    """
    if machine.conntrack_max is not None and machine.conntrack_count == 0:
        yield Advice(
            "conntrack",
            "tracks nothing now; once a firewall or NAT rule needs it, it ends at"
            f" {machine.conntrack_max:,}",
            "none while no rule needs it; then sysctl -w net.netfilter.nf_conntrack_max=1310720",
        )


def _backlog(machine: Machine) -> Iterator[Advice]:
    if machine.somaxconn is not None and machine.somaxconn < 4096:
        seconds = machine.somaxconn / 2000
        yield Advice(
            "backlog",
            f"somaxconn {machine.somaxconn:,}: at 2,000 arrivals a second {seconds:.2g} s without"
            " accept fill it",
            "sysctl -w net.core.somaxconn=16384",
        )


def _socket_table(machine: Machine, connections: int) -> Iterator[Advice]:
    """Yields an advice where the chains of the socket table are long.

    Two million sockets on 262,144 chains took a tenth of two busy cores for the lookups.
    """
    chains = abs(machine.ehash_entries or 0)
    if chains and connections > FULL_CHAIN * chains:
        goal = 1 << (connections - 1).bit_length()
        yield Advice(
            "socket_table",
            f"tcp_ehash_entries {chains:,}: chains of {connections / chains:.1f} sockets, each link"
            " a cache miss",
            f"boot with thash_entries={goal}, or sysctl -w net.ipv4.tcp_child_ehash_entries={goal}"
            " and run in a network namespace made after it",
        )


def _container(machine: Machine) -> Iterator[Advice]:
    if machine.container:
        yield Advice(
            "container",
            f"{machine.container}: most of the kernel's settings are its host's, and limits of the"
            " host that can't be seen here bound it as well",
            "loadgen-tune check and apply on the host",
        )


def _connections_per_process(machine: Machine, fill: float) -> int:
    return max(0, floor((machine.nofile_hard - SPARE_DESCRIPTORS) * fill))


def _goal(wanted: int, holds: int) -> int:
    """Returns the goal of a fix: the wanted number, or twice what is held."""
    return wanted if wanted > holds else 2 * holds


def _with_room(used: int, goal: int) -> int:
    """Returns a setting for what is used and the goal, and a quarter of that.

    The quarter is for closed connections, which linger for two minutes.
    """
    return used + goal + goal // 4


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun: `1 address`, `20,000 addresses`."""
    return f"{number:,} {noun if number == 1 else noun + ('es' if noun.endswith('s') else 's')}"
