"""Holds each trial on a new fleet and prints the outcomes.

The command is `python -m tests.hostile`. It exits with 1 if a promise was broken in one of them.
"""

import os
import re
from pathlib import Path

import click

from tests.faults.lan import Lan, enter
from tests.faults.stage import play
from tests.hostile import (  # noqa: F401 -- they fill the table
    clocks,
    disks,
    escapes,
    floods,
    forgeries,
    joins,
    numbers,
    outputs,
    secrets,
    sessions,
    signals,
    targets,
    watch,
)
from tests.hostile.arena import Arena, Survived
from tests.hostile.trial import TRIALS
from tests.tables import chosen, show

HEAD = (
    "trial",
    "done",
    "our ledger",
    "the target's ledger",
    "noticed",
    "coordinator's CPU",
    "longest post",
)
MAX_DELAY = 0.25
"""The seconds that a post of an agent may wait for its reply."""
MAX_CELL = 200
"""The most characters of what failed."""


@click.command()
@click.argument("names", nargs=-1, metavar="[TRIAL…]")
@click.option("--small", is_flag=True, help="Only those that are quick enough for the gate.")
@click.option("--busy", is_flag=True, help="Judge no delays: the machine has other work as well.")
@click.option(
    "--markdown",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the table to FILE.",
)
def command(names: tuple[str, ...], *, small: bool, busy: bool, markdown: Path | None) -> None:
    """Treat fleets badly, on hosts in network namespaces.

    Without a TRIAL, in each way that the table knows.
    """
    # Root needs no user namespace, and may then mount what stands still.
    enter("tests.hostile", as_root=os.geteuid() == 0)
    wanted = chosen(names, TRIALS)
    lan = Lan()
    rows = []
    failed = 0
    for name in wanted:
        if small and not TRIALS[name].small:
            continue
        row = _row(lan, name, busy=busy)
        failed += row[2].startswith("FAILED")
        click.echo(" | ".join(row))
        rows.append(row)
    show(HEAD, rows, markdown)
    raise SystemExit(1 if failed else 0)


def _row(lan: Lan, name: str, *, busy: bool) -> tuple[str, ...]:
    trial = TRIALS[name]
    outcome = play(Arena, lan, trial.act)
    if isinstance(outcome, str):
        return name, trial.done, _in_a_cell(outcome), *[""] * 4
    slow = not busy and outcome.delay is not None and outcome.delay > MAX_DELAY
    return (
        name,
        trial.done,
        f"FAILED: a post waited too long; {outcome.ledger}" if slow else outcome.ledger,
        outcome.target,
        *_figures(outcome),
    )


def _in_a_cell(text: str) -> str:
    """Returns a text as one short line, without the names of temporary files."""
    line = " ".join(re.sub(r"/(?:tmp|work|home|root|usr)/\S+", "…", text).split())
    return line.replace("|", "/")[:MAX_CELL]


def _figures(outcome: Survived) -> tuple[str, str, str]:
    return (
        "–" if outcome.noticed is None else f"{outcome.noticed:.1f} s",
        "–" if outcome.cpu is None else f"{outcome.cpu:.0%}",
        "–" if outcome.delay is None else f"{1000 * outcome.delay:.0f} ms",
    )


if __name__ == "__main__":
    command()
