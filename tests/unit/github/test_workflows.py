"""The workflow files are valid, and run the Makefile's own targets.

They cover each supported Python.
"""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.processes import BIN, PATIENCE

ROOT = Path(__file__).parents[3]
WORKFLOWS = {path.name: path for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def load(name):
    """A workflow file; YAML 1.1 reads the key `on` as true."""
    return yaml.safe_load(WORKFLOWS[name].read_text())


def steps(name):
    return [step for job in load(name)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_fits_the_schema_of_github(name):
    checker = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run(
        [*checker, str(WORKFLOWS[name])],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_step_uses_an_action_at_a_commit_or_makes_a_target(name):
    for step in steps(name):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])
        else:
            target = re.fullmatch(r"make ([\w-]+)", step["run"])
            assert target, f"{step['run']!r} is no `make TARGET`"
            assert target[1] in TARGETS


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_job_is_bounded_and_may_only_read(name):
    workflow = load(name)

    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["cancel-in-progress"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 30
        assert job["permissions"] == {"contents": "read"}


def test_the_tests_run_on_each_supported_python():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    supported = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))

    assert set(load("ci.yml")["jobs"]["tests"]["strategy"]["matrix"]["python"]) >= {*supported}
    assert project["requires-python"] == f">={supported[0]}"


def test_the_workflow_makes_all_that_the_gate_makes():
    (recipe,) = re.findall(
        r"^test:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    (others,) = re.findall(r"^make (servers .*)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    gate = [*re.findall(r"[a-z]{2,}", recipe), *others.split()]

    assert len(gate) == 12
    assert {step["run"] for step in steps("ci.yml") if "run" in step} >= {
        f"make {target}" for target in gate
    }
