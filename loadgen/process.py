"""Settings of the current process in the kernel, and the ends of other processes."""

import contextlib
import ctypes
import os
import platform
import resource
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

SPARE_DESCRIPTORS = 64
"""File descriptors that a worker opens besides its connections: epoll, pipes, listeners,
libraries."""
ASK_WHERE = signal.SIGUSR1
"""The signal by which an agent asks a worker where it hangs."""
_SET_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of linux/prctl.h; prctl(2)."""
_SET_NAME = 15
"""PR_SET_NAME of linux/prctl.h; prctl(2)."""
_ENDING = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""The signals that people send to end a process, or that end it by default."""
_SET_ATTRIBUTES = {"x86_64": 314, "aarch64": 274}
"""The number of the system call sched_setattr(2); the C library of Debian 12 has no name for it."""
_SHORTEST_SLICE = 100_000
"""In nanoseconds: the kernel takes no shorter one."""
SignalHandler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None
"""A handler as `signal.signal` takes it, and returns the one before."""
_libc = ctypes.CDLL(None)
_prctl: Callable[..., int] = _libc.prctl


class _Attributes(ctypes.Structure):
    """A struct sched_attr; sched_setattr(2)."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def ending_signals() -> list[signal.Signals]:
    """Returns the signals on which a process ends in good order.

    SIGHUP is not among them where it is ignored, as nohup(1) does.
    """
    return [
        number
        for number in _ENDING
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    ]


def leave_ending_to_owner() -> dict[signal.Signals, SignalHandler]:
    """Ignores the signals that end a process: its owner alone ends it.

    They may reach every process of a terminal, a group or a service; then the owner drains, and
    what it drains has to be there still. Returns the handlers that they had.
    """
    return {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING}


def raise_nofile() -> int:
    """Raises the soft limit of open files to the hard one.

    Returns the limit in force.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # fs.nr_open has been lowered below the hard limit
        return soft
    return hard


def run_in_batches() -> None:
    """Sets SCHED_BATCH (sched(7)): this process does not preempt others on wake-up.

    Where dozens of workers share a few cores, preemption costs a sixth of those cores.
    """
    with contextlib.suppress(OSError):  # a sandbox may not have scheduling policies
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def run_promptly() -> None:
    """Asks for the shortest time slice: this process preempts others on wake-up.

    Linux has such slices since 6.12; an older one, or a sandbox, keeps its own.
    """
    number = _SET_ATTRIBUTES.get(platform.machine())
    if number is not None:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        size = ctypes.sizeof(_Attributes)
        wish = _Attributes(size, os.SCHED_OTHER, nice=nice, runtime_ns=_SHORTEST_SLICE)
        _libc.syscall(number, 0, ctypes.byref(wish), 0)


def end_with_parent(number: signal.Signals) -> None:
    """Has the kernel send this process a signal when its parent ends.

    The parent may end by SIGKILL too.
    """
    _prctl(_SET_DEATH_SIGNAL, number)


def set_process_name(name: bytes) -> None:
    """Sets the name that ps(1) and top(1) show, at most 15 bytes."""
    _prctl(_SET_NAME, name)


def set_command_line(words: Sequence[str]) -> None:
    """Sets the command line that ps(1) shows.

    A forked process has that of its parent, of other meaning, and perhaps with secrets. The new
    one is cut where the memory of that ends; proc_pid_stat(5) has its place, arg_start and arg_end.
    """
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = map(int, fields[45:47])
    room = end - begin
    if room > 0:  # a sandbox may not tell
        text = b"\0".join(map(os.fsencode, words))[: room - 1]
        ctypes.memmove(begin, text.ljust(room, b"\0"), room)


def how_it_ended(code: int) -> str:
    """Returns a text for an exit code of `subprocess`: a negative one is a signal."""
    return (
        f"was killed by {signal.Signals(-code).name}"
        if code < 0
        else f"ended with exit code {code}"
    )
