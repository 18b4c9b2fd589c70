"""The jobs of an agent's workers, from orders, settings and targets."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from loadgen.agent.settings import AgentSettings
from loadgen.agent.targets import ResolvedTarget
from loadgen.machine.facts import Machine
from loadgen.machine.limits import unusable_ports
from loadgen.net.ports import pairs_before
from loadgen.plan.reassign import Reassignment
from loadgen.plan.shares import Share, run_that_fits
from loadgen.plan.steer import steered
from loadgen.wire import Destination, Job, Orders, Sources, Start, Welcome


class AgentPart(NamedTuple):
    """The facts about an agent from which its jobs are made."""

    welcome: Welcome
    settings: AgentSettings
    machine: Machine
    targets: Sequence[ResolvedTarget]
    """The URLs of the plan, in their order."""
    clock: str = ""
    """The name of its monotonic clock."""
    tree: str = ""
    """The folder with the files of sessions in Python; empty without one."""
    data: bytes = b""
    """The result of the plan's setup, as JSON; empty without a setup."""


def connections_in(share: Share, reassignments: Iterable[Reassignment], total: int) -> int:
    """Returns how many connections a share and its reassignments launch.

    `total` is the count of numbers in all.
    """
    return share.count(total) + sum(
        reassignment.unfinished.wanted(total) for reassignment in reassignments
    )


def jobs_of(part: AgentPart, orders: Orders, start: Start, begin: float) -> list[Job]:
    """Returns one job for each worker: its part of share, ports and capacity.

    The run starts at `begin`, in seconds on this host's monotonic clock.
    """
    welcome, settings = part.welcome, part.settings
    plan = welcome.plan
    total = steered(plan, orders.changes).total
    connections = connections_in(start.share, orders.reassignments, total)
    count = min(settings.workers_for(connections, part.machine).number, connections)
    even = [1] * count
    shares = start.share.split(even, run_that_fits(connections, even, start.share.run))
    reassigned = [reassignment.split(even, total) for reassignment in orders.reassignments]
    capacity, extra = divmod(settings.capacity, count)
    crowded = settings.crowded or count > part.machine.cpus
    destinations = destinations_of(part)
    return [
        Job(
            plan=plan,
            share=share,
            start=begin,
            destinations=tuple(numbered(to, number, count) for to in destinations),
            most_open=capacity + (number < extra),
            agent=welcome.name,
            crowded=crowded,
            reassignments=tuple(pieces[number] for pieces in reassigned),
            first=start.first,
            delay=orders.delay,
            publisher=welcome.public_id,
            clock=part.clock,
            tree=part.tree,
            allowed=settings.allowed_targets.texts,
            credentials=welcome.credentials,
            changes=orders.changes,
            data=part.data,
        )
        for number, share in enumerate(shares)
    ]


def destinations_of(part: AgentPart) -> list[Destination]:
    """Returns the targets with the (address, port) pairs of all workers towards each."""
    return [destination_of(target, part) for target in part.targets]


def destination_of(target: ResolvedTarget, part: AgentPart) -> Destination:
    """Returns a target with the (address, port) pairs of all workers towards it.

    Agents on one host begin at different pairs, so that they do not meet.
    """
    welcome = part.welcome
    ports = part.settings.port_range
    left_out = tuple(sorted(unusable_ports(part.machine, ports)))
    index = welcome.index % welcome.agents

    def sources_from(addresses: tuple[str, ...]) -> Sources:
        pairs = len(addresses) * (len(ports) - len(left_out))
        first = pairs_before(index, welcome.agents, pairs)
        return Sources(addresses, ports.start, ports.stop - 1, start=first, left_out=left_out)

    return target.destination(sources_from)


def numbered_as(job: Job, to: Destination) -> Destination:
    """Returns a destination with the pairs of a job's worker: the same towards all."""
    own = job.destinations[0].ways[0].sources
    return numbered(to, own.worker, own.workers)


def numbered(to: Destination, worker: int, workers: int) -> Destination:
    """Returns a destination with the pairs of one of an agent's workers."""
    ways = tuple(
        replace(way, sources=replace(way.sources, worker=worker, workers=workers))
        for way in to.ways
    )
    return replace(to, ways=ways)
