"""Commands that work off a table of named entries, and print a row for each."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
"""A table in Markdown."""


def chosen(names: Sequence[str], known: Collection[str]) -> Collection[str]:
    """Returns the names, or all that are known where none is given.

    Raises click.UsageError for one that is not known.
    """
    unknown = {*names} - {*known}
    if unknown:
        raise click.UsageError(
            f"unknown: {', '.join(sorted(unknown))}; name some of: {', '.join(known)}"
        )
    return names or known


def show(head: Sequence[str], rows: Sequence[Sequence[str]], markdown: Path | None) -> None:
    """Prints a table, and writes it to a Markdown file where one is given.

    In a file with tables it takes the place of the last one.
    """
    table = Table(*head)
    for row in rows:
        table.add_row(*row)
    Console(width=200).print(table)
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        before = markdown.read_text() if markdown.exists() else ""
        tables = [*TABLE.finditer(before)]
        begin, end = tables[-1].span() if tables else (0, len(before))
        markdown.write_text(before[:begin] + as_markdown(head, rows) + before[end:])


def as_markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
