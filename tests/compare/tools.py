"""The two tools: how each runs a file against the recorder, and what it wrote into its
tsung.log."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import click
import msgspec

from tests.compare.recording import Recording
from tests.compare.usage import Ended, Usage, run
from tests.processes import command, eventually, free_port
from tests.unit.tsung_reader import read_text, totals

PORT = 9595
"""The one that all files name."""
PATIENCE = 60.0
"""Seconds after which a run is ended."""
TIMES = re.compile(r"^stats: (\w+)\s+\S+ (\S+)", re.MULTILINE)

Tool = Literal["Tsung", "loadgen"]


class Outcome(NamedTuple):
    """One file run by one tool."""

    recording: Recording
    usage: Usage
    statistics: dict[str, float]
    """How often each thing was counted in its tsung.log."""

    @property
    def first(self) -> float:
        """When its first connection arrived."""
        return self.recording.connections[0].arrived


def with_tsung(tsung: str, file: Path) -> Outcome:
    """What becomes of a file with Tsung, its controller and its one Erlang VM in one process.

    A home (for Erlang's cookie), an epmd (Erlang's port mapper) and an id of its own keep it from
    any other Tsung.
    """
    with tempfile.TemporaryDirectory() as home, _epmd() as epmd:
        environment = {**os.environ, "HOME": home, "ERL_EPMD_PORT": epmd}
        words = [
            tsung,
            "-n",
            "-i",
            f"compare{os.getpid()}",
            "-f",
            str(file),
            "-l",
            f"{home}/log",
            "start",
        ]
        return _outcome("Tsung", words, Path(home), environment)


def with_loadgen(file: Path) -> Outcome:
    """What becomes of a file with loadgen: coordinator and one agent."""
    with tempfile.TemporaryDirectory() as folder:
        words = command(
            "loadgen-coord",
            "--tsung",
            str(file),
            "--listen",
            "127.0.0.1:0",
            "--out",
            f"{folder}/runs",
        )
        return _outcome("loadgen", words, Path(folder), None)


def _outcome(
    tool: Tool, words: Sequence[str], folder: Path, environment: Mapping[str, str] | None
) -> Outcome:
    file = folder / "recording.json"
    with _recorder(file):
        ended = run(words, folder, PATIENCE, environment)
    recording = msgspec.json.decode(file.read_bytes(), type=Recording)
    logs = list(folder.rglob("tsung.log"))
    if ended.code or not logs or not recording.connections:
        raise click.ClickException(f"{tool} failed: {_why(ended, folder)}")
    return Outcome(recording, ended.usage, _statistics(logs[0].read_text()))


def _statistics(text: str) -> dict[str, float]:
    """The sums over all dumps, without what Tsung tells of the host (`{cpu,…}`)."""
    return {
        name: value for name, value in totals(read_text(text)).items() if not name.startswith("{")
    }


def _why(ended: Ended, folder: Path) -> str:
    logs = [
        log.read_text(errors="replace")[-2000:] for log in folder.rglob("tsung_controller*.log")
    ]
    return "\n".join(
        [f"exit code {ended.code} after {ended.usage.seconds:.0f} s", ended.said, *logs]
    )


@contextmanager
def _recorder(file: Path) -> Iterator[None]:
    """The target; the file is there afterwards."""
    words = [sys.executable, "-m", "tests.compare.recorder", str(PORT), str(file)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        if not server.stdout.readline():
            raise click.ClickException(
                f"no target: port {PORT} is taken, or see above; the files name this port"
            )
        try:
            yield
            server.communicate(timeout=PATIENCE)
        finally:
            server.kill()
    if server.returncode:
        raise click.ClickException(
            f"the target failed with exit code {server.returncode}, see above"
        )


@contextmanager
def _epmd() -> Iterator[str]:
    """The port of an epmd of our own. Erlang would start one that stays for ever."""
    port = free_port()
    with subprocess.Popen(["epmd", "-port", str(port), "-address", "127.0.0.1"]) as mapper:
        try:
            eventually(lambda: _answers(port), "epmd answers")
            yield str(port)
        finally:
            mapper.kill()


def _answers(port: int) -> bool:
    return not subprocess.run(
        ["epmd", "-port", str(port), "-names"], capture_output=True, check=False
    ).returncode
