"""`python -m tests.truth`: injects each case, and prints what is reported.

It exits with 1 when a figure is wrong.
"""

from pathlib import Path

import click

from loadgen.cli.options import run_command
from tests.tables import chosen, show
from tests.truth import arrivals, deliveries, ends, machines, pings  # noqa: F401 -- they fill the table
from tests.truth.case import CASES, Case

HEAD = ("case", "injected", "figure", "truth", "reported", "")


@click.command()
@click.argument("names", nargs=-1, metavar="[CASE…]")
@click.option(
    "--markdown",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the table to FILE.",
)
def command(names: tuple[str, ...], markdown: Path | None) -> int:
    """Compare what loadgen reports with what is injected.

    Without a CASE, all of them.
    """
    rows = []
    for name in chosen(names, CASES):
        found = rows_of(name, CASES[name])
        for row in found:
            click.echo(" | ".join(row))
        rows += found
    show(HEAD, rows, markdown)
    return int(any(row[-1] != "held" for row in rows))


def rows_of(name: str, one: Case) -> list[tuple[str, ...]]:
    """Returns the rows of a case; the first has its name."""
    found = one.find()
    heads = [(name, one.injected), *[("", "")] * (len(found) - 1)]
    return [
        (*head, figure, truth, reported, "held" if held else "WRONG")
        for head, (figure, truth, reported, held, _) in zip(heads, found, strict=True)
    ]


if __name__ == "__main__":
    run_command(command, "truth")
