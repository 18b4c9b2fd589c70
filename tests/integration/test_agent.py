"""`loadgen-agent` between a real coordinator and a real target.

It joins, loads, and dies.
"""

import os
import signal
import socket
from contextlib import closing, suppress
from urllib.parse import urlsplit

import pytest

from tests.processes import (
    PATIENCE,
    Command,
    Coordinator,
    agent,
    command,
    coordinator,
    eventually,
    free_port,
    get,
    get_json,
    is_gone,
    opens,
    refusing_port,
)

LOAD = ("--agents", "1", "--max", "100", "--rate", "1000", "--think", "1")
HELD = (*LOAD, "--hold", "600")
"""A load that lasts until something ends it."""
BRIEF = (*LOAD, "--hold", "1.5")


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def reported(coord: Coordinator, count: int) -> None:
    """Waits until the coordinator has counted these connections.

    A dead worker reports nothing any more.
    """
    eventually(
        lambda: coord.state()["ledger"]["open"] == count, lambda: f"{count} open: {coord.state()}"
    )


def adds_up(coord: Coordinator, **expected: object) -> None:
    """The ledger of the summary adds up, and has the expected figures."""
    summary = coord.summary()
    failed, closed = sum(summary["failed"].values()), sum(summary["closed"].values())
    assert summary["launched"] == failed + summary["opened"]
    assert summary["opened"] == summary["open_end"] + closed + summary["lost"]
    assert {name: summary[name] for name in expected} == expected


def log_of(coord: Coordinator) -> str:
    """Returns the coordinator's log of its only agent."""
    (log,) = (coord.folder / "agents").iterdir()
    return log.read_text()


# --- No orphan load, ever
# ---------------------------------------------------------------------------------------------


def test_an_agent_that_is_killed_takes_its_load_with_it(tmp_path, server):
    """First one with workers that run, then one with a worker that hangs."""
    options = (*HELD, "--agents", "2", "--on-loss", "continue")
    with (
        coordinator(tmp_path, server.ws, *options) as coord,
        agent(coord.url, "--workers", "2") as killed,
        agent(coord.url, "--workers", "2") as hanging,
    ):
        opens(server, 100)
        for victim, left in ((killed, 50), (hanging, 0)):
            workers = victim.workers()
            assert len(workers) == 2
            if victim is hanging:
                os.kill(workers[0], signal.SIGSTOP)
            victim.send(signal.SIGKILL)
            opens(server, left)
            eventually(lambda: all(map(is_gone, workers)), "its workers are gone")  # noqa: B023


def test_a_killed_workers_connections_are_lost_and_the_run_goes_on(tmp_path, server):
    """The run ends only once the coordinator has counted the death.

    So there is no race with the hold.
    """
    options = (*HELD, "--on-loss", "continue")
    with (
        coordinator(tmp_path, server.ws, *options) as coord,
        agent(coord.url, "--workers", "2", "--once") as loading,
    ):
        opens(server, 100)
        reported(coord, 100)
        os.kill(loading.workers()[0], signal.SIGKILL)
        opens(server, 50)
        eventually(
            lambda: coord.state()["ledger"]["lost"] == 50, "the coordinator knows of the loss"
        )
        coord.send(signal.SIGINT)
        assert coord.end() == 130
        adds_up(coord, planned=100, opened=100, lost=50, closed={"drained": 50}, open_end=0)
        assert "is gone (it was killed by SIGKILL): 50 open connections are lost" in log_of(coord)
        assert loading.end() == 0


def test_a_signal_drains_in_good_order(tmp_path, server):
    """SIGHUP comes when the terminal of an agent is closed."""
    with (
        coordinator(tmp_path, server.ws, *HELD, "--agents", "2") as coord,
        agent(coord.url) as ended,
        agent(coord.url) as left,
    ):
        opens(server, 100)
        ended.send(signal.SIGTERM)
        left.send(signal.SIGHUP)
        assert (ended.end(), left.end()) == (0, 0)
        assert coord.end() == 0
        adds_up(coord, opened=100, lost=0, closed={"drained": 100}, open_end=0)


def test_an_orphan_drains_and_waits_for_a_new_coordinator(tmp_path, server):
    with (
        coordinator(tmp_path, server.ws, *HELD) as coord,
        agent(coord.url, "--orphan-after", "2") as orphan,
    ):
        opens(server, 100)
        coord.send(signal.SIGKILL)
        opens(server, 0)
        orphan.says(r"no word from the coordinator for 2 s")
        orphan.says(r"waiting for a coordinator at")
        orphan.send(signal.SIGTERM)
        assert orphan.end() == 0
        assert "Traceback" not in orphan.err


# --- Joining and leaving
# ----------------------------------------------------------------------------------------------


def close_silently(guest):
    """Closes a connection without an answer.

    With unread bytes a close would be a reset.
    """
    with guest:
        guest.shutdown(socket.SHUT_WR)
        while guest.recv(1 << 16):
            pass


def test_an_agent_waits_for_its_coordinator_and_says_so_once(tmp_path, server):
    """A socket that is no coordinator accepts three requests.

    Then a coordinator has the same port.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(PATIENCE)
        port = listener.getsockname()[1]
        with agent(f"http://127.0.0.1:{port}", "--once") as waiting:
            for _ in range(3):
                close_silently(listener.accept()[0])
            listener.close()
            with coordinator(tmp_path, server.ws, *BRIEF, listen=f"127.0.0.1:{port}") as coord:
                waiting.says(f"joined http://127.0.0.1:{port} as ")
                assert coord.end() == 0
            assert waiting.end() == 0, "--once exits after the run"
            lines = [line for line in waiting.err.splitlines() if "waiting" in line]
            assert lines[0].startswith(
                f"loadgen-agent: waiting: the coordinator at http://127.0.0.1:{port} closes"
            )
            # Between the two, nothing may listen there.
            assert lines[1:] in (
                [],
                [f"loadgen-agent: waiting for a coordinator at http://127.0.0.1:{port}"],
            )


def test_one_agent_serves_one_run_after_another(tmp_path, server):
    """Its counters never decrease."""
    listen = f"127.0.0.1:{free_port()}"
    with agent(f"http://{listen}") as serving:
        for number in (1, 2):
            with coordinator(tmp_path / str(number), server.ws, *BRIEF, listen=listen) as coord:
                assert coord.end() == 0
                adds_up(coord, opened=100, lost=0, closed={"drained": 100}, open_end=0)
            assert serving.metric("loadgen_connections_opened_total") == 100 * number
            eventually(
                lambda: get_json(f"{serving.page}/healthz") == {"status": "ok", "running": False},
                "it waits again",
            )


def test_two_agents_of_one_name_are_two_and_each_reports_its_health(tmp_path, server):
    with (
        coordinator(tmp_path, server.ws, *HELD, "--agents", "2") as coord,
        agent(coord.url, "--name", "twin", "--once") as one,
        agent(coord.url, "--name", "twin", "--once") as other,
    ):
        opens(server, 100)
        reported(coord, 100)
        for twin in (one, other):
            assert get_json(f"{twin.page}/healthz") == {"status": "ok", "running": True}
            assert twin.metric('loadgen_connections{state="open"}') == 50
        coord.send(signal.SIGINT)
        assert coord.end() == 130
        assert (one.end(), other.end()) == (0, 0)
        agents = {found["name"]: found["opened"] for found in coord.summary()["agents"]}
        assert agents == {"twin": 50, "twin-2": 50}
        adds_up(coord, opened=100, lost=0, closed={"drained": 100})


def test_an_agent_refuses_a_target_that_it_was_not_allowed(tmp_path):
    """192.0.2.0/24 is for documentation, and nothing is sent there.

    The agent refuses before it opens anything.
    """
    fix = "refuses target 192.0.2.1: start the agent with --allow-target 192.0.2.1"
    options = ("--agents", "1", "--max", "10", "--wait", "5", "ws://192.0.2.1:9/")
    with coordinator(tmp_path, *options) as coord, agent(coord.url, "--name", "careful") as careful:
        careful.says("refuses target")
        assert coord.end() == 3
        last = coord.err.splitlines()[-1]
        assert last.startswith("loadgen-coord: 0 of 1 agents were ready")
        assert fix in last
        lines = [line for line in careful.err.splitlines() if "refuses" in line]
        assert lines == [f"loadgen-agent: careful {fix}"]
        assert "Traceback" not in careful.err + coord.err


# --- The metrics port
# -------------------------------------------------------------------------------------------------


def test_the_default_metrics_port_gives_way_and_a_chosen_one_does_not():
    """The agent logs a free port when another process has the default one."""
    nobody = f"http://127.0.0.1:{refusing_port()}"
    with closing(socket.socket()) as sock:
        with suppress(OSError):
            sock.bind(("127.0.0.1", 9646))
            sock.listen()
        with closing(Command(command("loadgen-agent", "--coordinator", nobody))) as second:
            page = second.says(r"metrics at (http://\S+)/metrics")[1]
            assert urlsplit(page).port != 9646
            assert get_json(f"{page}/healthz") == {"status": "ok", "running": False}
            assert "loadgen_build_info" in get(f"{page}/metrics")

    with closing(socket.create_server(("127.0.0.1", 0))) as busy:
        endpoint = f"127.0.0.1:{busy.getsockname()[1]}"
        with closing(
            Command(command("loadgen-agent", "--coordinator", nobody, "--metrics", endpoint))
        ) as refused:
            assert refused.end() == 2
            (line,) = refused.err.splitlines()
            assert line.startswith(f"loadgen-agent: --metrics {endpoint} can't be had")
