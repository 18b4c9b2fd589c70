"""Faults of agents, of the coordinator, and of the links between them."""

import os
import signal
import time

from tests.faults.fault import (
    COUNT,
    EACH,
    FaultOutcome,
    all_open,
    fault,
    ledger_text,
    outcome_of,
    replaced,
    statuses,
)
from tests.faults.stage import AGENTS, Stage
from tests.processes import children, eventually


@fault("SIGKILL to one of an agent's 2 workers")
def worker_killed(stage: Stage) -> FaultOutcome:
    """Another worker launches its connections again."""
    fleet = all_open(stage, workers=2)
    (parent,) = children(fleet[0].pid)
    stage.mark_fault()
    os.kill(children(parent)[0], signal.SIGKILL)
    noticed = stage.says("worker 0 is gone", fleet[0])
    return replaced(stage, noticed, EACH // 2)


@fault("SIGKILL to 1 of 4 agents")
def agent_killed(stage: Stage) -> FaultOutcome:
    """The others launch its connections again."""
    fleet = all_open(stage)
    stage.mark_fault()
    fleet[0].send(signal.SIGKILL)
    noticed = stage.says("agent a1 is lost")
    assert noticed < 3.0, noticed
    return replaced(stage, noticed, EACH)


@fault("SIGKILL to 1 of 16 agents")
def one_of_sixteen_killed(stage: Stage) -> FaultOutcome:
    """The same happens in a fleet of the reference run's size."""
    fleet = all_open(stage, count=800, agents=16)
    stage.mark_fault()
    fleet[3].send(signal.SIGKILL)
    noticed = stage.says("agent a4 is lost")
    assert noticed < 3.0, noticed
    return replaced(stage, noticed, 50, count=800)


@fault("SIGKILL to 1 of 2 full agents, which is started again")
def agent_restarted(stage: Stage) -> FaultOutcome:
    """Only the restarted agent has room for its share."""
    stage.target()
    stage.coordinator(agents=2)
    fleet = stage.fleet(2, "--max-connections", str(COUNT // 2))
    stage.opens(COUNT, lost=0)
    stage.mark_fault()
    fleet[0].send(signal.SIGKILL)
    noticed = stage.says("agent a1 is lost")
    stage.agent("a1")
    stage.says("agent a1-2 gets what a1 left unfinished")
    return replaced(stage, noticed, COUNT // 2)


@fault("SIGSTOP to 1 of 4 agents, SIGCONT after it is lost")
def agent_hung(stage: Stage) -> FaultOutcome:
    """It is silent, then lost; when it continues it is ordered to stop."""
    fleet = all_open(stage)
    stage.mark_fault()
    fleet[0].send(signal.SIGSTOP)
    noticed = stage.within(
        lambda: "silent" in statuses(stage), lambda: f"silent: {statuses(stage)}"
    )
    stage.says("agent a1 is lost .silent for")
    fleet[0].send(signal.SIGCONT)
    assert fleet[0].end() == 0
    return replaced(stage, noticed, EACH)


@fault("an agent's link to the coordinator is cut for 5 s")
def cut_off_for_a_moment(stage: Stage) -> FaultOutcome:
    """It continues by itself, and nothing is lost: its seconds come late."""
    all_open(stage)
    stage.mark_fault()
    stage.lan.host("a1").cut("control")
    noticed = stage.within(
        lambda: "silent" in statuses(stage), lambda: f"silent: {statuses(stage)}"
    )
    time.sleep(max(0.0, stage.fault_at + 5.0 - time.monotonic()))
    stage.lan.host("a1").fix("control")
    recovered = stage.within(
        lambda: statuses(stage) == ["running"] * AGENTS, lambda: f"back: {statuses(stage)}"
    )
    summary = stage.drains()
    assert (summary["lost"], summary["opened"]) == (0, COUNT), ledger_text(summary)
    return outcome_of(stage, summary, noticed, recovered)


@fault("the links of all agents to the coordinator are cut for 15 s")
def coordinator_cut_off(stage: Stage) -> FaultOutcome:
    """The coordinator takes it for a fault of its own network; no agent is lost."""
    all_open(stage)
    stage.mark_fault()
    hosts = [stage.lan.host(f"a{number}") for number in range(1, AGENTS + 1)]
    for host in hosts:
        host.cut("control")
    noticed = stage.within(
        lambda: statuses(stage) == ["silent"] * AGENTS, lambda: f"silent: {statuses(stage)}"
    )
    time.sleep(max(0.0, stage.fault_at + 15.0 - time.monotonic()))
    for host in hosts:
        host.fix("control")
    recovered = stage.within(
        lambda: statuses(stage) == ["running"] * AGENTS, lambda: f"back: {statuses(stage)}"
    )
    summary = stage.drains()
    assert (summary["lost"], summary["opened"]) == (0, COUNT), ledger_text(summary)
    return outcome_of(stage, summary, noticed, recovered)


@fault("an agent's link to the coordinator is cut for longer than --orphan-after 14")
def cut_off_for_long(stage: Stage) -> FaultOutcome:
    """It is lost, and others launch its share again; it drains by itself."""
    stage.target()
    stage.coordinator()
    fleet = stage.fleet(AGENTS, "--orphan-after", "14")
    stage.opens(COUNT, lost=0)
    stage.mark_fault()
    stage.lan.host("a1").cut("control")
    noticed = stage.within(
        lambda: "silent" in statuses(stage), lambda: f"silent: {statuses(stage)}"
    )
    stage.says("agent a1 is lost")
    stage.says("no word from the coordinator", fleet[0])
    stage.opens(COUNT, lost=EACH)
    stage.lan.host("a1").fix("control")
    return replaced(stage, noticed, EACH)


@fault("an agent's link to the target is cut")
def cut_off_from_the_target(stage: Stage) -> FaultOutcome:
    """Missing pongs end its half-open connections, which are not counted as open."""
    all_open(stage)
    stage.mark_fault()
    stage.lan.host("a1").cut("load")
    noticed = stage.within(
        lambda: stage.ledger()["closed"].get("ping_timeout") == EACH,
        lambda: f"timeouts: {stage.ledger()}",
    )
    assert stage.ledger()["open"] == COUNT - EACH
    stage.lan.host("a1").fix("load")
    summary = stage.drains()
    assert summary["closed"] == {"drained": COUNT - EACH, "ping_timeout": EACH}, ledger_text(
        summary
    )
    return outcome_of(stage, summary, noticed)


@fault("SIGKILL to the coordinator during the arrivals, --resume after 5 s")
def coordinator_killed(stage: Stage) -> FaultOutcome:
    """The agents continue and hold; the ledger is exact at the end."""
    stage.target()
    stage.coordinator("--rate", "60", hold=3)
    stage.fleet()
    eventually(lambda: stage.stats()["open"] > COUNT // 4, "a quarter is open")
    stage.mark_fault()
    stage.coord.send(signal.SIGKILL)
    stage.coord.process.wait()
    time.sleep(5.0)
    stage.resume()
    recovered = stage.within(
        lambda: set(statuses(stage)) == {"running"}, lambda: f"back: {statuses(stage)}"
    )
    summary = stage.ends(0)
    assert (summary["opened"], summary["closed"], summary["lost"]) == (
        COUNT,
        {"drained": COUNT},
        0,
    ), ledger_text(summary)
    return outcome_of(stage, summary, None, recovered)
