"""The sessions of docs/sessions.md do what they say, against the embedded target."""

import shutil
from pathlib import Path

import pytest

from tests.processes import coordinator, target

DOCS = Path(__file__).parents[2] / "docs"
USERS = 50


@pytest.mark.parametrize(
    ("name", "mode", "counters", "timings"),
    [
        ("chat", "echo", {"delivered": 5 * USERS}, {"delivery": 5 * USERS}),
        (
            "login",
            "appwrite",
            {"guests": USERS, "slow_pings": 0},
            {"greeting": USERS, "tr_login": USERS},
        ),
        ("publish", "appwrite", {}, {"tr_publish": 3 * USERS}),
    ],
)
def test_an_example_runs(tmp_path, name, mode, counters, timings):
    load = ("--local", "1", "--max", str(USERS), "--rate", "100", "--hold", "60")
    with (
        target("--workers", "1", "--mode", mode) as server,
        coordinator(
            tmp_path, *load, "--session", str(DOCS / "sessions" / f"{name}.py"), server.ws
        ) as coord,
    ):
        assert coord.end(seconds=60) == 0, coord.err
    summary = coord.summary()

    assert summary["closed"] == {"done": USERS}
    assert summary["counters"] == counters
    assert {name: figures["count"] for name, figures in summary["timings"].items()} == timings
    assert list((coord.folder / "agents").glob("local-1.log")) != []
    assert "printed" not in (coord.folder / "agents" / "local-1.log").read_text()


def test_the_plan_file_of_the_document_runs_several_sessions(tmp_path):
    shutil.copytree(DOCS / "sessions", tmp_path / "sessions")
    plan = tmp_path / "plan.toml"
    plan.write_text(
        (DOCS / "sessions.md").read_text().partition("```toml\n")[2].partition("```")[0]
    )
    load = ("--local", "1", "--plan", str(plan), "--max", "60", "--rate", "100", "--hold", "60")
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path / "runs", *load, server.ws) as coord,
    ):
        assert coord.end(seconds=60) == 0, coord.err
    counters, closed = coord.summary()["counters"], coord.summary()["closed"]
    readers = counters["echoes"] / 3

    assert 0 < readers < 30, "a quarter of all users are readers"
    assert counters["delivered"] == 5 * (60 - readers)
    assert closed == {"done": 60}
