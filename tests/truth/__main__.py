"""`python -m tests.truth`: injects each case, and prints what is reported.

It exits with 1 when a figure is wrong.
"""

import os
from pathlib import Path
from time import monotonic

import click

from loadgen.cli.options import run_command
from tests.tables import chosen, show
from tests.truth import arrivals, deliveries, ends, machines, pings  # noqa: F401 -- they fill the table
from tests.truth.case import CASES, Case, Finding

ATTEMPTS = 5
"""How often a case is played at most."""
MAX_STOLEN = 0.5
"""The part of a percentile's tail that the hypervisor falsifies by as much CPU time.

The tail of a p99 is 1 % of the values: 0.5 % of the CPU time makes half of them late.
"""
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
    """Returns the rows of a case; the first has its name.

    A case with a wrong time is played again where other machines on the same hardware took CPU
    time from this one: that time proves nothing.
    """
    for _ in range(ATTEMPTS):
        found, stolen = watched(one)
        if not any(falsified(finding, stolen) for finding in found if not finding.held):
            break
    heads = [(name, one.injected), *[("", "")] * (len(found) - 1)]
    return [
        (*head, finding.figure, finding.truth, finding.reported, verdict(finding, stolen))
        for head, finding in zip(heads, found, strict=True)
    ]


def watched(one: Case) -> tuple[list[Finding], float]:
    """Returns the findings of a case, and the part of the CPU time taken meanwhile."""
    began, taken = monotonic(), stolen_seconds()
    found = one.find()
    seconds = (monotonic() - began) * len(os.sched_getaffinity(0))
    return found, (stolen_seconds() - taken) / seconds


def stolen_seconds() -> float:
    """Returns the CPU seconds that other machines took so far; proc(5), /proc/stat."""
    steal = Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]
    return int(steal) / os.sysconf("SC_CLK_TCK")


def falsified(finding: Finding, stolen: float) -> bool:
    """Returns True for a time that the CPU time taken by others may have made wrong."""
    return finding.tail > 0 and stolen >= MAX_STOLEN * finding.tail


def verdict(finding: Finding, stolen: float) -> str:
    """Returns the last column of a row."""
    if finding.held:
        return "held"
    unproved = falsified(finding, stolen)
    return f"unproved: {stolen:.2%} of the CPU was taken" if unproved else "WRONG"


if __name__ == "__main__":
    run_command(command, "truth")
