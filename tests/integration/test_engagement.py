"""An agent between coordinators: it serves one after the other, and leaves each of them in good
order."""

import signal

import pytest

from tests.processes import Coordinator, agent, coordinator, eventually, free_port, get_json, opens

LOAD = ("--max", "100", "--rate", "1000", "--think", "1")
HELD = (*LOAD, "--agents", "1", "--hold", "600")
"""A load that lasts until something ends it."""
BRIEF = (*LOAD, "--hold", "1.5")


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def runs_well(coord: Coordinator) -> None:
    """The coordinator gets what it asked for, to the last connection."""
    assert coord.end() == 0, coord.err
    summary = coord.summary()
    assert (summary["opened"], summary["closed"], summary["failed"]) == (100, {"drained": 100}, {})


def test_a_coordinator_that_hangs_is_as_good_as_gone(tmp_path, server):
    """Its agent ends the load by itself, and serves whoever comes next."""
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


def test_a_coordinator_that_came_anew_wants_nothing_of_the_run_before(tmp_path, server):
    """It does not know the agent, which ends the old load at once and joins then. The counters
    never go back."""
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


def test_one_that_leaves_before_the_start_says_so(tmp_path, server):
    """The fleet need not wait for its silence, and gives it no share."""
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


def test_one_that_waits_for_a_coordinator_leaves_at_once_when_told_to():
    with agent(f"http://127.0.0.1:{free_port()}") as waiting:
        waiting.says("waiting for a coordinator")
        waiting.send(signal.SIGINT)
        assert waiting.end() == 0
