"""The built wheel is used from a folder outside of the checkout.

It is built from the checkout's files and installed into a virtual environment: what the checkout
has and the wheel lacks shows here.
"""

import json
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.processes import PATIENCE, Address, free_port

ROOT = Path(__file__).parents[2]
PACKAGES = ("loadgen", "coordinator")
BESIDE = ("pyproject.toml", "README.md", "LICENSE")
WHEELS = ROOT / "build" / "wheel"
COMMANDS = ("coord", "agent", "target", "report", "tune")
RUN = ["--local", "1", "--with-target", "--rate", "200", "--max", "100", "--hold", "1"]
LIVE = ["--think", "0.5", "--listen", "127.0.0.1:0", "--expect", "open_peak>=100", "--json"]


def run(*words, folder):
    """The standard output of a command that succeeds."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy.

    Files of an earlier build in the checkout must not get in.
    """
    tree = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in BESIDE:
        shutil.copy(ROOT / name, tree / name)
    shutil.rmtree(WHEELS, ignore_errors=True)
    build = ["wheel", "-q", "--no-index", "--no-deps", "--no-build-isolation", "-w", WHEELS]
    run(sys.executable, "-m", "pip", *build, tree, folder=tree)
    (built,) = WHEELS.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The bin folder of a virtual environment with the wheel.

    The environment has the locked dependencies too. The dependencies are not installed again: a
    path file names where they are. Path files there are not read in turn, so the editable install
    of the checkout is out of sight.
    """
    environment = tmp_path_factory.mktemp("venv")
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    install = ["install", "-q", "--no-index", "--no-deps", "--no-compile", wheel]
    run(sys.executable, "-m", "pip", "--python", python, *install, folder=environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    locked = [path for path in sys.path if Path(path).name == "site-packages"]
    (packages / "locked.pth").write_text("\n".join(locked))
    return environment / "bin"


def test_the_wheel_has_each_file_of_the_packages_and_no_other(wheel):
    """Modules, the page, templates and the marks of typed packages."""
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    found = set(zipfile.ZipFile(wheel).namelist())

    assert {name for name in found if ".dist-info/" not in name} == files
    assert files >= {"loadgen/py.typed", "coordinator/py.typed", "coordinator/page/index.html"}


def test_the_code_of_the_wheel_is_what_runs(installed, tmp_path):
    code = "import loadgen, coordinator; print(loadgen.__file__, coordinator.__file__)"
    places = run(installed / "python", "-c", code, folder=tmp_path).split()

    assert [Path(place).is_relative_to(installed.parent) for place in places] == [True, True]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(installed, tmp_path, command):
    name = f"loadgen-{command}"

    assert name in run(installed / name, "--help", folder=tmp_path)


def test_a_run_from_another_folder_opens_all_that_is_asked(installed, tmp_path):
    target = Address("127.0.0.1", free_port())
    output = run(installed / "loadgen-coord", *RUN, *LIVE, target.ws, folder=tmp_path)
    summary = json.loads(output.splitlines()[-1])
    (folder,) = (tmp_path / "runs").iterdir()

    assert (summary["verdict"], summary["opened"]) == ("pass", 100)
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
