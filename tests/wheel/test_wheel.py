"""The built wheel is used from a folder outside of the checkout.

It is built from the checkout's files and installed into a virtual environment: what the checkout
has and the wheel lacks shows here.
"""

import json
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from loadgen.cli.commands import COMMANDS
from tests.wheel.stranger import run, small_run


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


def test_the_wheel_has_each_file_of_the_packages_and_no_other(wheel, files):
    """Modules, the page, templates and the marks of typed packages."""
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
    own = run(installed / name, "--help", folder=tmp_path)
    shared = run(installed / "loadgen", command, "--help", folder=tmp_path)

    assert own.startswith(f"Usage: {name} ")
    assert shared == own.replace(f"Usage: {name} ", f"Usage: loadgen {command} ")


def test_a_run_from_another_folder_opens_all_that_is_asked(installed, tmp_path):
    summary = json.loads(small_run(installed / "loadgen-coord", folder=tmp_path).splitlines()[-1])
    (folder,) = (tmp_path / "runs").iterdir()

    assert (summary["verdict"], summary["opened"]) == ("pass", 100)
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
