"""The Dockerfile and the compose file, checked without an engine that runs them."""

import re
import subprocess
from pathlib import Path

import yaml

from coordinator.cli.coord import coord
from loadgen.cli.agent import agent
from loadgen.cli.target import command as target
from tests.processes import BIN, PATIENCE

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "containers"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
COMMANDS = {"LOADGEN_COORD_": coord, "LOADGEN_AGENT_": agent, "LOADGEN_TARGET_": target}


def run(*words, **options):
    return subprocess.run(
        words, capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


def test_the_linter_accepts_the_dockerfile():
    done = run(str(BIN / "hadolint"), str(FOLDER / "Dockerfile"))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_image_has_the_packages_of_the_lock_and_no_other():
    others = [line for line in DOCKERFILE.splitlines() if "pip install" in line]

    assert "--require-hashes --requirement requirements.lock" in others.pop(0)
    assert all("--no-deps --no-build-isolation" in line for line in others)


def test_the_image_runs_as_an_unprivileged_user():
    assert DOCKERFILE.index("USER 10001:10001") > DOCKERFILE.rindex("RUN ")


def test_every_option_that_is_set_exists():
    known = {
        f"{prefix}{option.name}".upper()
        for prefix, command in COMMANDS.items()
        for option in command.params
    }
    text = DOCKERFILE + (FOLDER / "compose.yaml").read_text()

    assert set(re.findall(r"LOADGEN_(?:COORD|AGENT|TARGET)_\w+", text)) <= known


def test_the_compose_file_is_valid():
    words = [
        str(BIN / "check-jsonschema"),
        "--builtin-schema",
        "vendor.compose-spec",
        str(FOLDER / "compose.yaml"),
    ]
    done = run(*words)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_fleet_is_complete_and_its_mounts_exist():
    services = COMPOSE["services"]

    assert services.keys() == {"target", "coordinator", "agent", "prometheus", "grafana"}
    assert (
        services["agent"]["deploy"]["replicas"]
        == services["coordinator"]["environment"]["LOADGEN_COORD_AGENTS"]
        == 4
    )
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (FOLDER / source).exists()


def test_nothing_is_open_to_other_machines():
    assert all(
        port.startswith("127.0.0.1:")
        for service in COMPOSE["services"].values()
        for port in service.get("ports", [])
    )


def test_prometheus_has_the_deployed_configuration_with_the_coordinators_name():
    there, here = (
        yaml.safe_load(path.read_text().replace("127.0.0.1:8091", "coordinator:8091"))
        for path in (ROOT / "deploy/prometheus/prometheus.yml", FOLDER / "prometheus.yml")
    )

    assert there == here
