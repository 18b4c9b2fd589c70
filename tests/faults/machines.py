"""Faults of a fleet's machines, and of agents' names, files and ports."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOSPC
from pathlib import Path
from subprocess import DEVNULL, Popen

from tests.faults.fault import (
    COUNT,
    FaultOutcome,
    all_open,
    fault,
    ledger_text,
    outcome_of,
    statuses,
    target_text,
)
from tests.faults.stage import AGENTS, Stage
from tests.processes import children, eventually

STEPPED = Path(__file__).parent / "stepped"
"""A directory for PYTHONPATH that steps a process's wall clock by an hour."""


@fault("the disk under the run directory is full")
def disk_full(stage: Stage) -> FaultOutcome:
    """A warning says so, the run continues, and its ledger is in the terminal."""
    stage.target()
    stage.runs.mkdir()
    stage.mount(stage.runs, "400k")
    stage.coordinator("--expect", f"opened>={COUNT}", hold=4)
    stage.fleet()
    stage.opens(COUNT, lost=0)
    stage.mark_fault()
    filler = stage.runs / "filler"
    with filler.open("wb", buffering=0) as file, until_full():
        while True:
            file.write(bytes(4096))
    noticed = stage.says("can't be written .No space left on device")
    assert stage.coord.end() == 0, stage.coord.err
    assert f"drained {COUNT}" in stage.coord.out, stage.coord.out
    eventually(lambda: stage.stats()["open"] == 0, "the target is empty")
    lost = int(stage.stats()["opened"]) - COUNT
    return FaultOutcome(
        f"opened {COUNT}, drained {COUNT} (in the terminal)",
        target_text(stage),
        noticed,
        None,
        lost,
    )


@contextmanager
def until_full() -> Iterator[None]:
    """Ends the block, without an error, when the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno != ENOSPC:
            raise


@fault("a second agent joins under the name of another")
def the_same_name_twice(stage: Stage) -> FaultOutcome:
    """It gets another name, and a share."""
    stage.target()
    stage.coordinator(agents=2)
    for host in ("a1", "a2"):
        stage.agent(host, "--name", "twin")
    stage.opens(COUNT, lost=0)
    assert [one["name"] for one in stage.state()["agents"]] == ["twin", "twin-2"]
    summary = stage.drains()
    return outcome_of(stage, summary)


@fault("an agent joins when all connections are open")
def agent_joins_late(stage: Stage) -> FaultOutcome:
    """It is a reserve, and disturbs no other agent."""
    all_open(stage)
    stage.agent("late")
    eventually(lambda: "ready" in statuses(stage), "it is ready")
    summary = stage.drains()
    assert summary["opened"] == COUNT, ledger_text(summary)
    return outcome_of(stage, summary)


@fault("the agent may open 70 files, for 100 connections")
def descriptors_used_up(stage: Stage) -> FaultOutcome:
    """The rest fails as no_fd, as the preflight warned."""
    stage.target()
    stage.coordinator(agents=1, hold=2, count=100)
    stage.agent("a1", wrap=("prlimit", "--nofile=70:70"))
    summary = stage.ends(0)
    assert summary["failed"].get("no_fd", 0) > 0, ledger_text(summary)
    assert "limited by file_descriptors" in stage.coord.err
    return outcome_of(stage, summary)


@fault("the agent has 60 source ports, for 100 connections")
def ports_used_up(stage: Stage) -> FaultOutcome:
    """The rest fails as no_local_port, as the preflight warned."""
    stage.target()
    stage.coordinator(agents=1, hold=2, count=100)
    stage.agent("a1", "--ports", "20000-20059")
    summary = stage.ends(0)
    assert summary["failed"].get("no_local_port", 0) > 0, ledger_text(summary)
    return outcome_of(stage, summary)


@fault("the wall clock of one host goes an hour ahead, during the arrivals")
def clock_stepped(stage: Stage) -> FaultOutcome:
    """It changes nothing: seconds count on monotonic clocks.

    They count from the start of the run.
    """
    stage.target()
    stage.coordinator("--rate", "60", hold=2)
    environment = os.environ | {"PYTHONPATH": f"{STEPPED}:{os.environ.get('PYTHONPATH', '')}"}
    stage.agent("a1", env=environment)
    for number in range(2, AGENTS + 1):
        stage.agent(f"a{number}")
    summary = stage.ends(0)
    assert (summary["opened"], summary["closed"]) == (COUNT, {"drained": COUNT}), ledger_text(
        summary
    )
    return outcome_of(stage, summary)


def _lower_session(pid: int) -> None:
    """Gives the session of a process the lowest priority; sched(7), autogroup.

    Between sessions the kernel does not regard the nice values of their processes.
    """
    file = Path(f"/proc/{pid}/autogroup")

    def is_low() -> bool:
        # It takes one such change in a tenth of a second.
        with suppress(BlockingIOError):
            file.write_text("19")
        return file.read_text().split()[-1] == "19"

    if file.exists():  # a kernel with autogroups
        eventually(is_low, f"the session of {pid} has the lowest priority")


@fault("8 busy processes a core, the agents at the lowest priority, for 6 s")
def starved_of_cpu(stage: Stage) -> FaultOutcome:
    """The seconds are marked as invalid: their numbers prove nothing."""
    stage.target()
    stage.coordinator()
    agents = [
        stage.agent(f"a{number}", wrap=("nice", "-n", "19")) for number in range(1, AGENTS + 1)
    ]
    stage.opens(COUNT, lost=0)
    for agent in agents:
        for pid in (agent.pid, *children(agent.pid)):
            _lower_session(pid)
    stage.mark_fault()
    busy = [
        Popen([sys.executable, "-c", "while True: pass"], stdout=DEVNULL, start_new_session=True)
        for _ in range(8 * (os.cpu_count() or 1))
    ]
    time.sleep(6.0)
    for one in busy:
        one.kill()
        one.wait()
    time.sleep(2.0)
    summary = stage.drains()
    why = [text for second in summary["invalid_seconds"] for text in second["why"]]
    assert any("late by" in text or "stood still" in text or "no report" in text for text in why), (
        why
    )
    marked = f"{ledger_text(summary)}; {len(summary['invalid_seconds'])} seconds marked invalid"
    return outcome_of(stage, summary)._replace(ledger=marked)
