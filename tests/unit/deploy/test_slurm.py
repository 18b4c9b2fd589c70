"""The batch scripts of deploy/slurm, checked without a cluster."""

import re
import subprocess
from pathlib import Path

import pytest

from coordinator.cli.coord import coord
from loadgen.cli.agent import agent
from tests.processes import PATIENCE

FOLDER = Path(__file__).parents[3] / "deploy" / "slurm"
SCRIPTS = sorted(FOLDER.iterdir())
COMMANDS = {"LOADGEN_COORD_": coord, "LOADGEN_AGENT_": agent}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_accepts_a_script(script):
    done = subprocess.run(
        ["bash", "-n", str(script)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_option_that_is_set_exists(script):
    known = {
        f"{prefix}{option.name}".upper()
        for prefix, command in COMMANDS.items()
        for option in command.params
    }
    assert set(re.findall(r"LOADGEN_(?:COORD|AGENT)_\w+", script.read_text())) <= known


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_has_its_options_before_its_first_command(script):
    """Sbatch reads no further."""
    lines = script.read_text().splitlines()
    first = next(row for row, line in enumerate(lines) if not line.startswith("#"))
    options = [row for row, line in enumerate(lines) if line.startswith("#SBATCH ")]

    assert max(options) < first


def test_agents_without_a_run_end_with_one_line():
    done = subprocess.run(
        ["bash", str(FOLDER / "agents.sbatch")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "sbatch --array=1-16 agents.sbatch RUN" in done.stderr
