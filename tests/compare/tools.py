"""The two tools: each runs a file against the recorder and writes a tsung.log."""

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

from tests.compare.epmd import epmd
from tests.compare.recording import Recording
from tests.compare.usage import Ended, Usage, run
from tests.processes import command
from tests.unit.tsung_reader import read_text, totals

PORT = 9595
"""The port in all files."""
RUN_TIMEOUT = 60.0
"""Seconds after which a run is killed."""
TIMES = re.compile(r"^stats: (\w+)\s+\S+ (\S+)", re.MULTILINE)

Tool = Literal["Tsung", "loadgen"]


class Outcome(NamedTuple):
    """The outcome of one file with one tool."""

    recording: Recording
    usage: Usage
    statistics: dict[str, float]
    """The totals of its tsung.log."""

    @property
    def first(self) -> float:
        """The arrival of its first connection, in seconds on the monotonic clock."""
        return self.recording.connections[0].arrived


def with_tsung(tsung: str, file: Path) -> Outcome:
    """Runs a file with Tsung, its controller and one Erlang VM in one process.

    Its own home (for Erlang's cookie), epmd (Erlang's port mapper) and id separate it from any
    other Tsung.
    """
    with tempfile.TemporaryDirectory() as home, epmd() as port:
        environment = {**os.environ, "HOME": home, "ERL_EPMD_PORT": port}
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
    """Runs a file with loadgen: a coordinator and one agent."""
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
        ended = run(words, folder, RUN_TIMEOUT, environment)
    recording = msgspec.json.decode(file.read_bytes(), type=Recording)
    logs = list(folder.rglob("tsung.log"))
    if ended.code or not logs or not recording.connections:
        raise click.ClickException(f"{tool} failed: {_why(ended, folder)}")
    return Outcome(recording, ended.usage, _statistics(logs[0].read_text()))


def _statistics(text: str) -> dict[str, float]:
    """Returns the totals of a tsung.log.

    Tsung's figures of the host (`{cpu,…}`) are left out.
    """
    return {
        name: value for name, value in totals(read_text(text)).items() if not name.startswith("{")
    }


def _why(ended: Ended, folder: Path) -> str:
    logs = [
        log.read_text(errors="replace")[-2000:] for log in folder.rglob("tsung_controller*.log")
    ]
    return "\n".join(
        [f"exit code {ended.code} after {ended.usage.seconds:.0f} s", ended.output, *logs]
    )


@contextmanager
def _recorder(file: Path) -> Iterator[None]:
    """Runs the target, which writes the file at the end of the block."""
    words = [sys.executable, "-m", "tests.compare.recorder", str(PORT), str(file)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        if not server.stdout.readline():
            raise click.ClickException(
                f"the target did not start, see above; the files name port {PORT}, which may be in"
                " use"
            )
        try:
            yield
            server.communicate(timeout=RUN_TIMEOUT)
        finally:
            server.kill()
    if server.returncode:
        raise click.ClickException(
            f"the target failed with exit code {server.returncode}, see above"
        )
