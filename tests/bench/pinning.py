"""Workers pinned to a core each, compared with those that the kernel places.

Nothing pins workers: on two cores it did not help (docs/operate.md), and no machine with more of
them was there to measure it on.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.bench.goal import Goal
from tests.costs.proc import cpu_seconds
from tests.processes import Agent, Coordinator, Target, agent, coordinator, eventually, serving

CONNECTIONS = 20_000
RATE = 2_000
THINK = 5
HOLD = 10.0
"""Seconds of pings, 4,000 a second, in which CPU and round trips are measured."""
ROUNDS = 3


def run() -> list[Goal]:
    """Returns CPU and round trips of both, as medians of rounds that alternate."""
    rounds: dict[str, list[dict[str, float]]] = {"free": [], "pinned": []}
    for _ in range(ROUNDS):
        for name, figures in rounds.items():
            figures.append(_round(pinned=name == "pinned"))
    free, pinned = (
        {key: median(figure[key] for figure in figures) for key in figures[0]}
        for figures in rounds.values()
    )
    units = {"open_us": "µs", "ping_us": "µs", "p50_ms": "ms", "p99_ms": "ms"}
    goals = []
    for key, unit in units.items():
        goals += [
            Goal(f"pinning: {key[:-3]}, free", free[key], unit),
            Goal(f"pinning: {key[:-3]}, pinned", pinned[key], unit),
            Goal(f"pinning: {key[:-3]}, pinned ÷ free", pinned[key] / free[key], "×"),
        ]
    return goals


def _round(*, pinned: bool) -> dict[str, float]:
    """Returns the figures of one run of two workers."""
    with _fleet() as (server, waiting, joined):
        workers = eventually(lambda: len(pids := joined.workers()) == 2 and pids, "two workers")
        if pinned:
            for pid, core in zip(workers, cycle(os.sched_getaffinity(0)), strict=False):
                os.sched_setaffinity(pid, {core})
        begin = sum(map(cpu_seconds, workers))
        early = eventually(lambda: server.address.stats()["opened"], "the first connection")
        time.sleep(min(THINK, CONNECTIONS / RATE) - 1)
        opened = server.address.stats()["opened"] - early
        opening = sum(map(cpu_seconds, workers)) - begin
        eventually(lambda: server.address.stats()["open"] == CONNECTIONS, "all open")
        time.sleep(1)
        pings, cpu = server.address.stats()["pings"], sum(map(cpu_seconds, workers))
        time.sleep(HOLD)
        pings = server.address.stats()["pings"] - pings
        cpu = sum(map(cpu_seconds, workers)) - cpu
        rows = waiting.rows()[-int(HOLD) :]
    trips = [row["fleet"]["histograms"]["ping_rtt"] for row in rows]
    return {
        "open_us": 1e6 * opening / opened,
        "ping_us": 1e6 * cpu / pings,
        "p50_ms": median(trip["p50"] for trip in trips),
        "p99_ms": median(trip["p99"] for trip in trips),
    }


@contextmanager
def _fleet() -> Iterator[tuple[Target, Coordinator, Agent]]:
    options = ["--agents", "1", "--rate", RATE, "--max", CONNECTIONS]
    options += ["--think", THINK, "--hold", 60, "--wait", 60]
    with (
        TemporaryDirectory() as out,
        serving("--workers", "2", "--limit", str(CONNECTIONS + 5_000)) as server,
        coordinator(Path(out), *map(str, options), server.address.ws) as waiting,
        agent(waiting.url, "--workers", "2") as joined,
    ):
        yield server, waiting, joined
