"""`python -m tests.rehearsal`: the steps, then a table of what each showed; exits 1 if one does
not hold."""

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
from tests.rehearsal.asked import Asked
from tests.rehearsal.fleet import PLAYBOOKS, Fleet
from tests.rehearsal.remains import remains
from tests.rehearsal.steps import STEPS, Rehearsal

MAX_CONNECTIONS = 20_000
"""Connections: a network namespace can't raise conntrack's bound, and 2,000 closed a second need
most of it."""


NOTHING_IS_LEFT = "nothing is left"
T = TypeVar("T")


class Shown(NamedTuple):
    """One step, and what it showed."""

    step: str
    showed: str
    seconds: float
    held: bool


@click.command(context_settings={"show_default": True})
@click.option(
    "--agents", type=click.IntRange(1, 100), default=16, metavar="N", help="AgentSpec machines."
)
@click.option(
    "--connections",
    type=click.IntRange(1, MAX_CONNECTIONS),
    default=MAX_CONNECTIONS,
    metavar="N",
    help="ScriptEnd all of them.",
)
@click.option(
    "--rate", type=RATE, default=2000, metavar="R", help="Arrivals per second over all of them."
)
@click.option(
    "--think", type=DURATION, default="30", help="Seconds between two pings of a connection."
)
@click.option(
    "--hold", type=DURATION, default="40", help="How long all are held; Prometheus wants 15."
)
def command(agents: int, connections: int, rate: float, think: float, hold: float) -> int:
    """Rehearses the reference run on machines made of namespaces: Ansible, systemd, a run,
    Prometheus, and back."""
    if INSIDE not in os.environ:
        prepare()
    enter("tests.rehearsal", as_root=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    asked, rows = Asked(agents, connections, rate, think, hold), []
    for row in rehearse(asked):
        rows.append(row)
        click.echo(
            f"{row.step}: {row.showed} ({row.seconds:.1f} s){'' if row.held else ' DOES NOT HOLD'}"
        )
    Console(width=max(120, Console().width)).print(_table(asked, rows))
    return 0 if all(row.held for row in rows) else 1


def why_not() -> str:
    """Why there can be no rehearsal on this machine; empty where it can be."""
    if shutil.which("sshd") is None and Path("/run/systemd/system").exists():
        return (
            "sshd is missing, and as a package it would start here: apt-get install openssh-server"
            " if that may be"
        )
    return why_no_machine()


def prepare() -> None:
    """Whatever needs the network of this machine: Debian's packages, and the archive of wheels."""
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


def rehearse(asked: Asked) -> Iterator[Shown]:
    """One step after the other, up to the first that does not hold; nothing is left of it in any
    case."""
    lan = Lan()
    with tempfile.TemporaryDirectory(prefix="loadgen-rehearsal-") as folder:
        fleet = Fleet(lan, asked, Path(folder))
        try:
            yield from in_turn(STEPS, Rehearsal(fleet))
        finally:
            began = time.monotonic()
            fleet.close()
            lan.remove()
    yield _nothing_is_left(Path(folder), began)


def in_turn(steps: Mapping[str, Callable[[T], str]], subject: T) -> Iterator[Shown]:
    """Takes steps until one does not hold."""
    for name, step in steps.items():
        began, held = time.monotonic(), True
        try:
            showed = step(subject)
        except (
            AssertionError,
            OSError,
            subprocess.SubprocessError,
        ) as error:  # what did not happen, or ended
            showed, held = str(error), False
        yield Shown(name, showed, time.monotonic() - began, held)
        if not held:
            return


def _nothing_is_left(folder: Path, began: float) -> Shown:
    """What a machine held for itself goes with it, in a moment."""
    with suppress(AssertionError):
        eventually(lambda: not remains(folder), "nothing is left")
    found = remains(folder)
    showed = (
        f"left over: {', '.join(found)}"
        if found
        else "no namespace, link, process, control group or file"
    )
    return Shown(NOTHING_IS_LEFT, showed, time.monotonic() - began, not found)


def _table(asked: Asked, rows: list[Shown]) -> Table:
    title = (
        f"{asked.connections:,} connections at {asked.rate:g}/s from {asked.agents} client machines"
    )
    table = Table("step", "what it showed", "took", "held", title=title)
    for row in rows:
        held = "[green]yes[/]" if row.held else "[red]NO[/]"
        table.add_row(row.step, escape(row.showed.partition("\n")[0]), f"{row.seconds:.1f} s", held)
    return table


if __name__ == "__main__":
    run_command(command, "rehearsal")
