"""The bill of `loadgen-tune plan`, compared with what a run takes.

The agent is a machine of one core: it has the first core for itself, and the target with the
coordinator has the second one. The yardstick is measured on the first one just before and after the
run, so that the comparison holds on any processor.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from loadgen.machine.bill import Demand, bill_of
from loadgen.machine.costs import ROUND_TRIP
from loadgen.machine.speed import round_trip_seconds
from tests.bench.goal import Goal
from tests.costs.proc import cpu_seconds, descendants, footprint
from tests.processes import Agent, Target, agent, coordinator, eventually, serving

DEMANDS = {
    "sparse": Demand(connections=18_000, rate=1_000.0, think=10.0),
    "dense": Demand(connections=16_000, rate=2_000.0, think=4.0),
}
"""A load whose worker wakes for each event, and one whose worker sends in batches. One worker has
descriptors for either on a machine that allows 20,000."""
HOLD = 16.0
"""Seconds of the plateau in which the CPU of pings is measured."""
SPAN = 3.0
"""Seconds of arrivals in which their CPU is measured."""
SETTLE = 3.0
"""Seconds after the last arrival until the plateau is measured."""


def run() -> list[Goal]:
    """Returns the measured figures, the planned ones, and their ratios."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("plan: skipped, since it needs two cores", file=sys.stderr)
        return []
    return [goal for name, demand in DEMANDS.items() for goal in _compared(name, demand, cores)]


def _compared(load: str, demand: Demand, cores: list[int]) -> Iterator[Goal]:
    measured = _measured(demand, cores)
    bill = bill_of(demand, workers=1, speed=measured["speed"])
    planned = {
        "opening": (bill.opening_cores, "cores"),
        "held": (bill.held_cores, "cores"),
        "memory": (bill.memory / (1 << 20), "MiB"),
    }
    yield Goal(f"plan, {load}: speed of a core", measured["speed"], "×")
    for name, (figure, unit) in planned.items():
        yield Goal(f"plan, {load}: {name}, planned", figure, unit)
        yield Goal(f"plan, {load}: {name}, measured", measured[name], unit)
        ratio = figure / measured[name]
        yield Goal(f"plan, {load}: {name}, planned ÷ measured", ratio, "×", 1.2, 0.8)


def _measured(demand: Demand, cores: list[int]) -> dict[str, float]:
    """Returns the busy cores and the MiB of an agent, and the speed of its core."""
    first, second = cores[0], cores[1]
    before_run = _speed(first)
    with _fleet(demand, first, second) as (server, joined):
        before = _memory(joined)
        eventually(lambda: server.address.stats()["opened"], "the first connection")
        # The last turn of pings before the last arrival, with as many a second as the bill has.
        time.sleep(demand.connections // demand.rate - SPAN - 0.5)
        opening = _busy(joined, SPAN)
        eventually(
            lambda: server.address.stats()["open"] == demand.connections, "all connections open"
        )
        time.sleep(SETTLE)
        held = _busy(joined, HOLD)
        memory = _memory(joined)
    slab = (memory["Slab"] - before["Slab"]) / 2  # both ends are here
    return {
        # What disturbs the yardstick makes it slower; it takes seconds, and the run half a minute.
        "speed": max(before_run, _speed(first)),
        "opening": opening,
        "held": held,
        "memory": (memory["processes"] + slab) / (1 << 20),
    }


def _speed(core: int) -> float:
    """Returns the speed of a core, as `loadgen-tune plan --speed here` has it."""
    return ROUND_TRIP / median(_on(core, round_trip_seconds) for _ in range(3))


@contextmanager
def _fleet(demand: Demand, first: int, second: int) -> Iterator[tuple[Target, Agent]]:
    """A target and an agent, each on a core of its own, with a run that begins soon."""
    apart = {"preexec_fn": partial(os.sched_setaffinity, 0, {second})}
    options = ["--agents", "1", "--rate", demand.rate, "--max", demand.connections]
    options += ["--think", demand.think, "--hold", 3 * HOLD, "--wait", "60"]
    with (
        TemporaryDirectory() as out,
        serving("--workers", "1", "--limit", str(demand.connections + 1), **apart) as server,
        coordinator(Path(out), *map(str, options), server.address.ws, **apart) as waiting,
        agent(
            waiting.url,
            "--max-connections",
            str(demand.connections),
            preexec_fn=partial(os.sched_setaffinity, 0, {first}),
        ) as joined,
    ):
        yield server, joined


def _on(core: int, measure: Callable[[], float]) -> float:
    """Returns what a function measures on a core."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        return measure()
    finally:
        os.sched_setaffinity(0, mine)


def _busy(joined: Agent, seconds: float) -> float:
    """Returns the cores that an agent and its workers keep busy for some seconds."""
    pids = [joined.pid, *descendants(joined.pid)]
    began, cpu = time.monotonic(), sum(map(cpu_seconds, pids))
    time.sleep(seconds)
    return (sum(map(cpu_seconds, pids)) - cpu) / (time.monotonic() - began)


def _memory(joined: Agent) -> dict[str, int]:
    """Returns the bytes of an agent's processes, and those of the kernel's tables."""
    found = footprint(dict.fromkeys([joined.pid, *descendants(joined.pid)], "agent"))
    return {"processes": found.pss["agent"], "Slab": found.meminfo["Slab"]}
