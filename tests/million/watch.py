"""Samples of the whole machine from /proc.

They include the memory of each kind of process.
"""

import time
from collections.abc import Iterable
from os import getloadavg
from pathlib import Path
from resource import getpagesize

import msgspec

from tests.processes import children

USER_HZ = 100
"""The ticks of a second of CPU time in /proc."""
PAUSE = 0.02
"""Seconds between two processes whose pages are counted, so that the run does not wait long."""


class Sample(msgspec.Struct, frozen=True):
    """The whole machine at one moment, in bytes except where noted."""

    t: float
    """Seconds from the first sample, which comes before any process starts."""
    used: int
    """Memory that is neither free nor a cache of files. MemAvailable would leave out the dentries
    and inodes of open sockets: the kernel calls them reclaimable, but while a socket is open they
    are not."""
    slab: int
    tcp_inuse: int
    """TCP sockets in use."""
    tcp_mem: int
    """Socket buffers."""
    cpu: float
    """Cores busy since the sample before."""
    load: float
    """The load average over a minute."""
    open: int | None = None
    """Connections open on the target; None when it did not answer."""


class Processes(msgspec.Struct, frozen=True):
    """All processes of one kind."""

    count: int
    pss: int
    """Bytes; each page is divided among the processes that map it."""


class MachineSampler:
    """Samples of one machine, the newest last."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = (self._began, _busy())
        self.samples: list[Sample] = []

    def sample(self, open_now: int | None) -> None:
        """Takes a sample."""
        memory = meminfo()
        now = time.monotonic()
        busy = _busy()
        elapsed = now - self._before[0]
        cpu = busy - self._before[1]
        self._before = (now, busy)
        inuse, pages = _sockets()
        sample = Sample(
            t=round(now - self._began, 1),
            used=memory["MemTotal"]
            - memory["MemFree"]
            - memory["Buffers"]
            - memory["Cached"]
            + memory["Shmem"],
            slab=memory["Slab"],
            tcp_inuse=inuse,
            tcp_mem=pages * getpagesize(),
            cpu=round(cpu / elapsed, 2) if elapsed > 0.1 else 0.0,
            load=getloadavg()[0],
            open=open_now,
        )
        self.samples.append(sample)


def meminfo() -> dict[str, int]:
    """Returns /proc/meminfo in bytes."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {
        name: int(value.split()[0]) * 1024 for name, value in (line.split(":") for line in lines)
    }


def processes(coordinator: int, target: int) -> dict[str, Processes]:
    """Returns the memory of the coordinator's and the target's processes, by kind."""
    servers = children(coordinator)
    agents = [agent for server in servers for agent in children(server)]
    parents = [parent for agent in agents for parent in children(agent)]
    kinds = {
        "coordinator": [coordinator, *servers],
        "agents": agents,
        "workers' parents": parents,
        "workers": [worker for parent in parents for worker in children(parent)],
        "target": [target, *children(target)],
    }
    return {kind: Processes(len(pids), sum(_pss(pids))) for kind, pids in kinds.items()}


def _pss(pids: Iterable[int]) -> Iterable[int]:
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                yield int(line.split()[1]) * 1024
        time.sleep(PAUSE)


def _busy() -> float:
    """Returns the busy CPU seconds of all cores since the boot.

    Waits for a disk are left out.
    """
    user, nice, system, _, _, irq, softirq = map(
        int, Path("/proc/stat").read_text().split(maxsplit=8)[1:8]
    )
    return (user + nice + system + irq + softirq) / USER_HZ


def _sockets() -> tuple[int, int]:
    """Returns the TCP sockets in use, and the pages of their buffers."""
    (line,) = (
        line
        for line in Path("/proc/net/sockstat").read_text().splitlines()
        if line.startswith("TCP:")
    )
    words = line.split()
    return int(words[words.index("inuse") + 1]), int(words[words.index("mem") + 1])
