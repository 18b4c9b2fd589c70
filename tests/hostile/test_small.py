"""The trials that are quick enough for the gate; `make hostile` has all.

Each runs in network namespaces of its own.
"""

import subprocess
import sys

import pytest

from tests.hostile.__main__ import TRIALS
from tests.hostile.arena import ROOT

KINDS: dict[str, list[str]] = {}
"""The names of the small trials, by the module of their kind."""
for name, one in TRIALS.items():
    if one.small:
        KINDS.setdefault(one.act.__module__.rpartition(".")[2], []).append(name)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fleet_survives(kind):
    line = [sys.executable, "-m", "tests.hostile", "--busy", *KINDS[kind]]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)

    if "no network of its own can be made here" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
