"""Measures each pure module by its own test file alone: `make coverage`.

A module is understood by itself only if its own tests say all that it does, so what other tests
happen to run does not count, nor what Hypothesis happens to draw: of its examples only the named
ones run. Every line and every branch is asked for.
"""

import contextlib
import json
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import coverage
import pytest
from hypothesis import Phase, settings

from tests.unit.test_layers import MODULES, ROOT, is_pure

PRELOADED = ["coverage", "pytest", "hypothesis"]
"""What each process would otherwise import anew."""
OPTIONS = [
    "-q",
    "--tb=no",
    "-p",
    "no:cacheprovider",
    "--hypothesis-profile=named",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",  # preloaded plugins have no assertions of ours
]


settings.register_profile("named", deadline=None, phases=[Phase.explicit])


class Coverage(NamedTuple):
    """The part of a module that its own test file runs."""

    module: str
    percent: float
    missing: str
    """The lines and branches that never run, or why there is no figure."""


def test_file(module: str) -> Path:
    """Returns where the tests of a module belong: tests/unit mirrors the tree."""
    source = MODULES[module].relative_to(ROOT)
    return ROOT / "tests" / "unit" / source.parent / f"test_{source.name}"


def measure(module: str) -> Coverage:
    """Runs a module's own tests, in a process that has not imported the module yet."""
    tests = test_file(module)
    if not tests.exists():
        return Coverage(module, 0, f"{tests.relative_to(ROOT)} is missing")
    measured = coverage.Coverage(
        data_file=None, branch=True, config_file=False, include=[str(MODULES[module])]
    )
    with tempfile.TemporaryFile("w+") as output:
        with contextlib.redirect_stdout(output), measured.collect():
            failed = pytest.main([*OPTIONS, str(tests)])
        output.seek(0)
        if failed:
            return Coverage(module, 0, f"its tests fail: {output.read().splitlines()[-1]}")
    return report(module, measured)


def report(module: str, measured: coverage.Coverage) -> Coverage:
    """Returns the figures of a measured module."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        with contextlib.suppress(coverage.exceptions.NoDataError):
            measured.json_report(outfile=str(path))
        if not path.exists():
            return Coverage(module, 0, "its tests never import it")
        (figures,) = json.loads(path.read_text())["files"].values()
    lines = [str(line) for line in figures["missing_lines"]]
    branches = [
        f"{start}->{'exit' if end < 0 else end}"
        for start, end in figures["missing_branches"]
        if start not in figures["missing_lines"]
    ]
    return Coverage(module, figures["summary"]["percent_covered"], " ".join(lines + branches))


def main() -> None:
    """Prints the table of all pure modules, and fails if one is not covered entirely."""
    os.chdir(ROOT)
    asked = sys.argv[1:] or [
        module for module, path in MODULES.items() if is_pure(module) and path.name != "__init__.py"
    ]
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(PRELOADED)
    with processes.Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        found = sorted(pool.imap_unordered(measure, asked))
    width = max(len(module) for module in asked)
    for each in found:
        print(f"{each.module:{width}} {each.percent:5.1f} %  {each.missing}".rstrip())
    sys.exit(any(each.missing for each in found))


if __name__ == "__main__":
    main()
