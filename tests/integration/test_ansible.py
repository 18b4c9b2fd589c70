"""The playbooks turn a bare machine into a fleet, run a plan on it, and leave the machine as it was.

It is a machine of the test's own with systemd on it and no network, so nothing can come from a registry. All four
groups of the inventory are this one machine.
"""

import json
import os
import re
import resource
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.debian import installed
from tests.machines import ROOT, Machine, machine_can_be_made
from tests.processes import BIN, PATIENCE

FOLDER = ROOT / "deploy" / "ansible"
PLAYBOOKS = ("site.yml", "verify.yml", "run.yml", "teardown.yml")
TOKEN = "a-secret-of-this-test"
OPEN = 300
HOST = {
    "ansible_connection": "local",
    "vault_loadgen_token": TOKEN,
    "fleet_coordinator": "127.0.0.1",
    "fleet_network": "127.0.0.0/8",
    "coordinator_plan": {
        "target": "ws://127.0.0.1:9505/v1/realtime?project=console&channels[]=files",
        "rate": OPEN,
        "max": OPEN,
        "think": 0.5,
        "hold": 0,
    },
    "target_tuning_connections": 10_000,
    "target_tuning_embedded": True,
    "verify_open_files": min(1 << 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
    "run_delay": 0.3,
}
GROUPS = ("coordinator", "agents", "target", "monitoring")
KEPT = ("/etc", "/opt", "/usr/local", "/var/lib", "/root")


@pytest.fixture(scope="module")
def archive() -> Path:
    """The wheels, built where there is a registry."""
    done = subprocess.run(
        [str(BIN / "python"), str(FOLDER / "wheelhouse.py")], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with Prometheus on it, whose service is not running."""
    machine_can_be_made()
    installed("prometheus", "prometheus")
    bound = Path("/proc/sys/fs/file-max").read_text()
    with closing(Machine(tmp_path)) as made:
        yield made
    assert Path("/proc/sys/fs/file-max").read_text() == bound, "a test's machine changed this one"


class Plays:
    """The playbooks, played on a machine by itself."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._inventory = machine.shared / "fleet.yml"
        groups = {group: {"hosts": {"one": {}}} for group in GROUPS}
        self._inventory.write_text(json.dumps({"all": {"hosts": {"one": HOST}, "children": groups}}))  # YAML as well

    def play(self, name: str, *options: str) -> int:
        """Plays one to its end, which has to be a good one; returns how many tasks changed something."""
        words = [str(BIN / "ansible-playbook"), "-i", str(self._inventory), str(FOLDER / name), *options]
        done = self._machine.run(*words, timeout=100, ANSIBLE_CONFIG=str(FOLDER / "ansible.cfg"))
        assert done.returncode == 0, done.stdout + done.stderr + self._journal()
        assert TOKEN not in done.stdout + done.stderr
        found = re.search(r"changed=(\d+) +unreachable=0 +failed=0", done.stdout)
        assert found, done.stdout
        return int(found[1])

    def _journal(self) -> str:
        """What the units said last."""
        return self._machine.run("journalctl", "--no-pager", "-n", "40", "-u", "loadgen-*").stdout


def state(machine: Machine) -> list[str]:
    """What a tear-down has to leave as it was: files by name, units, and the settings of the machine's network."""
    kept = " ".join(KEPT)
    scripts = (
        f"find {kept} -xdev -not -path '/var/lib/systemd/*' -not -path '/root/.ansible*' | sort",
        "systemctl list-unit-files --no-legend --no-pager",
        "find /proc/sys/net -perm -200 -type f -exec grep -H '' {} + | sort",
    )
    return [machine.run("sh", "-c", script).stdout for script in scripts]


@pytest.mark.timeout(300)
def test_a_bare_machine_becomes_a_fleet_that_runs_a_plan_and_is_bare_again(machine, archive):
    bare = state(machine)
    plays = Plays(machine)

    assert plays.play("site.yml", "--check") > 0
    assert state(machine) == bare

    assert plays.play("site.yml") > 0
    assert plays.play("site.yml") == 0
    assert plays.play("verify.yml") == 0
    assert machine.run("stat", "-c", "%a %U", "/etc/loadgen/token").stdout == "600 root\n"

    plays.play("run.yml", "--extra-vars", f"run_out={machine.shared}")
    (packed,) = machine.shared.glob("*.tar")
    with tarfile.open(packed) as tar:
        (name,) = (name for name in tar.getnames() if name.endswith("summary.json"))
        summary = json.load(tar.extractfile(name))
    assert (summary["verdict"], summary["opened"], summary["closed"]) == ("pass", OPEN, {"drained": OPEN})
    assert machine.run("systemctl", "is-active", "loadgen-agent").stdout == "active\n"

    assert plays.play("teardown.yml") > 0
    assert state(machine) == bare
    assert plays.play("teardown.yml") == 0


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
