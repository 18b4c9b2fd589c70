"""The playbooks read well, and say the reference run; `tests/rehearsal` plays them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.processes import BIN, PATIENCE

FOLDER = Path(__file__).parents[2] / "deploy" / "ansible"
PLAYBOOKS = ("site.yml", "verify.yml", "run.yml", "teardown.yml")


def test_the_linter_has_nothing_to_say():
    done = subprocess.run(
        [str(BIN / "ansible-lint"), "--offline", "--nocolor", "--profile", "production"],
        cwd=FOLDER,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_playbook_reads_well_with_the_example_inventory(name):
    words = [str(BIN / "ansible-playbook"), "-i", "inventory/example.yml", "--syntax-check", name]
    done = subprocess.run(words, cwd=FOLDER, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_reference_run_is_the_example():
    words = [str(BIN / "ansible-inventory"), "-i", "inventory/example.yml", "--list"]
    done = subprocess.run(words, cwd=FOLDER, capture_output=True, text=True, timeout=PATIENCE, check=True)
    fleet = json.loads(done.stdout)
    plan = fleet["_meta"]["hostvars"]["manager"]["coordinator_plan"]

    assert len(fleet["agents"]["hosts"]) == 16
    assert (plan["rate"], plan["max"], plan["think"], plan["loops"]) == (2000, 1_000_000, 30, 1000)
    assert 16 * fleet["_meta"]["hostvars"]["realtime-worker-1"]["agent_max_connections"] >= plan["max"]
