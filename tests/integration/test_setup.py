"""Whole runs from one plan file: parameters, setup, teardown, expectations."""

import asyncio
import re
import signal
from pathlib import Path

from tests.integration.test_feeders import recording
from tests.processes import coordinator, opens, target

PREPARE = """
from pathlib import Path

def setup(params):
    print("opens", params["room"])
    with Path(params["log"]).open("a") as log:
        log.write("setup ")
    return {"token": "tok-5ecret", "room": params["room"], "places": [1, 2]}

async def session(user):
    ws = await user.connect()
    data, params = user.data, user.params
    await ws.send(f"python {data['token']} {data['places'][1]} {params['turns']} {user.agent}")
    await ws.receive(timeout=5)
    await ws.close()

async def teardown(data):
    with Path(PLACE).open("a") as log:
        log.write(f"teardown {data['room']}")
"""
PLAN = """
target = "{url}/?room=%%room%%"
rate = 100
max = {users}
hold = "sessions"
expect = ["failed==0", "teardown_failed==0"]

[params]
room = "hall"
turns = 3
log = "{log}"

[setup]
file = "prepare.py"
timeout = "1m"

[[sessions]]
kind = "python"
name = "python"
file = "prepare.py"

[[sessions]]
kind = "script"
name = "script"
steps = [
  {{ do = "connect" }},
  {{ do = "set", names = ["token"], source = "jsonpath", var = "data", value = "token" }},
  {{ do = "send", text = "script %%token%% %%turns%%", subst = true, ack = true }},
]
"""
USERS = 40


def write(folder: Path, url: str) -> tuple[Path, Path]:
    """Writes the plan file; returns its path, and that of the functions' log."""
    log, plan = folder / "log", folder / "plan.toml"
    (folder / "prepare.py").write_text(PREPARE.replace("PLACE", repr(str(log))))
    plan.write_text(PLAN.format(url=url, users=USERS, log=log))
    return plan, log


async def test_all_users_have_parameters_and_what_one_agent_has_set_up(tmp_path):
    async with recording() as server:
        plan, log = write(tmp_path, server.url)
        options = ("--param", "turns=7", "--param", "room=lobby", "--expect", f"opened=={USERS}")
        with coordinator(tmp_path / "runs", "--plan", str(plan), "--local", "2", *options) as coord:
            assert await asyncio.to_thread(coord.end) == 0, coord.err
            said = coord.err
            words = [message.split() for message in map(str, server.messages)]

        assert {query["room"] for query in server.queries} == {"lobby"}
    python = [found for kind, *found in words if kind == "python"]
    script = [found for kind, *found in words if kind == "script"]
    assert len(python) + len(script) == USERS
    assert {agent for *_, agent in python} == {"local-1", "local-2"}
    assert all(found[:3] == ["tok-5ecret", "2", "7"] for found in python)
    assert all(found == ["tok-5ecret", "7"] for found in script)
    assert log.read_text() == "setup teardown lobby"
    summary, folder = coord.summary(), coord.folder
    assert [(one["expr"], one["held"]) for one in summary["expectations"]] == [
        ("failed==0", True),
        ("teardown_failed==0", True),
        (f"opened=={USERS}", True),
    ]
    assert summary["teardown_failed"] == 0
    called = re.search(r"agent (local-[12]) calls setup \(prepare\.py\)", said)
    assert called
    assert "setup printed: opens lobby" in (folder / "agents" / f"{called[1]}.log").read_text()
    files = [path for path in folder.rglob("*") if path.is_file()]
    shown = {path.name for path in files if b"tok-5ecret" in path.read_bytes()}
    assert shown == {"plan.toml"}  # it has the text of prepare.py


def test_a_setup_that_fails_ends_the_run_before_any_load(tmp_path):
    with target("--workers", "1") as server:
        plan, log = write(tmp_path, f"ws://{server.host}:{server.port}")
        (tmp_path / "prepare.py").write_text(PREPARE.replace('{"token"', '{}["x"], {"token"'))
        with coordinator(tmp_path / "runs", "--plan", str(plan), "--local", "1") as coord:
            assert coord.end() == 2
            said = coord.err
        assert server.stats()["opened"] == 0

    (line,) = [line for line in said.splitlines() if "failed" in line]
    assert line == (
        "loadgen-coord: setup failed on agent local-1: prepare.py:8: KeyError: 'x'; nothing was"
        " loaded"
    )
    assert "KeyError: 'x'" in (coord.folder / "errors" / "setup.txt").read_text()
    assert log.read_text() == "setup "


def test_a_run_that_is_stopped_at_once_is_torn_down_and_says_what_failed(tmp_path):
    prepare = tmp_path / "prepare.py"
    prepare.write_text(
        "def setup(params): return 1\n\ndef teardown(data): raise ValueError(data)\n"
    )
    options = ("--local", "1", "--max", "20", "--rate", "100", "--setup", str(prepare))
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path / "runs", *options, server.ws) as coord,
    ):
        opens(server, 20)
        coord.send(signal.SIGINT)
        coord.send(signal.SIGINT)
        assert coord.end() == 130
        opens(server, 0)
        assert f"teardown failed: {prepare}:3: ValueError: 1" in coord.err

    assert (coord.summary()["verdict"], coord.summary()["teardown_failed"]) == ("stopped", 1)
    assert "ValueError: 1" in (coord.folder / "errors" / "teardown.txt").read_text()
