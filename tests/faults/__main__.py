"""Injects each fault into a new fleet and prints the outcomes.

The command is `python -m tests.faults`. It exits with 1 if the outcome of one is not the promised
one.
"""

from pathlib import Path

import click

from tests.faults import fleet, machines, target  # noqa: F401 -- they fill the table
from tests.faults.fault import FAULTS, FaultOutcome
from tests.faults.lan import Lan, enter
from tests.faults.stage import Stage, play
from tests.tables import chosen, show

HEAD = (
    "fault",
    "injected",
    "our ledger",
    "the target's ledger",
    "noticed",
    "recovered",
    "counts lost",
)


@click.command()
@click.argument("names", nargs=-1, metavar="[FAULT…]")
@click.option(
    "--markdown",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the table to FILE.",
)
def command(names: tuple[str, ...], markdown: Path | None) -> None:
    """Inject faults into fleets on hosts in network namespaces.

    Without a FAULT, all of them.
    """
    enter("tests.faults")
    wanted = chosen(names, FAULTS)
    lan = Lan()
    rows = []
    failed = 0
    for name in wanted:
        row = _row(lan, name)
        failed += row[2].startswith("FAILED")
        click.echo(" | ".join(row))
        rows.append(row)
    show(HEAD, rows, markdown)
    raise SystemExit(1 if failed else 0)


def _row(lan: Lan, name: str) -> tuple[str, ...]:
    injected, inject = FAULTS[name]
    outcome = play(Stage, lan, inject)
    if isinstance(outcome, str):
        outcome = FaultOutcome(outcome, "")
    return (
        name,
        injected,
        outcome.ledger,
        outcome.target,
        _seconds(outcome.noticed),
        _seconds(outcome.recovered),
        str(outcome.lost),
    )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


if __name__ == "__main__":
    command()
