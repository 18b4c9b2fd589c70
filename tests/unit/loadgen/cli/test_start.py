"""The console scripts can be ended by Ctrl-C before the rest of them is imported."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]
HEAVY = ("asyncio", "aiohttp", "uvloop", "click", "msgspec")


def in_a_child(program: str) -> str:
    """Returns what this program prints in a Python process."""
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("place", PROJECT["scripts"].values())
def test_a_script_begins_with_little_and_ends_at_ctrl_c_as_any_program(place):
    module, name = place.split(":")
    program = (
        f"import signal, sys; from {module} import {name};"
        f" print(signal.getsignal(2) is signal.SIG_DFL, {{*sys.modules}} & {{*{HEAVY!r}}})"
    )

    assert in_a_child(program) == "True set()"


def test_where_ctrl_c_is_ignored_it_stays_so():
    program = (
        "import signal; signal.signal(2, signal.SIG_IGN); import loadgen.cli.start;"
        " import coordinator.cli.start; print(signal.getsignal(2) is signal.SIG_IGN)"
    )

    assert in_a_child(program) == "True"


@pytest.mark.parametrize("name", PROJECT["scripts"])
def test_each_script_runs_its_own_command(name):
    module, function = PROJECT["scripts"][name].split(":")
    program = f"import sys; sys.argv[1:] = ['--version']; from {module} import {function} as f; f()"

    assert in_a_child(program).startswith(f"{name}, version ")
