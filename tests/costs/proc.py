"""Readings of /proc: processes by kind, their memory and CPU time.

It reads those of the whole machine too.
"""

import ctypes
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.costs.samples import Footprint
from tests.processes import children

KIB = 1024
TICKS = 100
"""The ticks of a second of CPU time in /proc/stat (USER_HZ)."""
IDLE = (3, 4, 7)
"""The columns of /proc/stat that are no CPU time of this machine: idle, iowait, steal
(proc_stat(5))."""

_clock_of = ctypes.CDLL(None).clock_getcpuclockid


def kinds(coordinator: int, target: int) -> dict[int, str]:
    """Returns the kind of each process of a fleet, by its id.

    It follows from the parent: fork servers of agents and of workers have the same command line.
    """
    found = {coordinator: "coordinator", target: "target's parent"}
    found |= dict.fromkeys(descendants(target), "target")
    for server in children(coordinator):
        found[server] = "coordinator"
        for agent in children(server):
            found[agent] = "agent"
            found |= {
                pid: "workers' parent" if children(pid) else "worker" for pid in descendants(agent)
            }
    return found


def descendants(pid: int) -> Iterator[int]:
    """Yields all processes below a process."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def cpu_seconds(pid: int) -> float:
    """Returns the CPU seconds of a process with all its threads, to the nanosecond.

    /proc/PID/stat has the same sum in ticks of 10 ms: a fifth of the smallest fleet's opening.
    """
    clock = ctypes.c_int()
    if _clock_of(pid, ctypes.byref(clock)):
        raise ProcessLookupError(f"process {pid} has ended")
    return time.clock_gettime(clock.value)


def cpu_by_kind(fleet: dict[int, str]) -> dict[str, float]:
    """Returns the CPU seconds of each kind."""
    total = dict.fromkeys(sorted(fleet.values()), 0.0)
    for pid, kind in fleet.items():
        total[kind] += cpu_seconds(pid)
    return total


def machine_seconds() -> float:
    """Returns the CPU seconds in which this machine was not idle.

    Interrupts are included.
    """
    first = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    return sum(int(ticks) for column, ticks in enumerate(first) if column not in IDLE) / TICKS


def footprint(fleet: dict[int, str]) -> Footprint:
    """Returns the memory of a fleet and of the machine."""
    pss = Counter[str]()
    anon = Counter[str]()
    for pid, kind in fleet.items():
        rollup = _kib_fields(Path(f"/proc/{pid}/smaps_rollup"))
        pss[kind] += rollup["Pss"]
        anon[kind] += rollup["Pss_Anon"]
    meminfo = _kib_fields(Path("/proc/meminfo"))
    return Footprint(dict(Counter(fleet.values())), dict(pss), dict(anon), meminfo)


def _kib_fields(path: Path) -> dict[str, int]:
    """Returns the `Name: 123 kB` lines of a file, in bytes."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0].rstrip(":"): int(row[1]) * KIB for row in rows if row[-1] == "kB"}


def cpu_model() -> str:
    """Returns the name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        "unknown",
    )
