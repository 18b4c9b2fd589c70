"""Whole runs of plans with phases, compared with the ledger of a target."""

import json

import pytest

from tests.processes import agent, coordinator, eventually, process, run

WAITING = """\
target = "{target}"
arrival = "{arrival}"
hold = "sessions"

[[phases]]
name = "first"
rate = 200
duration = 1
wait = true

[[phases]]
name = "pause"
duration = 0.5

[[phases]]
name = "second"
rate = 100
rate_to = 300
duration = 1

[[sessions]]
kind = "loop"
name = "brief"
think = "200ms"
loops = 3
"""


@pytest.mark.parametrize("arrival", ["uniform", "poisson"])
def test_a_phase_waits_for_all_sessions_and_the_run_for_the_last_one(tmp_path, server, arrival):
    plan = tmp_path / "plan.toml"
    plan.write_text(WAITING.format(target=server.ws, arrival=arrival))
    before = server.stats()
    with coordinator(tmp_path / "runs", "--plan", str(plan), "--local", "2") as coord:
        assert coord.end() == 0, coord.err
        summary, rows, out = coord.summary(), coord.rows(), coord.out
        again = run(
            "loadgen-coord", "--plan", str(coord.folder / "plan.toml"), "--dry-run", "--local", "2"
        )
    after = eventually(lambda: (stats := server.stats())["open"] == 0 and stats, "empty")

    assert (summary["verdict"], summary["planned"], summary["opened"]) == ("pass", 400, 400)
    assert summary["closed"] == {"done": 400}
    assert summary["pings"] == after["pings"] - before["pings"] == 1200
    first, pause, second = summary["phases"]
    for count in ("planned", "launched"):
        assert [phase[count] for phase in (first, pause, second)] == [200, 0, 200]
    assert [phase["name"] for phase in (first, pause, second)] == ["first", "pause", "second"]
    gate = pause["begin"]
    assert first["end"] == gate > 1.6
    assert second["begin"] == pytest.approx(gate + 0.5)
    launched = {
        row["second"]: row["fleet"]["rates"]["launched"] for row in rows if not row["corrects"]
    }
    assert sum(count for second, count in launched.items() if second + 1 < gate) == 200
    for line in ("running: first", "running: waiting for sessions to end", "running: second"):
        assert line in out
    assert (again.returncode, again.stderr) == (0, "")
    assert "second  gate 1 + 0 s  gate 1 + 2 s       200  100/s to 300/s" in again.stdout


FLEET = """\
target = "{target}"
rate = 500
max = 450
hold = 1

[[clients]]
name = "big"
weight = 2
workers = 2
max_connections = 5000
sources = ["127.77.1.1-2"]

[[clients]]
name = "small"
weight = 0.5

[transport]
ports = "20000-29999"
"""


def test_agents_are_asked_for_what_the_plan_says_of_them(tmp_path, server):
    """A command line decides over the plan, as here for the number of workers."""
    plan = tmp_path / "plan.toml"
    plan.write_text(FLEET.format(target=server.ws))
    with (
        coordinator(tmp_path / "runs", "--plan", str(plan), "--agents", "3") as coord,
        agent(coord.url, "--name", "big", "--once") as big,
        agent(coord.url, "--name", "small", "--once", "--max-connections", "9000") as small,
        agent(coord.url, "--name", "small", "--once") as second,
    ):
        assert coord.end() == 0, coord.err
        assert (big.end(), small.end(), second.end()) == (0, 0, 0)
        summary = coord.summary()
        facts = {
            one["name"]: one
            for one in json.loads((coord.folder / "run.json").read_text())["agents"]
        }

    shares = {
        one["name"]: (one["share"], one["opened"], one["workers"]) for one in summary["agents"]
    }
    assert shares == {"big": (300, 300, 1), "small": (75, 75, 1), "small-2": (75, 75, 1)}
    assert facts["big"]["max_connections"] == 5000
    assert {facts[name]["max_connections"] for name in ("small", "small-2")} == {
        9000,
        64_000,
    }  # in the order in which the agents joined
    ports = {
        name: limit
        for name in facts
        for limit in facts[name]["limits"]
        if limit["resource"] == "source_ports"
    }
    assert ports["big"]["connections"] <= 10_000


def test_an_agent_that_can_not_do_what_the_plan_says_refuses(tmp_path, server):
    plan = tmp_path / "plan.toml"
    plan.write_text(FLEET.format(target=server.ws).replace("127.77.1.1-2", "192.0.2.7"))
    with coordinator(
        tmp_path / "runs", "--plan", str(plan), "--agents", "1", "--wait", "5"
    ) as coord:
        options = (
            "--coordinator",
            coord.url,
            "--metrics",
            "127.0.0.1:0",
            "--name",
            "big",
            "--once",
        )
        with process("loadgen-agent", *options):
            assert coord.end() == 3
        assert "big refuses: source 192.0.2.7 is no address of this machine" in coord.err
