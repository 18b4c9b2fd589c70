"""Faults of agents, of the coordinator, and of the links between them."""

import os
import signal
import time

from tests.faults.fault import COUNT, EACH, Found, all_open, fault, replaced, said, statuses, told
from tests.faults.stage import AGENTS, Stage
from tests.processes import children, eventually


@fault("SIGKILL to one of an agent's 2 workers")
def worker_killed(stage: Stage) -> Found:
    """Another one takes its place."""
    fleet = all_open(stage, workers=2)
    (parent,) = children(fleet[0].pid)
    stage.strikes()
    os.kill(children(parent)[0], signal.SIGKILL)
    noticed = stage.says("worker 0 is gone", fleet[0])
    return replaced(stage, noticed, EACH // 2)


@fault("SIGKILL to 1 of 4 agents")
def agent_killed(stage: Stage) -> Found:
    """The others launch what it held."""
    fleet = all_open(stage)
    stage.strikes()
    fleet[0].send(signal.SIGKILL)
    noticed = stage.says("agent a1 is lost")
    assert noticed < 3.0, noticed
    return replaced(stage, noticed, EACH)


@fault("SIGKILL to 1 of 16 agents")
def one_of_sixteen_killed(stage: Stage) -> Found:
    """The same in a fleet of the reference run's size."""
    fleet = all_open(stage, count=800, agents=16)
    stage.strikes()
    fleet[3].send(signal.SIGKILL)
    noticed = stage.says("agent a4 is lost")
    assert noticed < 3.0, noticed
    return replaced(stage, noticed, 50, count=800)


@fault("SIGKILL to 1 of 2 agents that are full, and it is started again")
def agent_restarted(stage: Stage) -> Found:
    """Nobody has room for its share but itself."""
    stage.target()
    stage.coordinator(agents=2)
    fleet = stage.fleet(2, "--max-connections", str(COUNT // 2))
    stage.opens(COUNT, lost=0)
    stage.strikes()
    fleet[0].send(signal.SIGKILL)
    noticed = stage.says("agent a1 is lost")
    stage.agent("a1")
    stage.says("agent a1-2 takes up for a1")
    return replaced(stage, noticed, COUNT // 2)


@fault("SIGSTOP to 1 of 4 agents, SIGCONT once it was given up")
def agent_hung(stage: Stage) -> Found:
    """It is silent, then lost; when it comes back it is told to stop."""
    fleet = all_open(stage)
    stage.strikes()
    fleet[0].send(signal.SIGSTOP)
    noticed = stage.within(
        lambda: "silent" in statuses(stage), lambda: f"silent: {statuses(stage)}"
    )
    stage.says("agent a1 is lost .silent for")
    fleet[0].send(signal.SIGCONT)
    assert fleet[0].end() == 0
    return replaced(stage, noticed, EACH)


@fault("its link to the coordinator is cut for 5 s")
def cut_off_for_a_moment(stage: Stage) -> Found:
    """It goes on by itself, and nothing is lost: its seconds come late."""
    all_open(stage)
    stage.strikes()
    stage.lan.host("a1").cut("control")
    noticed = stage.within(
        lambda: "silent" in statuses(stage), lambda: f"silent: {statuses(stage)}"
    )
    time.sleep(max(0.0, stage.struck + 5.0 - time.monotonic()))
    stage.lan.host("a1").fix("control")
    recovered = stage.within(
        lambda: statuses(stage) == ["running"] * AGENTS, lambda: f"back: {statuses(stage)}"
    )
    summary = stage.drains()
    assert (summary["lost"], summary["opened"]) == (0, COUNT), said(summary)
    return told(stage, summary, noticed, recovered)


@fault("the links of all agents to the coordinator are cut for 15 s")
def coordinator_cut_off(stage: Stage) -> Found:
    """It takes that for a fault of its own network, and gives nobody up."""
    all_open(stage)
    stage.strikes()
    hosts = [stage.lan.host(f"a{number}") for number in range(1, AGENTS + 1)]
    for host in hosts:
        host.cut("control")
    noticed = stage.within(
        lambda: statuses(stage) == ["silent"] * AGENTS, lambda: f"silent: {statuses(stage)}"
    )
    time.sleep(max(0.0, stage.struck + 15.0 - time.monotonic()))
    for host in hosts:
        host.fix("control")
    recovered = stage.within(
        lambda: statuses(stage) == ["running"] * AGENTS, lambda: f"back: {statuses(stage)}"
    )
    summary = stage.drains()
    assert (summary["lost"], summary["opened"]) == (0, COUNT), said(summary)
    return told(stage, summary, noticed, recovered)


@fault("its link to the coordinator is cut for longer than its --orphan-after of 14 s")
def cut_off_for_long(stage: Stage) -> Found:
    """Given up, its share is launched again by others; it drains by itself."""
    stage.target()
    stage.coordinator()
    fleet = stage.fleet(AGENTS, "--orphan-after", "14")
    stage.opens(COUNT, lost=0)
    stage.strikes()
    stage.lan.host("a1").cut("control")
    noticed = stage.within(
        lambda: "silent" in statuses(stage), lambda: f"silent: {statuses(stage)}"
    )
    stage.says("agent a1 is lost")
    stage.says("no word from the coordinator", fleet[0])
    stage.opens(COUNT, lost=EACH)
    stage.lan.host("a1").fix("control")
    return replaced(stage, noticed, EACH)


@fault("its link to the target is cut")
def cut_off_from_the_target(stage: Stage) -> Found:
    """Half-open connections are found by missing pongs, and are not counted as open."""
    all_open(stage)
    stage.strikes()
    stage.lan.host("a1").cut("load")
    noticed = stage.within(
        lambda: stage.ledger()["closed"].get("ping_timeout") == EACH,
        lambda: f"timeouts: {stage.ledger()}",
    )
    assert stage.ledger()["open"] == COUNT - EACH
    stage.lan.host("a1").fix("load")
    summary = stage.drains()
    assert summary["closed"] == {"drained": COUNT - EACH, "ping_timeout": EACH}, said(summary)
    return told(stage, summary, noticed)


@fault("SIGKILL to the coordinator in the midst of the arrivals, --resume after 5 s")
def coordinator_killed(stage: Stage) -> Found:
    """The agents go on and hold; the ledger is exact in the end."""
    stage.target()
    stage.coordinator("--rate", "60", hold=3)
    stage.fleet()
    eventually(lambda: stage.stats()["open"] > COUNT // 4, "it is under way")
    stage.strikes()
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
    ), said(summary)
    return told(stage, summary, None, recovered)
