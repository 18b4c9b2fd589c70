"""A fleet here: 16 agents with 100,000 connections, then one with 64,000."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.goal import Goal
from tests.processes import Address, eventually, free_port, get, process, target

TICKS = 100
"""The ticks of a second of CPU time in /proc (USER_HZ)."""


def run() -> list[Goal]:
    """Returns the figures of sixteen agents, then those of one."""
    return [*_sixteen_agents(), *_one_agent()]


def _sixteen_agents() -> list[Goal]:
    with TemporaryDirectory() as out, target("--workers", "8", "--limit", "110000") as url:
        arguments = ["--local", "16", "--rate", "2000", "--max", "100000", "--hold", "20"]
        with coordinator_of(out, url, *arguments) as coordinator:
            cpu = 0.0
            began = time.monotonic()
            while coordinator.poll() is None:
                cpu = cpu_seconds(coordinator.pid, cpu)
                time.sleep(0.2)
            elapsed = time.monotonic() - began
        summary = summary_in(out)
        stats = url.stats()
        closed = sum(summary["closed"].values())
        theirs = (stats["opened"], stats["closed"], stats["pings"], stats["messages"])
        ours = (summary["opened"], closed, summary["pings"], summary["messages_received"])
        differ = sum(mine != other for mine, other in zip(ours, theirs, strict=True))
        return [
            Goal("16 agents: not open of 100,000", 100_000 - summary["open_peak"], "", 0),
            Goal("16 agents: late", 100 * summary["late"] / summary["launched"], "%", 1.0),
            Goal("16 agents: p99 of lag", summary["histograms"]["lag"]["p99"], "ms", 100.0),
            Goal("16 agents: counts that differ from the target's", differ, "", 0),
            Goal("16 agents: ping round trip p99", summary["histograms"]["ping_rtt"]["p99"], "ms"),
            Goal("16 agents: coordinator's CPU", 100 * cpu / elapsed, "% of a core", 5.0),
        ]


def _one_agent() -> list[Goal]:
    with TemporaryDirectory() as out, target("--workers", "5", "--limit", "70000") as url:
        arguments = ["--local", "1", "--rate", "5000", "--max", "64000", "--hold", "600"]
        with coordinator_of(out, url, *arguments):
            eventually(lambda: url.stats()["open"] == 64_000, "64,000 open", 60.0)
            (log,) = Path(out).glob("*/agents/local-1.log")
            page = re.search(r"metrics at (http://\S+)", log.read_text())
            assert page
            times = []
            for _ in range(21):
                began = time.perf_counter()
                get(page[1])
                times.append(time.perf_counter() - began)
                time.sleep(0.05)
        return [Goal("/metrics of an agent with 64,000", 1000 * median(times), "ms", 50.0)]


@contextmanager
def coordinator_of(out: str, url: Address, *arguments: str) -> Iterator[Popen[str]]:
    listen = ("--listen", f"127.0.0.1:{free_port()}", "--out", out)
    with (
        # A file: a pipe that is not read fills up, and the coordinator would block.
        open(f"{out}/coordinator.log", "w") as log,
        process("loadgen-coord", *listen, *arguments, url.ws, stdout=log, stderr=log) as running,
    ):
        yield running


def cpu_seconds(pid: int, before: float) -> float:
    """Returns the user and system time of a process without its children, in seconds.

    It is `before` once the process has ended.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return before
    return max(before, (int(fields[11]) + int(fields[12])) / TICKS)


def summary_in(out: str) -> dict[str, Any]:
    (path,) = Path(out).glob("*/summary.json")
    return json.loads(path.read_text())  # type: ignore[no-any-return]
