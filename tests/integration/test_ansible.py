"""The playbooks are valid and set the reference run.

`tests/rehearsal` plays them.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from loadgen.plan.phases import Phase
from loadgen.plan.sessions import Loop
from loadgen.planfile import read_plan
from tests.processes import BIN, PATIENCE

FOLDER = Path(__file__).parents[2] / "deploy" / "ansible"
COORDINATOR = FOLDER / "roles" / "coordinator"
PLAYBOOKS = ("site.yml", "verify.yml", "run.yml", "teardown.yml")


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_playbook_is_valid_with_the_example_inventory(name):
    words = [str(BIN / "ansible-playbook"), "-i", "inventory/example.yml", "--syntax-check", name]
    done = subprocess.run(
        words, cwd=FOLDER, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_reference_run_is_the_example():
    words = [str(BIN / "ansible-inventory"), "-i", "inventory/example.yml", "--list"]
    done = subprocess.run(
        words, cwd=FOLDER, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    fleet = json.loads(done.stdout)
    plan = fleet["_meta"]["hostvars"]["manager"]["coordinator_plan"]

    assert len(fleet["agents"]["hosts"]) == 16
    assert (plan["rate"], plan["max"], plan["think"], plan["loops"]) == (2000, 1_000_000, 30, 1000)
    assert (
        16 * fleet["_meta"]["hostvars"]["realtime-worker-1"]["agent_max_connections"] >= plan["max"]
    )


def play(host: str, module: str, arguments: str, *options: str, **variables: object) -> str:
    """Returns Ansible's output and exit code for a module, played on this machine.

    The machine takes the part of a host of the example.
    """
    words = [
        "-i",
        "inventory/example.yml",
        "-c",
        "local",
        host,
        "-m",
        module,
        "-a",
        arguments,
        *options,
    ]
    environment = {
        "ANSIBLE_FILTER_PLUGINS": str(COORDINATOR / "filter_plugins"),
        "ANSIBLE_NOCOLOR": "1",
    }
    done = subprocess.run(
        [str(BIN / "ansible"), *words, "-e", json.dumps(variables)],
        cwd=FOLDER,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return f"{done.stdout}{done.stderr}{done.returncode}"


@pytest.mark.parametrize(
    ("inventory", "allowed"),
    [
        (
            (
                "{all: {vars: {fleet_network: 10.20.0.0/16}, children: {target: {hosts: {realtime:"
                " }}}}}"
            ),
            "10.20.0.0/16",
        ),
        (
            "{all: {children: {target: {hosts: {realtime: {ansible_host: 10.114.0.2}}}}}}",
            "10.114.0.2",
        ),
    ],
)
def test_agents_may_load_the_network_of_the_inventory_or_the_target_alone(
    tmp_path, inventory, allowed
):
    (tmp_path / "fleet.yml").write_text(inventory)
    output = play("realtime", "debug", "var=agent_allow_target", "-i", str(tmp_path / "fleet.yml"))

    assert output.count("- ") == 1
    assert f"- {allowed}\n" in output


def test_a_plan_with_tables_is_written_unchanged(tmp_path):
    plan = {
        "target": "ws://127.0.0.1:9505/v1/realtime?project=console&channels[]=files",
        "hold": "5m",
        "transport": {
            "headers": {"X-Project": 'the "console"', "X-Size": "Größe 😀"},
            "tls_verify": False,
        },
        "phases": [
            {"name": "ramp", "rate": 2.5, "max": 100},
            {"name": "plateau", "duration": "1m"},
        ],
        "sessions": [{"kind": "loop", "name": "reader", "think": "1m", "loops": 60}],
    }
    arguments = f"src={COORDINATOR}/templates/plan.toml.j2 dest={tmp_path}/plan.toml"
    output = play("manager", "template", arguments, coordinator_plan=plan)
    assert output.endswith("\n0"), output

    read = read_plan(tmp_path / "plan.toml")
    assert (read.target, read.hold) == (plan["target"], 300)
    assert (read.transport.headers, read.transport.tls_verify) == (
        plan["transport"]["headers"],
        False,
    )
    assert read.phases == (
        Phase(name="ramp", rate=2.5, max=100),
        Phase(name="plateau", duration=60),
    )
    assert read.sessions == (Loop(name="reader", think=60, loops=60),)


@pytest.mark.parametrize(
    ("host", "role", "variables", "message"),
    [
        ("realtime-worker-1", "agent", {}, "'vault_loadgen_token' is undefined"),
        (
            "realtime-worker-1",
            "agent",
            {"agent_max_connections": "many"},
            "'agent_max_connections' is of type str",
        ),
        (
            "realtime-worker-1",
            "agent",
            {"agent_environment": 3},
            "'agent_environment' is of type int",
        ),
        (
            "manager",
            "coordinator",
            {"coordinator_plan": ["rate"]},
            "'coordinator_plan' is of type list",
        ),
        (
            "manager",
            "coordinator",
            {"vault_loadgen_token": "short"},
            "vault_loadgen_token has fewer than 16",
        ),
        (
            "realtime",
            "target_tuning",
            {"target_tuning_embedded": "perhaps"},
            "'target_tuning_embedded' is of type str",
        ),
    ],
)
def test_a_role_checks_its_arguments_before_it_does_anything(host, role, variables, message):
    secret = {"vault_loadgen_token": "a-secret-of-this-test"} if variables else {}
    output = play(host, "include_role", f"name={role}", "--check", **secret | variables)

    assert message in output
    assert "CHANGED" not in output
    assert not output.endswith("\n0")
