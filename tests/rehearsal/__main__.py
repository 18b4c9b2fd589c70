"""Takes the steps of a rehearsal and prints their results.

The command is `python -m tests.rehearsal`. It exits with 1 if a step does not hold.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadgen.cli.options import DURATION, RATE, run_command
from loadgen.errors import OperatorError
from tests.debian import installed
from tests.faults.lan import INSIDE, Lan, enter
from tests.machines import why_no_machine
from tests.processes import BIN, eventually
from tests.rehearsal.fleet import PLAYBOOKS, Fleet
from tests.rehearsal.leftovers import leftovers
from tests.rehearsal.size import Size
from tests.rehearsal.steps import STEPS, Rehearsal

MAX_CONNECTIONS = 20_000
"""The most connections: a network namespace can't raise conntrack's bound, and 2,000 closed per
second need most of it."""
NOTHING_IS_LEFT = "nothing is left"
T = TypeVar("T")


class Shown(NamedTuple):
    """The result of one step."""

    step: str
    showed: str
    seconds: float
    held: bool


@click.command(context_settings={"show_default": True})
@click.option(
    "--agents", type=click.IntRange(1, 100), default=16, metavar="N", help="Client machines."
)
@click.option(
    "--connections",
    type=click.IntRange(1, MAX_CONNECTIONS),
    default=MAX_CONNECTIONS,
    metavar="N",
    help="Connections of all machines.",
)
@click.option(
    "--rate", type=RATE, default=2000, metavar="R", help="Arrivals per second of all machines."
)
@click.option(
    "--think", type=DURATION, default="30", help="Seconds between two pings of a connection."
)
@click.option(
    "--hold", type=DURATION, default="40", help="Seconds that all are held; Prometheus needs 15."
)
def command(agents: int, connections: int, rate: float, think: float, hold: float) -> int:
    """Rehearse the reference run on machines made of namespaces.

    It sets them up with Ansible and systemd, makes a run, asks Prometheus, and tears them down.
    """
    if INSIDE not in os.environ:
        prepare()
    enter("tests.rehearsal", as_root=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    size = Size(agents, connections, rate, think, hold)
    rows = []
    for row in rehearse(size):
        rows.append(row)
        click.echo(
            f"{row.step}: {row.showed} ({row.seconds:.1f} s){'' if row.held else ' DOES NOT HOLD'}"
        )
    Console(width=max(120, Console().width)).print(_table(size, rows))
    return 0 if all(row.held for row in rows) else 1


def why_not() -> str:
    """Returns why this machine can't rehearse; empty where it can."""
    if shutil.which("sshd") is None and Path("/run/systemd/system").exists():
        return (
            "sshd is missing, and its package would start it on this machine; if that is fine,"
            " apt-get install openssh-server"
        )
    return why_no_machine()


def prepare() -> None:
    """Gets what needs the network of this machine: Debian's packages and the wheels."""
    if why := why_not():
        raise OperatorError(why)
    for tool, package in {
        "prometheus": "prometheus",
        "sshd": "openssh-server",
        "ssh": "openssh-client",
    }.items():
        installed(tool, package)
    done = subprocess.run(
        [str(BIN / "python"), str(PLAYBOOKS / "wheelhouse.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OperatorError(f"wheelhouse.py built no archive of wheels: {done.stderr}")


def rehearse(size: Size) -> Iterator[Shown]:
    """Yields the result of each step, up to the first that does not hold.

    It removes everything in any case.
    """
    lan = Lan()
    with tempfile.TemporaryDirectory(prefix="loadgen-rehearsal-") as folder:
        fleet = Fleet(lan, size, Path(folder))
        try:
            yield from in_turn(STEPS, Rehearsal(fleet))
        finally:
            began = time.monotonic()
            fleet.close()
            lan.remove()
    yield _nothing_is_left(Path(folder), began)


def in_turn(steps: Mapping[str, Callable[[T], str]], subject: T) -> Iterator[Shown]:
    """Takes steps until one does not hold; yields their results."""
    for name, step in steps.items():
        began = time.monotonic()
        held = True
        try:
            showed = step(subject)
        # A step that does not hold, or a command that fails.
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            showed = str(error)
            held = False
        yield Shown(name, showed, time.monotonic() - began, held)
        if not held:
            return


def _nothing_is_left(folder: Path, began: float) -> Shown:
    """Waits until everything is removed.

    The kernel takes a moment to end a machine's parts.
    """
    with suppress(AssertionError):
        eventually(lambda: not leftovers(folder), "nothing is left")
    found = leftovers(folder)
    showed = (
        f"left: {', '.join(found)}"
        if found
        else "no namespace, link, process, control group or file"
    )
    return Shown(NOTHING_IS_LEFT, showed, time.monotonic() - began, not found)


def _table(size: Size, rows: list[Shown]) -> Table:
    title = (
        f"{size.connections:,} connections at {size.rate:g}/s from {size.agents} client machines"
    )
    table = Table("step", "what it showed", "took", "held", title=title)
    for row in rows:
        held = "[green]yes[/]" if row.held else "[red]NO[/]"
        table.add_row(row.step, escape(row.showed.partition("\n")[0]), f"{row.seconds:.1f} s", held)
    return table


if __name__ == "__main__":
    run_command(command, "rehearsal")
