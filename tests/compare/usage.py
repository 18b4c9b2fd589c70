"""The CPU time and memory of a command with all its processes, run to its end."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from tests.costs.proc import cpu_seconds, descendants, footprint

EVERY = 0.25
"""Seconds between two samples of /proc."""
MIB = 1 << 20


class ProcSample(msgspec.Struct, frozen=True):
    """All processes of a command at one moment."""

    at: float
    cpu_s: float
    """CPU seconds of the running processes."""
    bytes: float
    """The sum of their PSS: a page that several processes share counts once."""


class Usage(msgspec.Struct, frozen=True):
    """The time, CPU and memory of a command."""

    seconds: float
    cpu_s: float
    """User and kernel time of all its processes, summed by the kernel at their ends."""
    samples: list[ProcSample]

    def cpu_s_after(self, moment: float) -> float:
        """Returns the CPU seconds after a moment, to within one sample."""
        return self.cpu_s - max(
            (sample.cpu_s for sample in self.samples if sample.at <= moment), default=0.0
        )

    def mib_at(self, moment: float) -> float:
        """Returns its MiB at the last sample before a moment."""
        before = [sample for sample in self.samples if sample.at <= moment]
        return max(before, key=lambda sample: sample.at).bytes / MIB

    @property
    def mib_peak(self) -> float:
        """The largest memory of any sample, in MiB."""
        return max(sample.bytes for sample in self.samples) / MIB


class Ended(msgspec.Struct, frozen=True):
    """The end of a command."""

    code: int
    output: str
    """The end of its output and error output."""
    usage: Usage


def run(
    words: Sequence[str],
    folder: Path,
    timeout: float,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Runs a command in a folder.

    Kills it with all its processes after `timeout` seconds.
    """
    began = time.monotonic()
    samples = []
    output_file = folder / "output.txt"
    with output_file.open("wb") as output:
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
        with suppress(FileNotFoundError, ProcessLookupError):  # a process ended meanwhile
            samples.append(_sample(running.pid))
        if time.monotonic() > began + timeout:
            kill_tree(running.pid)
        time.sleep(EVERY)
    running.returncode = os.waitstatus_to_exitcode(status)
    usage = Usage(time.monotonic() - began, used.ru_utime + used.ru_stime, samples)
    return Ended(running.returncode, output_file.read_text(errors="replace")[-2000:], usage)


def _sample(pid: int) -> ProcSample:
    processes = [pid, *descendants(pid)]
    cpu = sum(map(cpu_seconds, processes))
    return ProcSample(
        time.monotonic(), cpu, footprint(dict.fromkeys(processes, "tool")).pss["tool"]
    )


def kill_tree(pid: int) -> None:
    """Kills a process and all below it."""
    for process in (pid, *descendants(pid)):
        with suppress(ProcessLookupError):
            os.kill(process, 9)
