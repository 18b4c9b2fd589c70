"""`python -m tests.faults`: each fault on a fleet of its own, and a table of what came of it;
exits 1 if one fails."""

import os
import subprocess
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tests.faults import of_the_fleet, of_the_machines, of_the_target  # noqa: F401 -- they fill the list
from tests.faults.fault import FAULTS, Found
from tests.faults.lan import Lan, enter
from tests.faults.stage import Stage

HEAD = (
    "fault",
    "injected",
    "what the ledger said",
    "what the target said",
    "noticed",
    "recovered",
    "counts lost",
)


@click.command()
@click.argument("names", nargs=-1, metavar="[FAULT…]")
@click.option(
    "--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Write the table there too."
)
def command(names: tuple[str, ...], markdown: Path | None) -> None:
    """Breaks real fleets, on hosts in network namespaces. Without a FAULT: all of them."""
    enter("tests.faults")
    unknown = set(names) - FAULTS.keys()
    if unknown:
        raise click.UsageError(
            f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}"
        )
    lan, rows, failed = Lan(), [], 0
    for name in names or FAULTS:
        row = _row(lan, name)
        failed += row[2].startswith("FAILED")
        click.echo(" | ".join(row))
        rows.append(row)
    Console(width=200).print(_table(rows))
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        markdown.write_text(_markdown(rows))
    raise SystemExit(1 if failed else 0)


def _row(lan: Lan, name: str) -> tuple[str, ...]:
    injected, strike = FAULTS[name]
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(lan, Path(folder))
        try:
            found = strike(stage)
        except (
            AssertionError,
            OSError,
            subprocess.SubprocessError,
        ) as error:  # what did not happen, or ended
            found = Found(f"FAILED: {error}", "")
        left = stage.close()
        if left:
            found = Found(f"FAILED: processes {left} are left over", "")
        return (
            name,
            injected,
            found.ledger,
            found.target,
            _seconds(found.noticed),
            _seconds(found.recovered),
            str(found.lost),
        )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def _table(rows: list[tuple[str, ...]]) -> Table:
    table = Table(*HEAD)
    for row in rows:
        table.add_row(*row)
    return table


def _markdown(rows: list[tuple[str, ...]]) -> str:
    lines = [HEAD, ("---",) * len(HEAD), *rows]
    return "".join(f"| {' | '.join(line)} |{os.linesep}" for line in lines)


if __name__ == "__main__":
    command()
