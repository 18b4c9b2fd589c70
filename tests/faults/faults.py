"""The faults: each breaks a part of a fleet on a stage of its own, and tells what the two ledgers say of it.

A fault whose outcome is not what was promised raises AssertionError.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any, NamedTuple

from tests.faults.stage import AGENTS, Stage
from tests.processes import Command, children, eventually

COUNT = 400
EACH = COUNT // AGENTS
COMING_BACK = """
target = "{url}"
think = 1
hold = 600
[[phases]]
rate = 400
duration = 1
[[phases]]
duration = 600
keep = true
"""
"""A plan of users that come back when they are cut off."""
STEPPED = Path(__file__).parent / "stepped"
"""A directory for PYTHONPATH that steps a process's wall clock by an hour."""


class Found(NamedTuple):
    """What a fault showed."""

    ledger: str
    target: str
    noticed: float | None = None
    """Seconds from the fault until the coordinator, or the agent, told of it."""
    recovered: float | None = None
    """Seconds until everything was open again that the plan asks for."""
    lost: int = 0
    """Connections that the target counted and the ledger did not."""


Fault = Callable[[Stage], Found]
FAULTS: dict[str, tuple[str, Fault]] = {}
"""By name: what is injected, and who does it."""


def fault(injected: str) -> Callable[[Fault], Fault]:
    """Puts a fault into the list, under the name of its function."""

    def put(of: Fault) -> Fault:
        FAULTS[of.__name__.replace("_", " ")] = injected, of
        return of

    return put


def all_open(stage: Stage, *options: str, count: int = COUNT, agents: int = AGENTS, workers: int = 1) -> list[Command]:
    """A fleet with all its connections open."""
    stage.target()
    stage.coordinator(*options, count=count, agents=agents)
    fleet = stage.fleet(agents, "--workers", str(workers))
    stage.opens(count, lost=0)
    return fleet


def agrees(stage: Stage, summary: dict[str, Any]) -> int:
    """How many connections the target counted that the ledger did not: none, after all is over."""
    eventually(lambda: stage.stats()["open"] == 0, "the target is empty")
    ends = summary["lost"] + sum(summary["closed"].values())
    assert (summary["opened"], summary["open_end"]) == (ends, 0), said(summary)
    return int(stage.stats()["opened"]) - int(summary["opened"])


def said(summary: dict[str, Any]) -> str:
    """The ledger in a few words."""
    parts = [f"opened {summary['opened']}", *(f"{reason} {count}" for reason, count in summary["closed"].items())]
    parts += [f"failed: {reason} {count}" for reason, count in summary["failed"].items()]
    parts += [f"lost {summary['lost']}"] if summary["lost"] else []
    parts += [f"relaunched {summary['relaunched']}"] if summary["relaunched"] else []
    return ", ".join(parts)


def counted(stage: Stage) -> str:
    """The target's ledger in a few words."""
    stats = stage.stats()
    return f"opened {stats['opened']}, closed {stats['closed']}"


def told(stage: Stage, summary: dict[str, Any], noticed: float | None = None, recovered: float | None = None) -> Found:
    """What both ledgers say once all is over."""
    lost = agrees(stage, summary)
    return Found(said(summary), counted(stage), noticed, recovered, lost)


def replaced(stage: Stage, noticed: float, lost: int, count: int = COUNT) -> Found:
    """Whatever was lost is open again, the ledger complete, and the target agrees to the last one."""
    recovered = stage.opens(count, lost=lost)
    summary = stage.drains()
    assert (summary["lost"], summary["relaunched"], summary["opened"]) == (lost, lost, count + lost), said(summary)
    return told(stage, summary, noticed, recovered)


# --- Parts of the fleet -----------------------------------------------------------------------------------------------


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
    noticed = stage.within(lambda: "silent" in statuses(stage), lambda: f"silent: {statuses(stage)}")
    stage.says("agent a1 is lost .silent for")
    fleet[0].send(signal.SIGCONT)
    assert fleet[0].end() == 0
    return replaced(stage, noticed, EACH)


def statuses(stage: Stage) -> list[str]:
    """What the coordinator says of each agent."""
    return [one["status"] for one in stage.state()["agents"]]


@fault("its link to the coordinator is cut for 5 s")
def cut_off_for_a_moment(stage: Stage) -> Found:
    """It goes on by itself, and nothing is lost: its seconds come late."""
    all_open(stage)
    stage.strikes()
    stage.lan.host("a1").cut("control")
    noticed = stage.within(lambda: "silent" in statuses(stage), lambda: f"silent: {statuses(stage)}")
    time.sleep(max(0.0, stage.struck + 5.0 - time.monotonic()))
    stage.lan.host("a1").mend("control")
    recovered = stage.within(lambda: statuses(stage) == ["running"] * AGENTS, lambda: f"back: {statuses(stage)}")
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
    noticed = stage.within(lambda: statuses(stage) == ["silent"] * AGENTS, lambda: f"silent: {statuses(stage)}")
    time.sleep(max(0.0, stage.struck + 15.0 - time.monotonic()))
    for host in hosts:
        host.mend("control")
    recovered = stage.within(lambda: statuses(stage) == ["running"] * AGENTS, lambda: f"back: {statuses(stage)}")
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
    noticed = stage.within(lambda: "silent" in statuses(stage), lambda: f"silent: {statuses(stage)}")
    stage.says("agent a1 is lost")
    stage.says("no word from the coordinator", fleet[0])
    stage.opens(COUNT, lost=EACH)
    stage.lan.host("a1").mend("control")
    return replaced(stage, noticed, EACH)


@fault("its link to the target is cut")
def cut_off_from_the_target(stage: Stage) -> Found:
    """Half-open connections are found by missing pongs, and are not counted as open."""
    all_open(stage)
    stage.strikes()
    stage.lan.host("a1").cut("load")
    noticed = stage.within(
        lambda: stage.ledger()["closed"].get("ping_timeout") == EACH, lambda: f"timeouts: {stage.ledger()}"
    )
    assert stage.ledger()["open"] == COUNT - EACH
    stage.lan.host("a1").mend("load")
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
    recovered = stage.within(lambda: set(statuses(stage)) == {"running"}, lambda: f"back: {statuses(stage)}")
    summary = stage.ends(0)
    assert (summary["opened"], summary["closed"], summary["lost"]) == (COUNT, {"drained": COUNT}, 0), said(summary)
    return told(stage, summary, None, recovered)


# --- The target -------------------------------------------------------------------------------------------------------


@fault("SIGKILL to the target, started again after 3 s, by users that come back")
def target_killed_and_restarted(stage: Stage) -> Found:
    """Who was connected ends as reset or by its end of file; who comes back meanwhile is refused."""
    stage.target()
    plan = stage.folder / "plan.toml"
    plan.write_text(COMING_BACK.format(url=stage.server.ws))
    stage.coordinator("--plan", str(plan), planned=True)
    stage.fleet()
    stage.opens(COUNT)
    opened = stage.stats()["opened"]
    stage.strikes()
    stage.target_process.send(signal.SIGKILL)
    stage.target_process.process.wait()
    noticed = stage.within(lambda: stage.ledger()["open"] == 0, lambda: f"none: {stage.ledger()}")
    time.sleep(max(0.0, stage.struck + 3.0 - time.monotonic()))
    stage.target()
    recovered = stage.opens(COUNT)
    summary = stage.drains()
    assert summary["failed"].keys() <= {"refused", "reset"} != set(), said(summary)
    found = told(stage, summary, noticed, recovered)
    return found._replace(target=f"{opened} before, then {found.target}", lost=found.lost + opened)


def against(stage: Stage, *options: str, expected: str, code: int = 0) -> Found:
    """A short run against a target with a vice: every connection has the one reason."""
    stage.target(*options)
    stage.coordinator(agents=1, hold=2, count=100)
    stage.fleet(1)
    summary = stage.ends(code)
    reasons = summary["failed"] | summary["closed"]
    assert reasons.get(expected, 0) > 0, said(summary)
    return told(stage, summary)


@fault("the target is not there")
def target_refuses_connections(stage: Stage) -> Found:
    """Every connection failed as refused."""
    stage.target(port=9506)
    stage.server = stage.server._replace(port=9505)
    stage.coordinator(agents=1, hold=1, count=100)
    stage.fleet(1)
    summary = stage.ends(0)
    assert summary["failed"] == {"refused": 100}, said(summary)
    return Found(said(summary), "nothing")


@fault("the target answers 503")
def target_refuses_upgrades(stage: Stage) -> Found:
    """Every connection failed as http_503."""
    return against(stage, "--vice", "refuse", expected="http_503")


@fault("the target's limit is 60 of 100")
def target_at_its_limit(stage: Stage) -> Found:
    """What it took is open, the rest failed as http_503."""
    found = against(stage, "--limit", "60", expected="http_503")
    assert "http_503 40" in found.ledger, found
    return found


@fault("the target resets each connection after 1 s")
def target_resets(stage: Stage) -> Found:
    """Every connection was open, and reset."""
    return against(stage, "--vice", "reset=1", expected="reset")


@fault("the target reads the request and never answers")
def target_stalls(stage: Stage) -> Found:
    """Drained before their connect timeout: none was ever open."""
    found = against(stage, "--vice", "stall", expected="timeout")
    assert found.ledger.startswith("opened 0"), found
    return found


@fault("the target accepts, and never answers a ping")
def target_never_answers(stage: Stage) -> Found:
    """Found by the missing pongs."""
    stage.target("--vice", "no-pong")
    stage.coordinator(agents=1, count=100)
    stage.fleet(1)
    eventually(lambda: stage.stats()["open"] == 100, "all are open")
    stage.strikes()
    noticed = stage.within(
        lambda: stage.ledger()["closed"].get("ping_timeout") == 100, lambda: f"timeouts: {stage.ledger()}"
    )
    summary = stage.ends(0)
    return told(stage, summary, noticed)


# --- The machines -----------------------------------------------------------------------------------------------------


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
    return Found(f"opened {COUNT}, drained {COUNT} (in the terminal)", counted(stage), noticed, None, lost)


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
    assert "file_descriptors gives out first" in stage.coord.err
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
    busy = [Popen([sys.executable, "-c", "while True: pass"], stdout=DEVNULL) for _ in range(8 * (os.cpu_count() or 1))]
    time.sleep(6.0)
    for one in busy:
        one.kill()
        one.wait()
    time.sleep(2.0)
    summary = stage.drains()
    why = [text for second in summary["invalid_seconds"] for text in second["why"]]
    assert any("stalled" in text or "stood still" in text or "no report" in text for text in why), why
    marked = f"{said(summary)}; {len(summary['invalid_seconds'])} seconds marked invalid"
    return told(stage, summary)._replace(ledger=marked)
