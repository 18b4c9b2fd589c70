"""The wheel and requirements.lock, on each Python that the package supports.

A Python counts as had when it is on the PATH or among those of pyenv.
"""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.wheel.stranger import ROOT, install, run, small_run

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSIONS = [
    found[1] for name in PROJECT["classifiers"] if (found := re.search(r":: (3\.\d+)$", name))
]


def interpreter(version):
    """The Python of a version on this machine; None where there is none.

    On the PATH may be a shim of pyenv that starts nothing.
    """
    folders = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin"))
    found = [shutil.which(f"python{version}"), *(folder / "python" for folder in folders)]
    return next((str(path) for path in filter(None, found) if starts(path)), None)


def starts(python):
    return not subprocess.run([python, "-V"], capture_output=True, check=False).returncode


@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_fresh_installation_runs(wheel, tmp_path, version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"this machine has no Python {version}")
    run(python, "-m", "venv", tmp_path / "venv", folder=tmp_path)
    fresh = tmp_path / "venv" / "bin" / "python"
    install(fresh, "--require-hashes", "-r", ROOT / "requirements.lock", folder=tmp_path)
    install(fresh, "--no-deps", "--no-index", wheel, folder=tmp_path)
    output = small_run(fresh, "-m", "loadgen", "coord", folder=tmp_path)

    summary = json.loads(output.splitlines()[-1])
    assert (summary["verdict"], summary["opened"]) == ("pass", 100)
