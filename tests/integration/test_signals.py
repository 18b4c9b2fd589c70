"""Signals at any moment, to any process: no traceback, and no lost load."""

import os
import re
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.processes import (
    agent,
    children,
    command,
    coordinator,
    environment,
    eventually,
    is_gone,
    local_agents,
    opens,
    process,
    target,
)

HELD = ("--max", "60", "--rate", "1000", "--think", "0.5", "--hold", "600")
TO_A_GROUP = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)
"""What a terminal, a shell or a supervisor sends to all processes of a command at once."""


def caught(pid: int) -> tuple[int, int]:
    """Returns the masks of the signals that a process catches and ignores."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(SigCgt|SigIgn):\s+(\w+)$", status, re.MULTILINE))
    return int(found["SigCgt"], 16), int(found["SigIgn"], 16)


def bit(number: signal.Signals) -> int:
    return 1 << (number - 1)


def runs_its_script(pid: int) -> bool:
    """True once Python is up, which ignores SIGPIPE, and the script has begun."""
    catches, ignores = caught(pid)
    return bool(ignores & bit(signal.SIGPIPE)) and not catches & bit(signal.SIGINT)


@pytest.mark.parametrize("after", [0.0, 0.2])
@pytest.mark.parametrize(
    "words",
    [
        ("loadgen-coord", "--agents", "1", "--listen", "127.0.0.1:0", "--out", "{out}"),
        ("loadgen-agent", "--metrics", "127.0.0.1:0", "--coordinator", "http://127.0.0.1:1"),
        ("loadgen-target", "--listen", "127.0.0.1:0"),
        ("loadgen-report", "{out}/nothing"),
        ("loadgen-tune", "check"),
    ],
    ids=lambda words: words[0],
)
def test_ctrl_c_at_the_start_is_no_traceback(tmp_path, words, after):
    """A command is imported for some tenths of a second before it can do anything."""
    arguments = [word.format(out=tmp_path) for word in words]
    started = subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    eventually(lambda: started.poll() is not None or runs_its_script(started.pid), "its script")
    time.sleep(after)
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=30)

    assert "Traceback" not in err
    assert started.returncode in {0, 1, 2, 130, -signal.SIGINT}


def test_a_signal_to_the_whole_group_of_an_agent_drains_it(tmp_path):
    """So does a closed terminal: it signals the agent's workers as well."""
    held = ("--agents", str(len(TO_A_GROUP)), *HELD)
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path, server.ws, *held) as coord,
        ExitStack() as stack,
    ):
        agents = [
            stack.enter_context(agent(coord.url, "--once", start_new_session=True))
            for _ in TO_A_GROUP
        ]
        opens(server, 60)
        for loading, number in zip(agents, TO_A_GROUP, strict=True):
            for pid in (*loading.workers(), *children(loading.pid)):
                os.kill(pid, number)
            os.killpg(loading.pid, number)
        assert [loading.end() for loading in agents] == [0] * len(agents)
        assert coord.end() == 0
        summary = coord.summary()
        assert (summary["closed"], summary["lost"]) == ({"drained": 60}, 0)


def test_signals_that_mean_nothing_to_a_worker_and_a_broken_pipe_end_nothing(tmp_path):
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path, server.ws, "--agents", "1", *HELD) as coord,
    ):
        with agent(coord.url, "--once") as loading:
            opens(server, 60)
            everyone = [*loading.workers(), *children(loading.pid), loading.pid, coord.pid]
            for pid in everyone:
                os.kill(pid, signal.SIGPIPE)
            for pid in everyone[:-2]:
                for number in (signal.SIGUSR1, signal.SIGUSR2):
                    os.kill(pid, number)
            seconds = len(coord.rows())
            eventually(lambda: len(coord.rows()) > seconds + 1, "two more seconds")
            assert server.stats()["open"] == 60
            coord.send(signal.SIGUSR1)
            assert coord.end() == 130
            assert loading.end() == 0
        assert coord.summary()["closed"] == {"drained": 60}


def test_sigquit_to_the_coordinator_leaves_no_agent_with_connections(tmp_path):
    options = ("--local", "1", "--max", "60", "--rate", "1000", "--hold", "600")
    with target("--workers", "1") as server, coordinator(tmp_path, server.ws, *options) as coord:
        opens(server, 60)
        local = local_agents(coord.pid)["local-1"]
        coord.send(signal.SIGQUIT)
        assert coord.end() == 130
        assert server.stats()["open"] == 0
        assert is_gone(local)
        assert coord.summary()["closed"] == {"drained": 60}


@pytest.mark.parametrize("number", [*TO_A_GROUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_target_ends_in_good_order_on_any_signal_to_end(number):
    options = ("--listen", "127.0.0.1:0", "--workers", "2", "--limit", "1000")
    with process("loadgen-target", *options, start_new_session=True) as running:
        assert "listening" in running.stdout.readline()
        workers = children(running.pid)
        for pid in workers:
            os.kill(pid, signal.SIGPIPE)
        os.killpg(running.pid, number)
        assert running.wait(30) == 0
        assert running.stderr.read() == ""
        assert all(map(is_gone, workers))
