"""Worker processes that load a target, and the CPU and memory of any process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

from loadgen.plan.plan import Plan
from loadgen.plan.shares import Share
from loadgen.sessions.rows import ROWS_DESCRIPTOR
from loadgen.stats.fanin import Second
from loadgen.wire import Report, Sources, from_wire, to_wire
from tests.jobs import job_on

START_IN = 1.0
"""Seconds from the jobs to the first connection."""
PAGE = 4096
_WITH_ROWS = f"""
import os, sys
os.dup2(int(sys.argv[1]), {ROWS_DESCRIPTOR})
from loadgen.worker.main import main
main()
"""


@contextmanager
def working(
    port: int, plan: Plan, sources: list[Sources], rows: int | None = None, authority: str = ""
) -> "Iterator[list[subprocess.Popen[bytes]]]":
    """Starts a worker process for each of the sources, with its share of the plan.

    They end with the block. `rows` is the descriptor of the file with the plan's rows. With an
    `authority` (PEM) their connections have TLS.
    """
    with ExitStack() as stack:
        processes = [stack.enter_context(_ready(rows)) for _ in sources]
        start = monotonic() + START_IN
        parts = Share().split([1] * len(sources))
        for process, share, own in zip(processes, parts, sources, strict=True):
            assert process.stdin is not None
            job = job_on(port, plan, share=share, sources=own, start=start, authority=authority)
            process.stdin.write(to_wire(job) + b"\n")
            process.stdin.flush()
        yield processes


@contextmanager
def _ready(rows: int | None) -> "Iterator[subprocess.Popen[bytes]]":
    command = [sys.executable, "-m", "loadgen.worker.main"]
    if rows is not None:
        command[1:] = ["-c", _WITH_ROWS, str(rows)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=() if rows is None else (rows,),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(timeout=10)


def seconds_of(process: "subprocess.Popen[bytes]", last: int) -> Iterator[Second]:
    """Yields the seconds of a worker as it reports them, up to number `last`."""
    assert process.stdout is not None
    for line in process.stdout:
        second = from_wire(line, Report).second
        yield second
        if second.number >= last:
            return


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of a process with one thread.

    /proc/<pid>/schedstat counts nanoseconds, /proc/<pid>/stat only hundredths of a second.
    """
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def resident_bytes(pid: int) -> int:
    """Returns the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
