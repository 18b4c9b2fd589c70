"""Signals that end a process by default, to each part of a fleet."""

import os
import signal
import subprocess
import time

from tests.faults.fault import ledger_text, target_text
from tests.hostile.arena import COUNT, FLEET, Arena, Survived
from tests.hostile.trial import trial
from tests.processes import command, environment, eventually


def _agent_gets(arena: Arena, number: signal.Signals) -> Survived:
    """Returns the outcome after an agent drained on a signal."""
    (agent, _) = arena.opened()
    arena.mark_fault()
    agent.send(number)
    assert agent.end() in (0, 130), f"exit code {agent.process.returncode}: {agent.err}"
    noticed = time.monotonic() - arena.fault_at
    summary = arena.drains()
    assert (summary["lost"], summary["closed"]) == (0, {"drained": COUNT}), ledger_text(summary)
    return arena.survived(summary, noticed)


@trial("SIGHUP to an agent, as when its terminal closes", small=True)
def agent_gets_sighup(arena: Arena) -> Survived:
    """It drains as on SIGTERM."""
    return _agent_gets(arena, signal.SIGHUP)


@trial("SIGUSR1 to an agent")
def agent_gets_sigusr1(arena: Arena) -> Survived:
    """It drains as on SIGTERM."""
    return _agent_gets(arena, signal.SIGUSR1)


@trial("SIGQUIT to an agent")
def agent_gets_sigquit(arena: Arena) -> Survived:
    """It drains as on SIGTERM."""
    return _agent_gets(arena, signal.SIGQUIT)


@trial("SIGQUIT to the coordinator")
def coordinator_gets_sigquit(arena: Arena) -> Survived:
    """The run drains, and no agent holds a connection."""
    fleet = arena.opened()
    arena.mark_fault()
    arena.coord.send(signal.SIGQUIT)
    summary = arena.ends(130)
    noticed = time.monotonic() - arena.fault_at
    assert summary["closed"] == {"drained": COUNT}, ledger_text(summary)
    assert [agent.end() for agent in fleet] == [0] * FLEET
    return arena.survived(summary, noticed)


@trial("SIGHUP to a coordinator that runs under nohup")
def coordinator_under_nohup(arena: Arena) -> Survived:
    """The run goes on."""
    arena.opened(wrap=("nohup",))
    arena.coord.send(signal.SIGHUP)
    time.sleep(2.0)
    assert arena.ledger()["open"] == COUNT
    return arena.drains_well()


@trial("Ctrl-C to each command in its first 0.02 to 0.5 s")
def interrupted_at_once(arena: Arena) -> Survived:
    """Each ends without a traceback."""
    arena.target()
    lines = {
        "coord": command("loadgen-coord", "--listen", "127.0.0.1:0", "--out", str(arena.runs)),
        "agent": command("loadgen-agent", "--metrics", "127.0.0.1:0"),
        "target": command("loadgen-target", "--listen", "127.0.0.1:0", "--workers", "1"),
    }
    for name, line in lines.items():
        for delay in (0.02, 0.06, 0.1, 0.15, 0.25, 0.5):
            started = subprocess.Popen(
                # A shell lets the processes in its background ignore Ctrl-C.
                ["env", "--default-signal=INT", *line],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
            )
            time.sleep(delay)
            started.send_signal(signal.SIGINT)
            out, err = started.communicate(timeout=30)
            told = f"{name} after {delay} s: {out[-500:]}{err[-1500:]}"
            # Before that, Python itself was not ready to run anything.
            assert "Traceback" not in err + out or "Fatal Python error: init" in err, told
    return Survived("nothing was opened", target_text(arena))


@trial("SIGPIPE, SIGWINCH, SIGCONT, SIGCHLD and SIGURG to each process of a run")
def harmless_signals(arena: Arena) -> Survived:
    """They change nothing."""
    fleet = arena.opened()
    for number in (signal.SIGWINCH, signal.SIGCONT, signal.SIGPIPE, signal.SIGCHLD, signal.SIGURG):
        for one in (arena.coord, *fleet, arena.target_process):
            os.kill(one.pid, number)
    time.sleep(1.5)
    eventually(lambda: arena.stats()["open"] == COUNT, "all are open")
    return arena.drains_well()
