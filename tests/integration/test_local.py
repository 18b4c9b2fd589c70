"""A fleet and its target as children of the coordinator.

One command starts and ends all of them.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.processes import (
    Coordinator,
    children,
    coordinator,
    environment,
    eventually,
    free_port,
    get_json,
    is_gone,
    local_agents,
)

HELD = (
    "--local",
    "2",
    "--with-target",
    "--max",
    "100",
    "--rate",
    "1000",
    "--think",
    "1",
    "--hold",
    "600",
)
"""Options of a load that lasts until something ends it."""


@pytest.fixture
def port() -> int:
    """The port on which the embedded target will listen."""
    return free_port()


def url(port: int) -> str:
    return f"ws://127.0.0.1:{port}/v1/realtime?project=console"


def opens(coord: Coordinator, port: int, count: int) -> None:
    """Waits until `count` connections are open on the target.

    It listens before the URL is printed.
    """
    assert coord.url
    stats = f"http://127.0.0.1:{port}/stats"
    eventually(lambda: get_json(stats)["open"] == count, lambda: f"{count} open: {get_json(stats)}")


def reported(coord: Coordinator, count: int) -> None:
    """Waits until `count` open connections are reported.

    Those that are not reported would end with an agent.
    """
    eventually(
        lambda: coord.state()["ledger"]["open"] == count, lambda: f"{count} open: {coord.state()}"
    )


def descendants(pid: int) -> Iterator[int]:
    """Yields the children of a process, their children and so on."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def agent(coord: Coordinator, name: str) -> int:
    """Returns the process id of a local agent."""
    return local_agents(coord.pid)[name]


def all_gone(pids: list[int]) -> None:
    eventually(
        lambda: all(map(is_gone, pids)),
        lambda: f"gone: {[pid for pid in pids if not is_gone(pid)]}",
    )


def test_one_command_starts_a_fleet_and_its_target_and_ends_them(tmp_path, port):
    with coordinator(tmp_path, *HELD, url(port)) as coord:
        opens(coord, port, 100)
        family = list(descendants(coord.pid))
        # Two agents and the target, each with at least one worker.
        assert len(family) >= 3 + 2 + 1
        coord.send(signal.SIGINT)
        assert coord.end() == 130
        all_gone(family)
        summary = coord.summary()
        assert (summary["opened"], summary["accepted"], summary["closed"]) == (
            100,
            100,
            {"drained": 100},
        )
        logs = {path.name for path in (coord.folder / "agents").iterdir()}
        assert logs == {"local-1.log", "local-2.log", "target.log"}


def test_the_fleet_goes_on_without_an_agent_that_is_killed(tmp_path, port):
    """Its connections are lost and a warning is printed.

    The run passes once the other agent has drained and ended.
    """
    with coordinator(tmp_path, *HELD, "--on-loss", "continue", url(port)) as coord:
        opens(coord, port, 100)
        reported(coord, 100)
        os.kill(agent(coord, "local-1"), signal.SIGKILL)
        opens(coord, port, 50)
        reported(coord, 50)
        os.kill(agent(coord, "local-2"), signal.SIGTERM)
        assert coord.end() == 0
        summary = coord.summary()
        assert (summary["opened"], summary["lost"], summary["open_end"]) == (100, 50, 0)
        assert summary["closed"] == {"drained": 50}
        assert {agent["name"]: (agent["status"], agent["lost"]) for agent in summary["agents"]} == {
            "local-1": ("lost", 50),
            "local-2": ("finished", 0),
        }
        assert "agent local-1 is lost (was killed by SIGKILL" in coord.err
        assert "50 open connections count as lost" in coord.err


def test_all_of_them_end_with_a_coordinator_that_is_killed(tmp_path, port):
    with coordinator(tmp_path, *HELD, url(port)) as coord:
        opens(coord, port, 100)
        family = list(descendants(coord.pid))
        coord.send(signal.SIGKILL)
        all_gone(family)


def test_an_agent_that_can_not_start_ends_the_run_with_its_last_line(tmp_path, port):
    """The agents read their options from the environment too.

    A bad option there is their error.
    """
    ports = environment() | {"LOADGEN_AGENT_PORTS": "5"}
    with coordinator(tmp_path, *HELD, url(port), env=ports) as coord:
        assert coord.end() == 3
        assert "local agent local-" in coord.err
        assert "'5' are not MIN-MAX" in coord.err
