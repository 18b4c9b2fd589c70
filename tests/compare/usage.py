"""A command run to its end, with the CPU time and the memory of all its processes."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from tests.costs.proc import cpu_seconds, descendants, footprint

EVERY = 0.25
"""Seconds between two looks at /proc."""
MIB = 1 << 20


class Look(msgspec.Struct, frozen=True):
    """All processes of a command at one moment."""

    at: float
    cpu_s: float
    """Of those that are running."""
    bytes: float
    """Their PSS: a page that several processes share counts once."""


class Usage(msgspec.Struct, frozen=True):
    """What a command took."""

    seconds: float
    cpu_s: float
    """User and kernel time of all its processes, as the kernel sums it up at their ends."""
    looks: list[Look]

    def cpu_s_after(self, moment: float) -> float:
        """CPU seconds of the part after a moment, to the next look at /proc."""
        return self.cpu_s - max(
            (look.cpu_s for look in self.looks if look.at <= moment), default=0.0
        )

    def mib_at(self, moment: float) -> float:
        """Its memory at the last look before a moment."""
        return (
            max((look for look in self.looks if look.at <= moment), key=lambda look: look.at).bytes
            / MIB
        )

    @property
    def mib_peak(self) -> float:
        """The most memory that it had at any look."""
        return max(look.bytes for look in self.looks) / MIB


class Ended(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    said: str
    """The end of what it wrote, to whichever of the two."""
    usage: Usage


def run(
    words: Sequence[str],
    folder: Path,
    patience: float,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Runs a command in a folder; one that takes longer than `patience` seconds is ended, with
    all its processes."""
    began, looks = time.monotonic(), []
    said = folder / "said.txt"
    with said.open("wb") as output:
        running = subprocess.Popen(
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    while True:
        pid, status, used = os.wait4(running.pid, os.WNOHANG)
        if pid:
            break
        with suppress(
            FileNotFoundError, ProcessLookupError
        ):  # a process ended while it was looked at
            looks.append(_look(running.pid))
        if time.monotonic() > began + patience:
            _kill(running.pid)
        time.sleep(EVERY)
    running.returncode = os.waitstatus_to_exitcode(status)
    usage = Usage(time.monotonic() - began, used.ru_utime + used.ru_stime, looks)
    return Ended(running.returncode, said.read_text(errors="replace")[-2000:], usage)


def _look(pid: int) -> Look:
    processes = [pid, *descendants(pid)]
    cpu = sum(map(cpu_seconds, processes))
    return Look(time.monotonic(), cpu, footprint(dict.fromkeys(processes, "tool")).pss["tool"])


def _kill(pid: int) -> None:
    for process in (pid, *descendants(pid)):
        with suppress(ProcessLookupError):
            os.kill(process, 9)
