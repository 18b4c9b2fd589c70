"""The processes of a peer, from outside: their CPU and memory, from /proc."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tests.costs.proc import TICKS, cpu_seconds, descendants, footprint

T = TypeVar("T")
MIB = 1 << 20
TRIES = 10
CUTIME = 13
"""The column of /proc/PID/stat with the CPU time of reaped children in user mode, counted from the
state (proc_pid_stat(5)); the next has that in the kernel."""


def cpu_of(pid: int) -> float:
    """Returns the CPU seconds of a process and all below it, ended ones too."""

    def below() -> list[int]:
        return [*descendants(pid)]

    return sum(_cpu_of_one(process) for process in (pid, *_steady(below)))


def mib_of(pid: int) -> float:
    """Returns the PSS of a process and all below it, in MiB.

    A process that has ended has none, also while its parent has not waited for it.
    """

    def below() -> list[int]:
        return [*descendants(pid)]

    total = 0
    for process in (pid, *_steady(below)):
        with suppress(FileNotFoundError, ProcessLookupError):
            total += footprint({process: "peer"}).pss["peer"]
    return total / MIB


def reaped_seconds(stat: str) -> float:
    """Returns the CPU seconds of the children that a process has waited for.

    `stat` is the text of its /proc/PID/stat.
    """
    columns = stat.rpartition(")")[2].split()
    return (int(columns[CUTIME]) + int(columns[CUTIME + 1])) / TICKS


def _steady(read: Callable[[], T]) -> T:
    """Returns what `read` returns; again while a process ends under it."""
    for _ in range(TRIES):
        with suppress(FileNotFoundError, ProcessLookupError):
            return read()
    return read()


def _cpu_of_one(pid: int) -> float:
    """Returns the CPU seconds of one process; 0 for one that ended meanwhile.

    Its parent has its time when it has reaped it.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        return cpu_seconds(pid) + reaped_seconds(Path(f"/proc/{pid}/stat").read_text())
    return 0.0
