"""The processes of a peer, from outside: their CPU and memory, from /proc."""

from contextlib import suppress
from pathlib import Path

from tests.costs.proc import TICKS, cpu_seconds, descendants, footprint

MIB = 1 << 20
TRIES = 10
CUTIME = 13
"""The column of /proc/PID/stat with the CPU time of reaped children in user mode, counted from the
state (proc_pid_stat(5)); the next has that in the kernel."""


def cpu_of(pid: int) -> float:
    """Returns the CPU seconds of a process and all below it, ended ones too."""
    return sum(map(_cpu_of_one, _tree(pid)))


def mib_of(pid: int) -> float:
    """Returns the PSS of a process and all below it, in MiB."""
    return sum(map(_pss_of_one, _tree(pid))) / MIB


def reaped_seconds(stat: str) -> float:
    """Returns the CPU seconds of the children that a process has waited for.

    `stat` is the text of its /proc/PID/stat.
    """
    columns = stat.rpartition(")")[2].split()
    return (int(columns[CUTIME]) + int(columns[CUTIME + 1])) / TICKS


def _tree(pid: int) -> list[int]:
    """Returns a process and all below it; looks again while one ends under it."""
    for _ in range(TRIES):
        with suppress(FileNotFoundError, ProcessLookupError):
            return [pid, *descendants(pid)]
    return [pid, *descendants(pid)]


def _pss_of_one(pid: int) -> int:
    """Returns the PSS of one process in bytes; 0 for one that has ended.

    So has one that its parent has not waited for.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        return footprint({pid: "peer"}).pss["peer"]
    return 0


def _cpu_of_one(pid: int) -> float:
    """Returns the CPU seconds of one process; 0 for one that ended meanwhile.

    Its parent has its time when it has reaped it.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        return cpu_seconds(pid) + reaped_seconds(Path(f"/proc/{pid}/stat").read_text())
    return 0.0
