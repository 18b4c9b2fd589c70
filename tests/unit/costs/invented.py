"""Samples of a fleet whose costs are round numbers."""

from tests.costs.samples import Footprint, Moment, Sample, Series, Span

AGENTS, RATE = 16, 2000.0
WORKER_BASE, WORKER_BYTES = 16_000_000, 2_000
"""Bytes of a worker, and of each of its connections."""
OPEN_S, MESSAGE_S, PING_S = 50e-6, 20e-6, 10e-6
IDLE = 0.002
"""Cores that a process keeps busy when it has nothing to do."""
KINDS = {"coordinator": 1, "agent": AGENTS, "worker": AGENTS, "target": 2, "target's parent": 1}
FACTS = {
    "cpus": 2,
    "cpu": "invented",
    "kernel": "6.0",
    "python": "3.11",
    "uvloop": "0.22",
    "nofile_hard": 20_000,
}


def footprint(size: int) -> Footprint:
    """Memory with a number of connections open."""
    growing = dict.fromkeys(KINDS, 0) | {"worker": WORKER_BYTES * size, "target": 1_500 * size}
    anon = {kind: WORKER_BASE * count + growing[kind] for kind, count in KINDS.items()}
    meminfo = {"MemTotal": 1 << 34, "MemFree": (1 << 33) - 14_000 * size, "Buffers": 0, "Cached": 0}
    return Footprint(
        KINDS, anon, anon, meminfo | {"AnonPages": sum(anon.values()), "Slab": 10_000 * size}
    )


def span(seconds: float, count: int, name: str, cost: float) -> Span:
    """A phase in which something happens so often, on top of idleness."""
    names = ("opened", "messages_sent", "pings")
    cpu = {kind: IDLE * processes * seconds + cost * count for kind, processes in KINDS.items()}
    begin = Moment(100.0, dict.fromkeys(KINDS, 1.0), 0.0, dict.fromkeys(names, 0))
    end = Moment(
        100.0 + seconds,
        {kind: 1.0 + used for kind, used in cpu.items()},
        0.0,
        begin.counts | {name: count},
    )
    return Span(begin, end)


def invented(size: int) -> Sample:
    """A sample of this size."""
    return Sample(
        size,
        base=footprint(0),
        held=footprint(size),
        ramp=span(size / RATE, size, "opened", OPEN_S),
        idle=span(10.0, 0, "pings", 0.0),
        messages=span(10.0, 2 * size, "messages_sent", MESSAGE_S),
        pings=span(10.0, 20_000, "pings", PING_S),
    )


def series() -> Series:
    """A whole measurement."""
    return Series(dict(FACTS), RATE, 10.0, AGENTS, tuple(map(invented, (1_000, 10_000, 100_000))))
