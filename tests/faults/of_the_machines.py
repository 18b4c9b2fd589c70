"""Faults of the machines that a fleet runs on, and what comes of names and places taken."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path
from subprocess import DEVNULL, Popen

from tests.faults.fault import COUNT, Found, all_open, counted, fault, said, statuses, told
from tests.faults.stage import AGENTS, Stage
from tests.processes import eventually

STEPPED = Path(__file__).parent / "stepped"
"""A directory for PYTHONPATH that steps a process's wall clock by an hour."""


@fault("the disk under the run directory is full")
def disk_full(stage: Stage) -> Found:
    """The operator is told, the run goes on, its ledger is in the terminal."""
    stage.target()
    stage.runs.mkdir()
    stage.mount(stage.runs, "400k")
    stage.coordinator("--expect", f"opened>={COUNT}", hold=4)
    stage.fleet()
    stage.opens(COUNT, lost=0)
    stage.strikes()
    filler = stage.runs / "filler"
    with filler.open("wb", buffering=0) as file, suppress_full():
        while True:
            file.write(bytes(4096))
    noticed = stage.says("can't be written .No space left on device")
    assert stage.coord.end() == 0, stage.coord.err
    assert f"drained {COUNT}" in stage.coord.out, stage.coord.out
    eventually(lambda: stage.stats()["open"] == 0, "the target is empty")
    lost = int(stage.stats()["opened"]) - COUNT
    return Found(
        f"opened {COUNT}, drained {COUNT} (in the terminal)", counted(stage), noticed, None, lost
    )


@contextmanager
def suppress_full() -> Iterator[None]:
    """The disk is full, as it was to be."""
    try:
        yield
    except OSError as error:
        if error.errno != ENOSPC:
            raise


@fault("a second agent joins under the name of another")
def the_same_name_twice(stage: Stage) -> Found:
    """It gets a name of its own, and a share."""
    stage.target()
    stage.coordinator(agents=2)
    for host in ("a1", "a2"):
        stage.agent(host, "--name", "twin")
    stage.opens(COUNT, lost=0)
    assert [one["name"] for one in stage.state()["agents"]] == ["twin", "twin-2"]
    summary = stage.drains()
    return told(stage, summary)


@fault("an agent joins when all connections are open")
def agent_joins_late(stage: Stage) -> Found:
    """It is held in reserve, and stops nobody."""
    all_open(stage)
    stage.agent("late")
    eventually(lambda: "ready" in statuses(stage), "it is ready")
    summary = stage.drains()
    assert summary["opened"] == COUNT, said(summary)
    return told(stage, summary)


@fault("the agent may open 70 files, for 100 connections")
def descriptors_used_up(stage: Stage) -> Found:
    """The rest failed as no_fd, and the preflight had said so."""
    stage.target()
    stage.coordinator(agents=1, hold=2, count=100)
    stage.agent("a1", wrap=("prlimit", "--nofile=70:70"))
    summary = stage.ends(0)
    assert summary["failed"].get("no_fd", 0) > 0, said(summary)
    assert "limited by file_descriptors" in stage.coord.err
    return told(stage, summary)


@fault("the agent has 60 source ports, for 100 connections")
def ports_used_up(stage: Stage) -> Found:
    """The rest failed as no_local_port, and the preflight had said so."""
    stage.target()
    stage.coordinator(agents=1, hold=2, count=100)
    stage.agent("a1", "--ports", "20000-20059")
    summary = stage.ends(0)
    assert summary["failed"].get("no_local_port", 0) > 0, said(summary)
    return told(stage, summary)


@fault("the wall clock of one host goes an hour ahead, in the midst of the arrivals")
def clock_stepped(stage: Stage) -> Found:
    """Nothing: seconds count on monotonic clocks, from the run's own start."""
    stage.target()
    stage.coordinator("--rate", "60", hold=2)
    environment = os.environ | {"PYTHONPATH": f"{STEPPED}:{os.environ.get('PYTHONPATH', '')}"}
    stage.agent("a1", env=environment)
    for number in range(2, AGENTS + 1):
        stage.agent(f"a{number}")
    summary = stage.ends(0)
    assert (summary["opened"], summary["closed"]) == (COUNT, {"drained": COUNT}), said(summary)
    return told(stage, summary)


@fault("8 busy processes a core, the agents at the lowest priority, for 6 s")
def starved_of_cpu(stage: Stage) -> Found:
    """The seconds are marked: their numbers prove nothing."""
    stage.target()
    stage.coordinator()
    for number in range(1, AGENTS + 1):
        stage.agent(f"a{number}", wrap=("nice", "-n", "19"))
    stage.opens(COUNT, lost=0)
    stage.strikes()
    busy = [
        Popen([sys.executable, "-c", "while True: pass"], stdout=DEVNULL)
        for _ in range(8 * (os.cpu_count() or 1))
    ]
    time.sleep(6.0)
    for one in busy:
        one.kill()
        one.wait()
    time.sleep(2.0)
    summary = stage.drains()
    why = [text for second in summary["invalid_seconds"] for text in second["why"]]
    assert any("stalled" in text or "stood still" in text or "no report" in text for text in why), (
        why
    )
    marked = f"{said(summary)}; {len(summary['invalid_seconds'])} seconds marked invalid"
    return told(stage, summary)._replace(ledger=marked)
