"""The machines of the reference run, and the inventory of them for Ansible.

Without a network there is no provider, so no plan is made here. Tests that need Terraform are
skipped where it is not installed.
"""

import json
import shutil
import subprocess
from pathlib import Path

import hcl2
import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "deploy" / "terraform"
FILES = sorted(FOLDER.glob("*.tf"))
EXAMPLE = yaml.safe_load((FOLDER.parent / "ansible/inventory/example.yml").read_text())
needs_terraform = pytest.mark.skipif(shutil.which("terraform") is None, reason="needs terraform")


def terraform(*words, **options):
    return subprocess.run(
        ["terraform", *words], capture_output=True, text=True, timeout=30, check=False, **options
    )


def blocks(kind):
    """Returns every block of a kind, by its last name."""
    found = {}
    for path in FILES:
        for block in hcl2.loads(path.read_text()).get(kind, []):
            name, body = block.popitem()
            while len(body) == 1 and isinstance(next(iter(body.values())), dict):
                name, body = next(iter(body.items()))
            found[name.strip('"')] = body
    return found


def test_the_machines_are_those_of_the_reference_run():
    default = {
        name: str(body.get("default")).strip('"') for name, body in blocks("variable").items()
    }

    assert default["clients"] == "16"
    assert default["client_size"] == "g-4vcpu-16gb"
    assert default["target_size"] == "g-32vcpu-128gb"
    assert {"client", "target", "manager"} <= blocks("resource").keys()


def test_every_variable_and_output_has_a_description():
    for body in [*blocks("variable").values(), *blocks("output").values()]:
        assert body["description"]


def test_all_machines_are_in_the_one_private_network():
    droplets = [blocks("resource")[name] for name in ("client", "target", "manager")]

    assert {droplet["vpc_uuid"] for droplet in droplets} == {"${digitalocean_vpc.fleet.id}"}


@needs_terraform
def test_the_files_are_formatted():
    done = terraform("fmt", "-check", "-diff", str(FOLDER))
    assert done.returncode == 0, done.stdout + done.stderr


def droplet(name, last):
    return {
        "name": name,
        "ipv4_address": f"203.0.113.{last}",
        "ipv4_address_private": f"10.114.0.{last}",
    }


@needs_terraform
def test_the_inventory_has_the_groups_of_the_example(tmp_path):
    fleet = {
        "network": "10.114.0.0/20",
        "clients": [droplet(f"realtime-worker-{number}", 10 + number) for number in range(1, 17)],
        "target": droplet("realtime", 2),
        "manager": droplet("realtime-manager", 3),
    }
    expression = (
        f'templatefile("{FOLDER}/fleet.yml.tftpl", jsondecode({json.dumps(json.dumps(fleet))}))'
    )
    done = terraform("console", cwd=tmp_path, input=expression)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    made = yaml.safe_load("\n".join(lines[lines.index("<<EOT") + 1 : lines.index("EOT")]))["all"]

    assert made["children"].keys() == EXAMPLE["all"]["children"].keys()
    assert len(made["children"]["agents"]["hosts"]) == 16
    assert made["children"]["agents"]["hosts"]["realtime-worker-16"] == {
        "ansible_host": "203.0.113.26",
        "private_address": "10.114.0.26",
    }
    assert made["vars"]["fleet_network"] == "10.114.0.0/20"
