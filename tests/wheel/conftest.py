"""The wheel, built once for all tests of a process."""

import shutil
import sys

import pytest

from tests.wheel.stranger import ROOT, run

PACKAGES = ("loadgen", "coordinator")
BESIDE = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="session")
def files():
    """The files of the packages in the checkout."""
    return {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="session")
def wheel(files, tmp_path_factory):
    """The wheel, built from a copy.

    Files of an earlier build in the checkout must not get in.
    """
    tree = tmp_path_factory.mktemp("tree")
    for name in (*files, *BESIDE):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "-q", "--no-index", "--no-deps", "--no-build-isolation", "-w", folder]
    run(sys.executable, "-m", "pip", *build, tree, folder=tree)
    (built,) = folder.glob("*.whl")
    return built
