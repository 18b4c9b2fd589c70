"""The engines that are quick enough for the gate; `make slurm` has all steps."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.__main__ import ENGINES

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)  # the first time it installs Debian's packages
@pytest.mark.parametrize("name", [name for name, engine in ENGINES.items() if engine.small])
def test_an_engine_runs_a_small_fleet(name):
    line = [sys.executable, "-m", "tests.engines", name, "--small"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)

    if (said := done.stdout.partition("\n")[0]).startswith(f"{name}: skipped:"):
        pytest.skip(said)
    if "no network of its own can be made here" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
