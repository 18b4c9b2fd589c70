"""`python -m tests.million`: makes the run and prints its claims.

It exits with 1 when a claim fails, and with 2 when the run can't be made.
"""

from pathlib import Path
from typing import get_args

import click
from rich.console import Console
from rich.table import Table

from loadgen.cli.options import DURATION, RATE, run_command
from loadgen.plan.plan import Grain
from tests.million.claims import Claim, claims_of
from tests.million.drive import drive
from tests.million.network import enter
from tests.million.options import MillionOptions
from tests.million.phases import phases_of
from tests.million.publish import publish
from tests.million.record import read_record


@click.command(context_settings={"show_default": True})
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=1_000_000,
    metavar="N",
    help="Connections.",
)
@click.option("--rate", type=RATE, default=2000, metavar="R", help="Arrivals per second.")
@click.option("--hold", type=DURATION, default="120", help="Seconds that all are held.")
@click.option(
    "--think", type=DURATION, default="30", help="Seconds between two pings of a connection."
)
@click.option(
    "--ping",
    type=click.Choice(["protocol", "app", "none"]),
    default="protocol",
    help="As for loadgen-coord.",
)
@click.option(
    "--grain",
    type=click.Choice(get_args(Grain)),
    default=MillionOptions().grain,
    help="As for loadgen-coord.",
)
@click.option("--agents", type=click.IntRange(min=1), default=16, metavar="N", help="Local agents.")
@click.option(
    "--out", type=click.Path(path_type=Path), default="runs", help="Directory of run directories."
)
@click.option(
    "--publish",
    "into",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Copy the run to DIR, in place of an earlier one of its kind; write DIR/README.md.",
)
def command(out: Path, into: Path | None, **asked: int | float | str) -> int:
    """Hold many connections on this machine, and check what the run claims.

    They are between local agents and a target.
    """
    enter()
    folder = drive(MillionOptions(**asked), out)  # type: ignore[arg-type]  # click gave each option its type
    record = read_record(folder)
    claims = claims_of(record, phases_of(record))
    Console(width=120).print(_table(claims))
    if into is not None:
        click.echo(f"published: {publish(folder, into)}")
    return 0 if all(claim.held for claim in claims) else 1


def _table(claims: list[Claim]) -> Table:
    table = Table("claim", "asked", "measured", "held", title="what this run proves")
    for claim in claims:
        table.add_row(
            claim.name, claim.asked, claim.measured, "[green]yes[/]" if claim.held else "[red]NO[/]"
        )
    return table


if __name__ == "__main__":
    run_command(command, "million")
