"""Tables on a terminal or elsewhere, and memory as people write it."""

from rich.console import Console
from rich.table import Table

from loadgen.machine.limits import GIB, MIB

PLAIN_WIDTH = 1_000
"""Columns of a table that is not shown on a terminal, so that no line is cut or folded."""


def print_table(rows: Table) -> None:
    """Prints a table: as wide as the terminal, or else as it needs."""
    console = Console()
    console = console if console.is_terminal else Console(width=PLAIN_WIDTH)
    console.print(rows)


def memory_text(size: int) -> str:
    """Returns bytes in MiB or GiB: `459 MiB`."""
    return f"{size / GIB:,.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"
