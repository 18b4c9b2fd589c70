"""Each command of the documents that reports runs ends well, as it is written."""

import os
import shutil
import subprocess

from tests.examples.documents import examples
from tests.processes import BIN, PATIENCE, coordinator, environment, free_port

NAMES = ("NAME", "BEFORE", "AFTER")
"""The runs that documents name; here they are one run."""
PLAN = """
rate = 20
max = 20
hold = 1

[[sessions]]
kind = "python"
name = "chatter"
file = "chatter.py"

[[sessions]]
kind = "loop"
name = "watcher"
"""
CHATTER = """
async def session(user):
    with user.transaction("login"):
        ws = await user.connect()
    await ws.close()
"""
"""A session with the name, and a transaction with the name, that documents compare."""


def test_every_report_is_made(tmp_path):
    (tmp_path / "chatter.py").write_text(CHATTER)
    (tmp_path / "plan.toml").write_text(PLAN)
    words = ("--local", "1", "--with-target", "--plan", str(tmp_path / "plan.toml"))
    with coordinator(tmp_path / "made", *words, f"ws://127.0.0.1:{free_port()}/") as coord:
        assert coord.end() == 0, coord.err
        for name in NAMES:
            shutil.copytree(coord.folder, tmp_path / "runs" / name)
    variables = environment() | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "step.md"),
    }
    commands = [one.text for one in examples() if one.kind == "report"]
    made = {
        command: subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        for command in commands
    }

    assert len(made) >= 9
    assert {command: done.stderr for command, done in made.items() if done.returncode} == {}
    assert {command: done.stderr for command, done in made.items() if done.stderr} == {}
