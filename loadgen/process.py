"""What a process asks of the kernel for itself, and how a process ended."""

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Callable

SPARE_DESCRIPTORS = 64
"""File descriptors that a worker opens besides its connections: epoll, pipes, listeners,
libraries."""
_SET_DEATH_SIGNAL, _SET_NAME = 1, 15
"""PR_SET_PDEATHSIG and PR_SET_NAME of linux/prctl.h; prctl(2)."""
_prctl: Callable[..., int] = ctypes.CDLL(None).prctl


def raise_nofile() -> int:
    """Raises the soft limit of open files to the hard one; returns the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # fs.nr_open was lowered under the hard limit since
        return soft
    return hard


def run_in_batches() -> None:
    """Keeps this process's wake-ups from taking the core from another one: SCHED_BATCH, sched(7).

    Where dozens of workers share a few cores, changing places costs a sixth of the cores without
    it.
    """
    with contextlib.suppress(OSError):  # a sandbox may know no policies
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def end_with_parent(number: signal.Signals) -> None:
    """Has the kernel send this process a signal when its parent ends, also by SIGKILL."""
    _prctl(_SET_DEATH_SIGNAL, number)


def set_process_name(name: bytes) -> None:
    """Sets the name that ps(1) and top(1) show, at most 15 bytes."""
    _prctl(_SET_NAME, name)


def how_it_ended(code: int) -> str:
    """Returns how a process ended, from its exit code; a negative one is the signal that killed
    it."""
    return (
        f"was killed by {signal.Signals(-code).name}"
        if code < 0
        else f"ended with exit code {code}"
    )
