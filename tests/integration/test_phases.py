"""Whole runs of plans with phases, by their commands, against a target whose own ledger is the judge."""

import pytest

from tests.processes import coordinator, eventually, run, target

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


@pytest.fixture(scope="module")
def server():
    """One target for all these tests."""
    with target("--workers", "1") as running:
        yield running


@pytest.mark.parametrize("arrival", ["uniform", "poisson"])
def test_a_phase_waits_for_all_sessions_and_the_run_for_the_last_one(tmp_path, server, arrival):
    plan = tmp_path / "plan.toml"
    plan.write_text(WAITING.format(target=server.ws, arrival=arrival))
    before = server.stats()
    with coordinator(tmp_path / "runs", "--plan", str(plan), "--local", "2") as coord:
        assert coord.end() == 0, coord.err
        summary, rows, out = coord.summary(), coord.rows(), coord.out
        again = run("loadgen-coord", "--plan", str(coord.folder / "plan.toml"), "--dry-run", "--local", "2")
    after = eventually(lambda: (stats := server.stats())["open"] == 0 and stats, "empty")

    assert (summary["verdict"], summary["planned"], summary["opened"]) == ("pass", 400, 400)
    assert summary["closed"] == {"done": 400}
    assert summary["pings"] == after["pings"] - before["pings"] == 1200
    first, pause, second = summary["phases"]
    assert [phase["planned"] for phase in (first, pause, second)] == [200, 0, 200]
    assert [phase["name"] for phase in (first, pause, second)] == ["first", "pause", "second"]
    gate = pause["begin"]
    assert first["end"] == gate > 1.6
    assert second["begin"] == pytest.approx(gate + 0.5)
    launched = {row["second"]: row["fleet"]["rates"]["launched"] for row in rows if not row["corrects"]}
    assert sum(count for second, count in launched.items() if second + 1 < gate) == 200
    for line in ("running: first", "running: waiting for sessions to end", "running: second"):
        assert line in out
    assert (again.returncode, again.stderr) == (0, "")
    assert "second  gate 1 + 0 s  gate 1 + 2 s       200  100/s to 300/s" in again.stdout
