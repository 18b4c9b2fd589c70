"""The most that a fleet generates: its measurement, and plans that come near it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from coordinator.run.row import Row
from coordinator.text import columns, count
from loadgen.machine.host import BUSY
from loadgen.machine.limits import CLIENT_BYTES, KERNEL_BYTES, TLS_BYTES
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import Loop

OPENED_PER_WORKER = 16_000
"""Connections that each worker process opens, and of which it then receives messages: with the
users that ping it needs fewer than 20,000 descriptors."""
OPENED_PER_AGENT = 56_000
"""The most of them for an agent: with the users that ping they need fewer ports than an address
has."""
PINGING = 1 / 15
"""The users that ping, as a part of the connections before them."""
THINK = 0.02
"""Seconds between two pings of such a user: a worker is asked for up to 53,000 a second."""
SLOWEST = 2000.0
"""Connections per second that a worker opens at least; a slower one is still opening them when its
messages should be counted."""
STILL = 1.0
"""Seconds before the first arrival, in which the memory of the workers is read."""
RECEIVING = 6.0
"""Seconds in which messages are published."""
REST = 2.0
"""Seconds in which those on the way arrive."""
PINGS_RAMP = 10.0
"""Seconds in which the users arrive that ping."""
END = 3.0
"""Seconds from the cut of all connections until the drain of the few that came back."""
NEVER = 3600.0
"""Seconds: more than the run lasts."""
MESSAGES = "messages"
"""The name of the phase in which messages are published."""
SPAN = 2
"""A figure is the rate over the best seconds in a row; this is their number."""
SATURATED = 0.9
"""The part of a core from which on a worker has no time left."""
MIN_OPEN = 500
"""Connections from which on the memory of one is measurable."""
NEAR = 0.8
"""The part of a calibrated figure from which on a plan is too close to it."""

Amount = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
Kind = Literal["opens", "pings", "messages"]
COUNTED: Mapping[Kind, str] = {
    "opens": "opened",
    "messages": "messages_received",
    "pings": "pongs",
}
"""The count that each figure is the rate of."""


class Figure(msgspec.Struct, frozen=True):
    """A rate per second."""

    rate: Amount
    at_least: bool = False
    """True when the generator had time left: it may be able to do more."""

    def __str__(self) -> str:
        return f"{'≥ ' if self.at_least else ''}{count(self.rate)}"


class Ability(msgspec.Struct, frozen=True):
    """The most that an agent, or the fleet, has done; None where that is unknown."""

    opens: Figure | None = None
    pings: Figure | None = None
    messages: Figure | None = None
    connection_bytes: Amount | None = None
    """Resident bytes of a worker for each connection, without the kernel's own."""
    connections: Amount | None = None
    """The connections for which the machine has memory, with the kernel's own."""


class Member(msgspec.Struct, frozen=True, order=True):
    """An agent of a calibrated fleet; a changed one is another one."""

    name: str
    cpu: str
    cpus: int
    python: str
    loadgen: str

    @classmethod
    def of(cls, name: str, machine: Mapping[str, Any]) -> "Member":
        """Returns the member of a name, by the facts of its machine."""
        texts = [str(machine.get(fact, "")) for fact in ("cpu", "python", "loadgen")]
        cpus = machine.get("cpus")
        return cls(name, texts[0], cpus if isinstance(cpus, int) else 0, texts[1], texts[2])


class Calibration(msgspec.Struct, frozen=True):
    """The most that a fleet has done."""

    members: tuple[Member, ...]
    """In the order of their names."""
    at: str
    """When it was measured: the time in UTC, as in 2026-11-28T19:30:00Z."""
    target: str
    fleet: Ability
    """The figures of the fleet while each agent does its part."""
    agents: dict[str, Ability]
    """By the name of the agent."""

    def __post_init__(self) -> None:
        if [member.name for member in self.members] != sorted(self.agents):
            raise ValueError("`agents` must have a figure for each of the `members`")


class Calibrations(msgspec.Struct, frozen=True, kw_only=True):
    """The calibrations of several fleets, as a file has them."""

    schema: Literal[1] = 1
    fleets: tuple[Calibration, ...] = ()

    def of(self, members: Sequence[Member]) -> Calibration | None:
        """Returns the calibration of a fleet; None when it has none."""
        key = tuple(sorted(members))
        return next((known for known in self.fleets if known.members == key), None)

    def with_(self, new: Calibration) -> "Calibrations":
        """Returns these calibrations with a new one, in the place of an older one."""
        others = (known for known in self.fleets if known.members != new.members)
        return Calibrations(fleets=(*others, new))


def plan_for(target: str, connections: int, workers: int) -> Plan:
    """Returns the plan of the run that calibrates a fleet.

    `connections` are opened as fast as the fleet can, then they receive messages, and then further
    users ping more and more often. `workers` is the least number of the fleet's worker processes.
    """
    pinging = max(1, round(PINGING * connections))
    opening = SPAN + connections / workers / SLOWEST
    return Plan(
        target=target,
        hold=0.0,
        stop_after=STILL + opening + RECEIVING + REST + PINGS_RAMP + END,
        sessions=(
            Loop(name="quiet", ping="none", think=NEVER, loops=1),
            Loop(name="pinging", think=THINK, loops=10**9),
        ),
        phases=(
            Phase(name="still", duration=STILL),
            Phase(
                name="opens",
                rate=2.0 * connections,
                max=connections,
                duration=opening,
                sessions={"quiet": 1.0},
            ),
            Phase(name=MESSAGES, duration=RECEIVING),
            Phase(name="rest", duration=REST),
            Phase(
                name="pings",
                rate=pinging / PINGS_RAMP,
                max=pinging,
                duration=PINGS_RAMP,
                sessions={"pinging": 1.0},
            ),
            # Cuts all connections: to close them in good order takes half a minute.
            Phase(name="end", duration=NEVER, storm=1.0, jitter=NEVER),
        ),
    )


def measure(
    rows: Sequence[Row], plan: Plan, workers: Mapping[str, int], memory: Mapping[str, float]
) -> dict[str, Ability]:
    """Returns the figures of each agent, by the seconds of a run of `plan_for`.

    `workers` has the number of worker processes of each agent, `memory` the bytes that its machine
    has for it, where they are known.
    """
    names = plan.phase_names
    spans = dict(zip(names, plan.schedule.spans, strict=True))
    opening = _between(rows, 0.0, spans[MESSAGES].begin)
    receiving = _between(rows, spans[MESSAGES].begin, spans["rest"].end)
    pinging = _between(rows, spans["pings"].begin, spans["pings"].end)
    # Every one of these seconds ended with launches that were due: only they show the most.
    full = _best(
        [row for row in opening if row.fleet.counts["launched"] < spans["opens"].planned],
        COUNTED["opens"],
    )
    # Beyond what a worker can do it stands still, and counts what it was late with.
    pings = _best([row for row in pinging if not row.invalid], COUNTED["pings"])
    best: dict[Kind, list[Row]] = {
        "opens": full or _best(opening, COUNTED["opens"]),
        "messages": _best(
            [row for row in receiving if not row.fleet.rates.launched], COUNTED["messages"]
        ),
        "pings": pings,
    }
    beyond = any(row.invalid for row in pinging if pings and row.second > pings[-1].second)
    known = {"opens": None if full else False, "messages": None, "pings": beyond or None}
    sizes = {name: _connection_bytes(opening + receiving, name) for name in workers}
    return {
        name: Ability(
            **{
                kind: _figure(found, COUNTED[kind], name, many, known[kind])
                for kind, found in best.items()
            },
            connection_bytes=sizes[name],
            connections=_connections(memory.get(name), sizes[name]),
        )
        for name, many in workers.items()
    }


def _between(rows: Sequence[Row], begin: float, end: float) -> list[Row]:
    """Returns the seconds from a time to another, which every agent reported."""
    return [
        row for row in rows if begin <= row.second and row.second + 1 <= end and not row.missing
    ]


def _best(rows: Sequence[Row], counted: str) -> list[Row]:
    """Returns the seconds in a row in which the fleet counted most.

    The one before them goes first. They are SPAN, or one where so long a row is not there, or none
    where the fleet counted nothing.
    """
    by_second = {row.second: row for row in rows}
    for length in (SPAN, 1):
        spans = [
            [by_second[second + step] for step in range(length + 1)]
            for second in by_second
            if all(second + step in by_second for step in range(length + 1))
        ]
        if spans:
            best = max(spans, key=lambda span: _grown(span, counted))
            return best if _grown(best, counted) else []
    return []


def _grown(span: Sequence[Row], counted: str) -> int:
    return span[-1].fleet.counts[counted] - span[0].fleet.counts[counted]


def _figure(
    span: Sequence[Row], counted: str, name: str, workers: int, saturated: bool | None
) -> Figure | None:
    """Returns the rate of an agent in the seconds after the first of `span`.

    `saturated` is True when it had no time left in them; None: its CPU seconds say so.
    """
    if not span:
        return None
    first, *others = (row.agents[name] for row in span)
    last = others[-1]
    rate = (last.counts[counted] - first.counts[counted]) / len(others)
    if rate <= 0:
        return None
    if saturated is None:
        busy = (last.cpu_s - first.cpu_s) / len(others) >= SATURATED * workers
        saturated = busy or all(
            figures.host is not None and min(figures.host.busy, default=0) >= BUSY
            for figures in others
        )
    return Figure(round(rate, 1), at_least=not saturated)


def _connection_bytes(rows: Sequence[Row], name: str) -> float | None:
    """Returns the bytes by which an agent grew for each connection; None for too few."""
    known = [row.agents[name] for row in rows if name in row.agents]
    if not known:
        return None
    first, last = known[0], known[-1]
    more, grown = last.ledger.open - first.ledger.open, last.rss - first.rss
    return round(grown / more, 1) if more >= MIN_OPEN and grown > 0 else None


def _connections(memory: float | None, size: float | None) -> float | None:
    """Returns how many connections memory holds; None where it is unknown."""
    if memory is None or size is None:
        return None
    return round(memory / (size + KERNEL_BYTES)) or None


def fleet_of(agents: Mapping[str, Ability], parts: Mapping[str, float]) -> Ability:
    """Returns what a fleet does while each agent does its part.

    The parts add up to 1. The agent that is slowest for its part bounds the fleet.
    """
    sizes = [figures.connection_bytes for figures in agents.values()]
    known = [size for size in sizes if size is not None]
    rates = {kind: _bounded(agents, parts, kind) for kind in COUNTED}
    held = [
        figures.connections / parts[name]
        for name, figures in agents.items()
        if figures.connections is not None
    ]
    return Ability(
        **rates,
        connection_bytes=max(known) if len(known) == len(sizes) else None,
        connections=round(min(held)) if len(held) == len(agents) else None,
    )


def _bounded(
    agents: Mapping[str, Ability], parts: Mapping[str, float], kind: Kind
) -> Figure | None:
    found: list[Figure | None] = [getattr(figures, kind) for figures in agents.values()]
    rates = [
        Figure(round(figure.rate / part, 1), figure.at_least)
        for figure, part in zip(found, (parts[name] for name in agents), strict=True)
        if figure is not None
    ]
    return min(rates, key=lambda figure: figure.rate) if rates and None not in found else None


def too_close(plan: Plan, calibration: Calibration, parts: Mapping[str, float]) -> Iterator[str]:
    """Yields a line for each rate of a plan that comes near the most of its fleet.

    Also one for connections that nearly fill its memory.

    `parts` has the part of each agent in the plan's users.
    """
    fleet = fleet_of(calibration.agents, parts)
    asked_of = (
        ("arrivals", plan.peak_rate, fleet.opens),
        ("pings", plan.peak_pings, fleet.pings),
        ("messages", plan.peak_deliveries, fleet.messages),
    )
    for what, asked, figure in asked_of:
        if figure is not None and asked > NEAR * figure.rate:
            more = " or more" if figure.at_least else ""
            yield (
                f"the plan asks for {count(asked)} {what}/s, this fleet was calibrated at"
                f" {count(figure.rate)}/s{more} on {calibration.at[:10]}:"
                f" {100 * asked / figure.rate:.0f} %"
            )
    held = _held(fleet, tls=plan.secure)
    if held is not None and plan.total > NEAR * held:
        yield (
            f"the plan asks for {count(plan.total)} connections, this fleet has memory for"
            f" {count(held)}, as calibrated on {calibration.at[:10]}:"
            f" {100 * plan.total / held:.0f} %"
        )


def _held(fleet: Ability, *, tls: bool) -> float | None:
    """Returns how many connections the memory of a fleet holds.

    It was calibrated without TLS.
    """
    if fleet.connections is None or not tls:
        return fleet.connections
    size = (fleet.connection_bytes or CLIENT_BYTES) + KERNEL_BYTES
    return fleet.connections * size / (size + TLS_BYTES)


def table(calibration: Calibration, workers: Mapping[str, int]) -> str:
    """Returns a calibration as text, with the number of workers of each agent."""
    rows = [
        ["agent", "workers", "opens/s", "pings/s", "messages/s", "bytes/connection", "memory for"]
    ]
    for name, figures in calibration.agents.items():
        rows.append([name, count(workers[name]), *_cells(figures)])
    rows.append(["fleet", count(sum(workers.values())), *_cells(calibration.fleet)])
    return "\n".join(columns(rows))


def _cells(figures: Ability) -> list[str]:
    size = figures.connection_bytes
    rates = (figures.opens, figures.pings, figures.messages)
    return [
        *("–" if figure is None else str(figure) for figure in rates),
        "–" if size is None else count(size),
        "–" if figures.connections is None else count(figures.connections),
    ]
