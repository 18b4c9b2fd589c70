"""Whole runs by their commands, with the target's own ledger as the judge.

A coordinator with local agents loads it.
"""

import json
import signal

import pytest

from coordinator.text import count
from tests.processes import Coordinator, agent, coordinator, eventually, run, target

FLEET = ("--local", "2", "--max", "501", "--rate", "1000", "--hold", "1", "--think", "1")
SMALL = ("--local", "1", "--max", "200", "--rate", "1000", "--think", "1")
FILES = {"plan.toml", "run.json", "seconds.ndjson", "summary.json", "histograms.hlog", "agents"}


def adds_up(ledger: dict, open_now: str = "open") -> None:
    """The two laws that tie launched connections to their ends.

    Both hold for a row and for the summary.
    """
    failed, closed = sum(ledger["failed"].values()), sum(ledger["closed"].values())
    connecting = ledger.get("connecting", 0)
    assert ledger["launched"] == connecting + failed + ledger["opened"]
    assert ledger["opened"] == ledger[open_now] + closed + ledger["lost"]


def check_rows(coord: Coordinator) -> None:
    """Each line obeys the ledger's laws, for the fleet and for each agent.

    The last line is the summary's.
    """
    summary, rows = coord.summary(), coord.rows()
    for row in rows:
        for figures in (row["fleet"], *row["agents"].values()):
            ledger = figures["ledger"]
            assert ledger["planned"] == ledger["not_started"] + ledger["launched"]
            assert min(ledger[name] for name in ("not_started", "connecting", "open", "lost")) >= 0
            adds_up(ledger)
    latest = {row["second"]: row for row in rows}
    last = latest[max(latest)]["fleet"]
    for name in ("planned", "launched", "opened", "accepted", "failed", "closed", "lost", "late"):
        assert last["ledger"][name] == summary[name]
    for name in ("pings", "pongs", "messages_received", "bytes_sent", "bytes_received"):
        assert last["counts"][name] == summary[name]
    assert sorted(latest) == list(range(len(latest)))
    assert sum(row["fleet"]["rates"]["launched"] for row in latest.values()) == summary["launched"]


def check_target(summary: dict, stats: dict) -> None:
    """The fleet counted exactly the target's counts, and nothing is left."""
    assert stats["open"] == stats["refused"] == 0
    assert summary["opened"] == stats["opened"]
    assert sum(summary["closed"].values()) == stats["closed"]
    assert summary["pings"] == stats["pings"]
    assert summary["messages_received"] == stats["messages"]


def settled(server) -> dict:
    """The target's ledger once it has seen the last connection end."""
    return eventually(
        lambda: (stats := server.stats())["open"] == 0 and stats, lambda: f"empty: {server.stats()}"
    )


# --- The ledger is the target's
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ping", "mode", "options"),
    [
        ("protocol", "echo", ["--arrival", "poisson"]),
        ("app", "appwrite", ["--json", "--expect", "open_peak>=500", "--expect", "failed<0.1%"]),
        ("none", "echo", []),
    ],
)
def test_a_fleet_counts_what_the_target_counts(tmp_path, ping, mode, options):
    with (
        target("--mode", mode) as server,
        coordinator(tmp_path, *FLEET, "--ping", ping, *options, server.ws) as coord,
    ):
        assert coord.end() == 0, coord.err
        summary, out = coord.summary(), coord.out
        check_target(summary, settled(server))

    adds_up(summary, "open_end")
    assert summary["verdict"] == "pass"
    assert (summary["planned"], summary["launched"], summary["opened"]) == (501,) * 3
    assert (summary["failed"], summary["lost"], summary["open_end"]) == ({}, 0, 0)
    assert summary["closed"] == {"drained": 501}
    assert summary["pongs"] == summary["pings"]
    assert (summary["pings"] > 0) == (ping != "none")
    assert summary["histograms"]["handshake"]["count"] == 501
    assert sorted(one["launched"] for one in summary["agents"]) == [250, 251]

    assert {path.name for path in coord.folder.iterdir()} >= FILES
    assert {path.name for path in (coord.folder / "agents").iterdir()} == {
        f"local-{n}.log" for n in (1, 2)
    }
    assert len(json.loads((coord.folder / "run.json").read_text())["agents"]) == 2
    assert f'ping = "{ping}"' in (coord.folder / "plan.toml").read_text()
    check_rows(coord)
    if "--json" in options:
        assert json.loads(out.splitlines()[-1]) == summary
        assert [row["held"] for row in summary["expectations"]] == [True, True]


def test_a_runs_own_plan_reproduces_it_and_reports_tell_of_both(tmp_path):
    """The second one also breaks an expectation: exit code 1, but the same run."""
    options = ("--arrival", "poisson", "--seed", "7", "--hold", "1.5")
    with target() as server:
        with coordinator(tmp_path / "a", *SMALL, *options, server.ws) as first:
            assert first.end() == 0
        plan = first.folder / "plan.toml"
        again = ("--plan", str(plan), "--local", "1", "--expect", "opened>200")
        with coordinator(tmp_path / "b", *again) as second:
            assert second.end() == 1
        stats = settled(server)

    expected = plan.read_text().replace("expect = []", 'expect = [\n    "opened>200",\n]')
    assert (second.folder / "plan.toml").read_text() == expected
    one, other = first.summary(), second.summary()
    for name in ("planned", "launched", "opened", "failed", "closed", "lost", "rate_asked"):
        assert one[name] == other[name]
    assert stats["opened"] == 400
    assert (one["verdict"], other["verdict"]) == ("pass", "fail")
    assert other["expectations"] == [{"expr": "opened>200", "value": 200.0, "held": False}]

    text = run("loadgen-report", str(first.folder))
    assert (text.returncode, text.stderr) == (0, "")
    for name, figure in (
        ("planned", one["planned"]),
        ("launched", one["launched"]),
        ("opened", one["opened"]),
    ):
        assert f"{name:<8}  {count(figure)}  =  " in text.stdout
    assert "drained" in text.stdout
    both = run("loadgen-report", "--json", str(first.folder), str(second.folder))
    assert [json.loads(line) for line in both.stdout.splitlines()] == [one, other]


# --- Ends -----------------------------------------------------------------------------------------
# -------------------


def check_stopped(coord: Coordinator) -> dict:
    """Stopped by hand: that exit code, and a run directory as complete as any."""
    assert coord.end() == 130, coord.err
    assert "Traceback" not in coord.err
    assert {path.name for path in coord.folder.iterdir()} >= FILES
    summary = coord.summary()
    assert summary["verdict"] == "stopped"
    adds_up(summary, "open_end")
    return summary


def test_the_first_ctrl_c_drains(tmp_path):
    with target() as server, coordinator(tmp_path, *SMALL, "--hold", "60", server.ws) as coord:
        eventually(lambda: server.stats()["open"] == 200, "all are open")
        coord.send(signal.SIGINT)
        summary = check_stopped(coord)
        check_rows(coord)
        check_target(summary, settled(server))
    assert (summary["opened"], summary["closed"], summary["lost"], summary["open_end"]) == (
        200,
        {"drained": 200},
        0,
        0,
    )


def test_the_second_ctrl_c_stops_at_once(tmp_path):
    """The second signal comes while the drain waits for pongs.

    The target never answers a ping, so the drain waits. All that this target ever writes is its
    101s and the answers to a CLOSE, so bytes tell who was closed and who cut.
    """
    options = (*SMALL, "--hold", "600")
    with target("--vice", "no-pong") as server, coordinator(tmp_path, *options, server.ws) as coord:
        eventually(lambda: server.stats()["pings"] >= 200, "all owe a pong")
        coord.send(signal.SIGINT)
        eventually(lambda: coord.state()["state"] == "draining", "it drains")
        coord.send(signal.SIGINT)
        summary = check_stopped(coord)
        assert settled(server)["opened"] == summary["opened"] == 200
        opened = next(
            row["fleet"]["counts"] for row in coord.rows() if row["fleet"]["ledger"]["open"] == 200
        )
    assert sum(summary["closed"].values()) + summary["lost"] == 200
    assert summary["bytes_received"] == opened["bytes_received"], "nobody was closed in good order"


def test_sessions_that_are_done_end_the_run_before_its_hold(tmp_path):
    options = ("--hold", "600", "--think", "0.2", "--loops", "2")
    with target() as server, coordinator(tmp_path, *SMALL, *options, server.ws) as coord:
        assert coord.end() == 0
        summary = coord.summary()
        check_target(summary, settled(server))
    assert (summary["verdict"], summary["closed"], summary["pings"]) == ("pass", {"done": 200}, 400)


def test_shares_follow_the_agents_capacities(tmp_path):
    options = ("--agents", "2", "--max", "400", "--rate", "1000", "--hold", "1.5")
    with (
        target() as server,
        coordinator(tmp_path, *options, server.ws) as coord,
        agent(coord.url, "--max-connections", "300", "--name", "big", "--once") as big,
        agent(coord.url, "--max-connections", "100", "--name", "small", "--once") as small,
    ):
        assert coord.end() == 0, coord.err
        assert (big.end(), small.end()) == (0, 0)
        assert settled(server)["opened"] == 400
        agents = {
            one["name"]: (one["share"], one["launched"], one["opened"])
            for one in coord.summary()["agents"]
        }
    assert agents == {"big": (300,) * 3, "small": (100,) * 3}
