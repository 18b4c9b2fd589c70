"""The fleet that a load needs: the fewest machines of one size that carry it.

All of it is arithmetic: on the bill of a part of the load, and on the facts of a machine that is
only described.
"""

from math import ceil

import msgspec

from loadgen.errors import OperatorError
from loadgen.machine.addresses import DEFAULT_PORTS, SPARE_PORTS
from loadgen.machine.bill import Bill, Demand, bill_of
from loadgen.machine.facts import UNBOUNDED, Machine
from loadgen.machine.limits import GIB, counted
from loadgen.machine.workers import WorkerCount, client_workers

MAX_MACHINES = 1_000
"""Agents of a fleet."""
MEASURED_HELD = 20_000
"""The most connections of one worker in a run that was measured."""
MAX_WORKERS = 1_000
"""Workers of an agent."""
CORES_PART = 0.5
"""The part of the cores that a plan keeps busy: the interrupts of a network card, which were not
measured, a drain, and the users of a lost machine take from the rest."""
MEMORY_PART = 0.8
"""The part of the memory that a plan fills."""
ADDRESS_PORTS = len(DEFAULT_PORTS) - SPARE_PORTS
"""Connections of a source address to one address of the target."""


class ClientMachine(msgspec.Struct, frozen=True):
    """A client machine as an operator describes it."""

    cores: int = 4
    memory: int = 16 * GIB
    """In bytes."""
    descriptors: int = 1 << 20
    """Files that a process may open: LimitNOFILE of the unit."""
    addresses: int | None = None
    """Source addresses that it can have; None: any number."""
    speed: float = 1.0
    """The speed of its cores, as a multiple of those that the figures come from."""

    @property
    def facts(self) -> Machine:
        """The facts of such a machine with the kernel's default settings.

        docs.kernel.org: networking/ip-sysctl, networking/nf_conntrack-sysctl, admin-guide/sysctl.
        """
        page = Machine().page
        pressure = self.memory // page // 16
        low = pressure // 4 * 3
        return Machine(
            cpus=self.cores,
            memory_available=self.memory,
            nofile_soft=self.descriptors,
            nofile_hard=self.descriptors,
            nr_open=1 << 20,
            file_max=UNBOUNDED,
            somaxconn=4096,
            local_range=(32768, 60999),
            unprivileged_start=1024,
            packet_backlog=1000,
            syn_backlog=2048 if self.memory > 4 * GIB else 512,
            tcp_mem=(low, pressure, 2 * low),
            conntrack_max=1 << 18 if self.memory > 4 * GIB else 1 << 16,
        )


class FleetPlan(msgspec.Struct, frozen=True):
    """The machines that a load needs."""

    machines: int
    reason: str
    """The resource that one machine fewer has too little of."""
    connections: int
    """Connections of a machine, at most."""
    addresses: int
    """Source addresses of a machine."""
    workers: WorkerCount
    """Workers of a machine."""
    bill: Bill
    """The CPU and memory of a machine."""

    @property
    def unmeasured(self) -> str:
        """The part of it that was never measured, for people; empty for none."""
        held = ceil(self.connections / self.workers.number)
        if held <= MEASURED_HELD:
            return ""
        return (
            f"not measured: {held:,} connections of one worker; the most was {MEASURED_HELD:,}, and"
            " the bill goes on from there in a straight line"
        )


def fleet_for(demand: Demand, machine: ClientMachine, ways: int = 1) -> FleetPlan:
    """Returns the fewest machines of a size that make a load.

    `ways` is the number of addresses of the target; 0: it is a Unix socket, which takes no port.
    Raises OperatorError where even the largest fleet is too small.
    """
    reason = "one is enough"
    most = min(MAX_MACHINES, demand.connections)
    facts = machine.facts
    for machines in range(1, most + 1):
        plan = _plan_of(machines, reason, demand, facts, machine.speed, ways)
        short = _shortage(plan, machine)
        if not short:
            return plan
        reason = f"{machines if machines > 1 else 'one'} would have too {short}"
    raise OperatorError(
        f"{counted(most, 'machine')} of {counted(machine.cores, 'core')} and"
        f" {machine.memory / GIB:,.1f} GiB are too few: {reason}; describe larger ones (--cores,"
        " --memory, --addresses, --descriptors), or ask for less"
    )


def _plan_of(
    machines: int, reason: str, demand: Demand, facts: Machine, speed: float, ways: int
) -> FleetPlan:
    part = demand.part(machines)
    workers = client_workers(part.connections, facts, tls=demand.tls)
    return FleetPlan(
        machines=machines,
        reason=reason,
        connections=part.connections,
        addresses=ceil(part.connections / ADDRESS_PORTS / ways) if ways else 1,
        workers=workers,
        bill=bill_of(part, workers.number, speed),
    )


def _shortage(plan: FleetPlan, machine: ClientMachine) -> str:
    """Returns the resource that a plan has too little of, "" where it fits."""
    if plan.bill.memory > MEMORY_PART * machine.memory:
        return "little memory"
    if plan.bill.cores > CORES_PART * machine.cores:
        return "few cores"
    if machine.addresses is not None and plan.addresses > machine.addresses:
        return "few source addresses"
    if plan.workers.number > MAX_WORKERS:
        return "few descriptors a process"
    return ""
