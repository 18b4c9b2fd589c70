"""Agents and workers are killed and stopped during a run.

Their connections are lost in the ledger, and launched again.
"""

import os
import signal
from contextlib import ExitStack

import pytest

from tests.processes import Agent, Coordinator, agent, coordinator, eventually, opens

LOAD = ("--rate", "500", "--think", "1", "--hold", "600")


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def open_in(coord: Coordinator, count: int, lost: int = 0) -> dict:
    """Waits until the run's ledger has `count` open and `lost`; returns the run."""

    def look():
        state = coord.state()
        ledger = state["ledger"]
        return state if (ledger["open"], ledger["lost"]) == (count, lost) else None

    return eventually(
        look, lambda: f"{count} open, {lost} lost: {coord.state()['ledger']} {coord.err}"
    )


def fleet(stack: ExitStack, coord: Coordinator, count: int, *options: str) -> list[Agent]:
    """Starts agents named a1, a2…"""
    return [
        stack.enter_context(agent(coord.url, "--name", f"a{number}", "--once", *options))
        for number in range(1, count + 1)
    ]


def check_sum(state: dict) -> None:
    """The sum of the agents' ledgers is the fleet's."""
    ledger = state["ledger"]
    for name in ("planned", "not_started", "launched", "opened", "open", "lost"):
        assert sum(one["ledger"][name] for one in state["agents"]) == ledger[name], name


def drain(coord: Coordinator, planned: int, lost: int) -> dict:
    """Drains by hand, and checks the ledger.

    It is complete, and all lost connections were launched again.
    """
    coord.send(signal.SIGINT)
    assert coord.end() == 130, coord.err
    summary = coord.summary()
    assert summary["lost"] == lost
    assert summary["planned"] == summary["launched"] == planned + summary["relaunched"]
    assert summary["opened"] == summary["closed"]["drained"] + lost
    return summary


def test_the_others_open_the_connections_of_a_killed_agent_again(tmp_path, server):
    with ExitStack() as stack:
        coord = stack.enter_context(
            coordinator(tmp_path, *LOAD, "--max", "400", "--agents", "4", server.ws)
        )
        agents = fleet(stack, coord, 4)
        open_in(coord, 400)
        before = server.stats()["opened"]
        agents[1].send(signal.SIGKILL)
        coord.says(r"agent a2 is lost \(its connection broke")
        state = open_in(coord, 400, lost=100)
        assert state["totals"]["relaunched"] == 100
        assert server.stats()["opened"] - before == 100
        check_sum(state)
        drain(coord, 400, 100)


def test_another_worker_opens_the_connections_of_a_killed_worker_again(tmp_path, server):
    with ExitStack() as stack:
        coord = stack.enter_context(
            coordinator(tmp_path, *LOAD, "--max", "400", "--agents", "1", server.ws)
        )
        (one,) = fleet(stack, coord, 1, "--workers", "2")
        open_in(coord, 400)
        os.kill(one.workers()[0], signal.SIGKILL)
        one.says("takes over what worker 0 did not finish")
        state = open_in(coord, 400, lost=200)
        assert state["totals"]["relaunched"] == 200
        check_sum(state)
        drain(coord, 400, 200)


def test_a_share_lost_during_the_arrivals_is_launched_to_its_end(tmp_path, server):
    """Each user of the lost share is launched.

    Those that had been launched are launched once more.
    """
    with ExitStack() as stack:
        options = (
            "--rate",
            "100",
            "--think",
            "1",
            "--hold",
            "600",
            "--max",
            "800",
            "--agents",
            "2",
        )
        coord = stack.enter_context(coordinator(tmp_path, *options, server.ws))
        agents = fleet(stack, coord, 2, "--workers", "2")
        eventually(lambda: coord.state()["ledger"]["open"] > 200, "200 are open")
        agents[0].send(signal.SIGKILL)
        coord.says("agent a2 gets what a1 left unfinished")
        eventually(lambda: coord.state()["ledger"]["not_started"] == 0, "all are launched")
        lost = coord.state()["ledger"]["lost"]
        assert lost > 0
        state = open_in(coord, 800, lost=lost)
        connecting = state["ledger"]["failed"].get("lost", 0)
        assert state["totals"]["relaunched"] == lost + connecting
        check_sum(state)
        drain(coord, 800, lost)


def test_a_restarted_agent_may_be_the_only_one_with_room(tmp_path, server):
    """No agent has room for the lost share, until the killed agent is started again."""
    with ExitStack() as stack:
        coord = stack.enter_context(
            coordinator(tmp_path, *LOAD, "--max", "400", "--agents", "2", server.ws)
        )
        agents = fleet(stack, coord, 2, "--max-connections", "200")
        open_in(coord, 400)
        agents[0].send(signal.SIGKILL)
        coord.says("agent a1 is lost")
        open_in(coord, 200, lost=200)
        stack.enter_context(agent(coord.url, "--name", "a1", "--once"))
        coord.says("agent a1-2 gets what a1 left unfinished: 200 to launch again")
        state = open_in(coord, 400, lost=200)
        check_sum(state)
        drain(coord, 400, 200)


def test_a_hung_agent_is_silent_then_lost_and_stops_when_it_continues(tmp_path, server):
    with ExitStack() as stack:
        coord = stack.enter_context(
            coordinator(tmp_path, *LOAD, "--max", "400", "--agents", "2", server.ws)
        )
        agents = fleet(stack, coord, 2)
        open_in(coord, 400)
        agents[0].send(signal.SIGSTOP)
        eventually(
            lambda: "silent" in [one["status"] for one in coord.state()["agents"]], "it is silent"
        )
        assert coord.state()["ledger"]["lost"] == 0
        coord.says("agent a1 is lost .silent for")
        agents[0].send(signal.SIGCONT)
        assert agents[0].end() == 0
        state = open_in(coord, 400, lost=200)
        opens(server, 400)
        check_sum(state)
        drain(coord, 400, 200)


@pytest.mark.parametrize("on_loss", ["continue", "abort"])
def test_on_loss_continue_and_abort_launch_nothing_again(tmp_path, server, on_loss):
    options = (*LOAD, "--max", "400", "--agents", "2", "--on-loss", on_loss)
    with ExitStack() as stack:
        coord = stack.enter_context(coordinator(tmp_path, *options, server.ws))
        agents = fleet(stack, coord, 2)
        open_in(coord, 400)
        agents[0].send(signal.SIGKILL)
        coord.says("agent a1 is lost")
        if on_loss == "continue":
            open_in(coord, 200, lost=200)
            coord.send(signal.SIGINT)
        assert coord.end() == (130 if on_loss == "continue" else 3), coord.err
        summary = coord.summary()
    assert (summary["lost"], summary["closed"], summary["relaunched"]) == (200, {"drained": 200}, 0)
    assert summary["verdict"] == ("stopped" if on_loss == "continue" else "lost")
