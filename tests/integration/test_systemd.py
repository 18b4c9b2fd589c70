"""The units are valid and expose little, and the commands notify systemd."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
import pytest

from coordinator.cli.coord import coord
from loadgen.cli.agent import agent as agent_command
from loadgen.cli.target import command as target_command
from tests.debian import installed
from tests.processes import BIN, PATIENCE, Agent, Coordinator, refusing_port

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
COMMANDS = {"agent": agent_command, "coord": coord, "target": target_command}
UNITS = [f"loadgen-{name}" for name in COMMANDS]
MAX_EXPOSED = 20
"""Tenths of a point on systemd's scale of 0 to 10; below 2 it says OK. A service without any
restriction has 9.6."""


@pytest.fixture(scope="module")
def analyze() -> str:
    """systemd's checker of units."""
    return installed("systemd-analyze", "systemd")


def write_unit(folder: Path, unit: str) -> Path:
    """Writes a unit with the path of the command on this machine; returns its path."""
    path = folder / f"{unit}.service"
    path.write_text((FOLDER / f"{unit}.service").read_text().replace("/opt/loadgen/bin", str(BIN)))
    return path


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_accepts_a_unit(tmp_path, analyze, unit):
    path = write_unit(tmp_path, unit)
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_exposes_little(tmp_path, analyze, unit):
    words = [analyze, "security", "--no-pager", "--offline=yes", f"--threshold={MAX_EXPOSED}"]
    done = subprocess.run(
        [*words, str(write_unit(tmp_path, unit))],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_that_a_unit_sets_exists(name):
    text = (FOLDER / f"loadgen-{name}.service").read_text()
    known = {
        f"LOADGEN_{name}_{option.name}".upper()
        for option in COMMANDS[name].params
        if _is_option(option)
    }

    assert set(re.findall(r"(LOADGEN_\w+)=", text)) <= known


def _is_option(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option)


class Manager:
    """A service manager's end of $NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        self._socket.bind(str(path))
        self.environment = os.environ | {"NOTIFY_SOCKET": str(path)}

    def receive(self) -> str:
        """Returns the next message."""
        return self._socket.recv(4096).decode()

    def close(self) -> None:
        """Stops listening."""
        self._socket.close()


@contextmanager
def manager(folder: Path) -> Iterator[Manager]:
    """A service manager that listens."""
    with closing(Manager(folder / "notify")) as listening:
        yield listening


def test_an_agent_notifies_when_it_is_ready_and_when_it_ends(tmp_path):
    with manager(tmp_path) as systemd:
        nobody = f"http://127.0.0.1:{refusing_port()}"
        with closing(Agent(nobody, env=systemd.environment)) as agent:
            assert systemd.receive() == "READY=1"
            assert agent.page
            agent.process.terminate()
            assert systemd.receive() == "STOPPING=1"
            assert agent.end() == 0


def test_a_coordinator_notifies_when_agents_may_join(tmp_path):
    with manager(tmp_path) as systemd:
        with closing(
            Coordinator(tmp_path / "runs", "--agents", "1", env=systemd.environment)
        ) as coordinator:
            assert systemd.receive() == "READY=1"
            assert coordinator.state()["state"] == "gathering"
