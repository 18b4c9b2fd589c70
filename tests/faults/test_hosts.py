"""Two faults that need separate hosts, in network namespaces.

`make faults` has all.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["cut off for a moment", "coordinator killed"])
def test_a_fault_between_hosts_ends_in_the_ledger(name):
    line = [sys.executable, "-m", "tests.faults", name]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    if "no network of its own can be made here" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[0].endswith("| 0"), "counts lost"
