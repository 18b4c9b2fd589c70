"""`loadgen COMMAND`: the commands under one name."""

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import click

from loadgen.cli.commands import COMMANDS

SCRIPTS = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"][
    "scripts"
]


def loadgen(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "loadgen", *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )


def test_it_has_each_command_of_the_package():
    assert {"loadgen", *(f"loadgen-{name}" for name in COMMANDS)} == SCRIPTS.keys()
    for name, place in COMMANDS.items():
        module, _, attribute = place.partition(":")
        assert module.endswith(f".cli.{name}")
        assert isinstance(getattr(import_module(module), attribute), click.Command)


def test_alone_it_lists_the_commands():
    done = loadgen()

    assert done.returncode == 2
    assert all(f"\n  {name} " in done.stderr for name in COMMANDS)


def test_an_unknown_command_is_answered_with_the_known_ones():
    done = loadgen("cord")

    assert done.returncode == 2
    assert (
        done.stderr
        == "loadgen: 'cord' is none of its commands: coord, agent, target, report, tune\n"
    )


def test_the_environment_sets_options_as_it_does_for_the_command_itself():
    done = loadgen("tune", "check", "--connections", "1", LOADGEN_TUNE_CHECK_ROLE="target")

    assert "as target" in done.stdout


def test_no_variable_asks_for_the_version():
    done = loadgen("tune", "check", "--connections", "1", LOADGEN_VERSION="1")

    assert "this machine can hold" in done.stdout
