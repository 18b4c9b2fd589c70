"""Each command of the documents that reports runs ends well, as it is written."""

import os
import shutil
import subprocess

from tests.examples.documents import examples
from tests.processes import BIN, PATIENCE, coordinator, environment, free_port

NAMES = ("NAME", "BEFORE", "AFTER")
"""The runs that documents name; here they are one run."""


def test_every_report_is_made(tmp_path):
    words = ("--local", "1", "--with-target", "--max", "20", "--rate", "20", "--hold", "1")
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
