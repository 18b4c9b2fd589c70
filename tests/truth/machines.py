"""Workers and hosts that are burdened on purpose, and clocks that go wrong."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.processes import (
    Coordinator,
    agent,
    coordinator,
    eventually,
    every_core_busy,
    target,
)
from tests.truth.case import Finding, agent_on_a_fast_clock, between, case, same

STOPPED = 2.5
"""Seconds for which a worker is stopped."""


@contextmanager
def loaded(*options: str) -> Iterator[Coordinator]:
    """A coordinator whose run loads an embedded target."""
    with (
        TemporaryDirectory() as folder,
        target("--workers", "1") as server,
        coordinator(Path(folder), server.ws, *options) as run,
    ):
        yield run


@case("one worker of four is stopped for 2.5 s")
def a_stopped_worker() -> list[Finding]:
    """Exactly the seconds that the stop covers are marked, with the worker's name."""
    options = ("--agents", "1", "--rate", "200", "--max", "80", "--think", "0.5", "--hold", "10")
    with (
        loaded(*options) as run,
        agent(run.url, "--workers", "4", "--name", "a1") as loading,
    ):
        eventually(lambda: len(run.rows()) >= 3, "all are open")
        pid = sorted(loading.workers())[2]
        begun = run.state()["age_s"]
        os.kill(pid, signal.SIGSTOP)
        threading.Event().wait(STOPPED)
        os.kill(pid, signal.SIGCONT)
        ended = run.state()["age_s"]
        run.end()
        marked = {
            row["second"]: why
            for row in run.rows()
            for why in row["invalid"]
            if why.startswith("worker 2 of agent a1 stood still")
        }
    covered = list(range(int(begun), int(ended) + 1))
    return [
        same("marked seconds", covered, sorted(marked)),
        between(
            "seconds stood still",
            STOPPED - 0.2,
            STOPPED + 0.2,
            sum(float(why.split()[-2]) for why in marked.values()),
        ),
    ]


@case("every core of the host is busy with other work for 4 s")
def a_busy_host() -> list[Finding]:
    """The seconds in between are marked as bounded by the host."""
    options = ("--local", "1", "--rate", "100", "--max", "50", "--think", "0.5", "--hold", "12")
    with loaded(*options) as run:
        run.says("agents join at")
        eventually(lambda: len(run.rows()) >= 3, "all are open")
        with every_core_busy():
            begun = run.state()["age_s"]
            threading.Event().wait(4.0)
            ended = run.state()["age_s"]
        run.end()
        marked = {row["second"] for row in run.rows() if row["saturated"]}
    whole = set(range(int(begun) + 1, int(ended)))
    return [
        same("whole seconds in between that are not marked", set(), whole - marked),
        same("seconds marked elsewhere", set(), marked - {*whole, int(begun), int(ended)}),
    ]


@case("an agent whose clock is 3.7 s ahead and 50 ppm fast")
def clocks() -> list[Finding]:
    """Offset and drift are known within their stated bounds."""
    options = ("--agents", "1", "--rate", "50", "--max", "50", "--think", "1", "--hold", "60")
    with (
        loaded(*options) as run,
        agent_on_a_fast_clock(run.url, "--metrics", "127.0.0.1:0"),
    ):
        run.end(120)
        facts = json.loads((run.folder / "run.json").read_text())
        (clock,) = [one["clock"] for one in facts["agents"]]
        opened = run.summary()["opened"]
    drift, bound = clock["drift_ppm"], clock["drift_bound_ppm"]
    return [
        between("wall clock ahead, s", 3.69, 3.71, clock["wall_ahead_s"]),
        between("drift, ppm, within its bound", -50 - bound, -50 + bound, drift),
        between("bound of the drift, ppm", 0.0, 100.0, bound),
        same("opened", 50, opened),
    ]
