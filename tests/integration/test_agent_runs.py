"""An agent serves one run after the other, and ends each in good order.

Each has a coordinator of its own.
"""

import signal

import pytest

from tests.processes import (
    Coordinator,
    agent,
    coordinator,
    eventually,
    free_port,
    get_json,
    opens,
    refusing_port,
)

LOAD = ("--max", "100", "--rate", "1000", "--think", "1")
HELD = (*LOAD, "--agents", "1", "--hold", "600")
"""A load that lasts until something ends it."""
BRIEF = (*LOAD, "--hold", "1.5")


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def runs_well(coord: Coordinator) -> None:
    """The coordinator's run ends with every connection opened and drained."""
    assert coord.end() == 0, coord.err
    summary = coord.summary()
    assert (summary["opened"], summary["closed"], summary["failed"]) == (100, {"drained": 100}, {})


def test_an_agent_says_why_it_has_that_many_workers(tmp_path, server):
    with (
        coordinator(tmp_path, *BRIEF, "--agents", "1", server.ws) as coord,
        agent(coord.url, "--workers", "3") as joined,
    ):
        runs_well(coord)

        assert "opens 100 connections with 3 workers: as asked" in joined.err


def test_a_coordinator_that_hangs_counts_as_gone(tmp_path, server):
    """Its agent ends the load by itself, and serves the next coordinator."""
    listen = f"127.0.0.1:{free_port()}"
    with agent(f"http://{listen}", "--orphan-after", "1") as orphan:
        with coordinator(tmp_path / "first", *HELD, server.ws, listen=listen) as coord:
            opens(server, 100)
            coord.send(signal.SIGSTOP)
            opens(server, 0)
            assert "no word from the coordinator for " in orphan.err
            coord.send(signal.SIGKILL)
        with coordinator(
            tmp_path / "second", *BRIEF, "--agents", "1", server.ws, listen=listen
        ) as coord:
            runs_well(coord)


def test_a_new_coordinator_does_not_continue_the_run_before(tmp_path, server):
    """It does not know the agent, which ends the old load at once and then joins.

    The counters never decrease.
    """
    listen = f"127.0.0.1:{free_port()}"
    with agent(f"http://{listen}", "--orphan-after", "600") as working:
        with coordinator(tmp_path / "first", *HELD, server.ws, listen=listen) as coord:
            opens(server, 100)
            coord.send(signal.SIGKILL)
        with coordinator(
            tmp_path / "second", *BRIEF, "--agents", "1", server.ws, listen=listen
        ) as coord:
            runs_well(coord)
        assert working.err.count("does not know this agent any more") == 1
        eventually(lambda: not get_json(f"{working.page}/healthz")["running"], "the run is over")
        assert working.metric("loadgen_connections_opened_total") == 200
        assert working.metric('loadgen_connections_closed_total{reason="drained"}') == 200
        assert working.metric("loadgen_handshake_seconds_count") == 200


def test_an_agent_that_stops_before_the_start_reports_it(tmp_path, server):
    """The run does not wait for its silence, and gives it no share."""
    with coordinator(tmp_path, *BRIEF, "--agents", "2", server.ws) as coord:
        with agent(coord.url, "--name", "early") as leaving:
            eventually(
                lambda: [one["status"] for one in coord.state()["agents"]] == ["ready"],
                "it is ready",
            )
            leaving.send(signal.SIGTERM)
            assert leaving.end() == 0
            assert coord.state()["agents"] == []
        with agent(coord.url, "--once") as one, agent(coord.url, "--once") as other:
            runs_well(coord)
            assert (one.end(), other.end()) == (0, 0)


def test_an_agent_that_waits_for_a_coordinator_stops_at_once():
    with agent(f"http://127.0.0.1:{refusing_port()}") as waiting:
        waiting.says("waiting for a coordinator")
        waiting.send(signal.SIGINT)
        assert waiting.end() == 0
