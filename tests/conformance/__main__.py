"""Plays Autobahn's cases and loads real servers: two tables.

The command is `python -m tests.conformance`.
It exits with 1 when a case fails or a figure is wrong.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from loadgen.cli.options import run_command
from tests.conformance import autobahn
from tests.conformance.autobahn import COMPRESSED, LARGE, QUICK, Played, codes, ledger_faults
from tests.conformance.cell import HELD, NOT_RUN, SERVER_NAMES, WAYS, cell
from tests.conformance.load import lacks
from tests.conformance.verdict import (
    FAILED,
    GROUPS,
    INFORMATIONAL,
    NON_STRICT,
    PASSED,
    SKIPPED,
    Verdict,
)
from tests.tables import as_markdown, chosen, show

OUTCOMES = (PASSED, INFORMATIONAL, NON_STRICT, FAILED, SKIPPED)
CASES_HEAD = ("played", "group", *OUTCOMES, "of", "codes of the client's CLOSE")
SERVERS_HEAD = ("server", *WAYS)

Rows = list[tuple[str, ...]]
Play = Callable[[], tuple[Played, list[str]]]


def _own(groups: Sequence[int], *options: str, tls: bool = False) -> Play:
    def play() -> tuple[Played, list[str]]:
        found = autobahn.played(groups, *options, tls=tls)
        return found, ledger_faults(groups, found.summary)

    return play


def _original() -> tuple[Played, list[str]]:
    quick = autobahn.played_by_wstest(QUICK, rate=10)
    large = autobahn.played_by_wstest(LARGE, rate=1)
    return Played([*quick.verdicts, *large.verdicts], {}), []


COMPRESS = "--compress"
SUITES: dict[str, tuple[Play, Callable[[], str]]] = {
    "autobahn": (_own((*QUICK, *LARGE)), str),
    "autobahn TLS": (_own((*QUICK, *LARGE), tls=True), str),
    "autobahn compressed": (_own(COMPRESSED, COMPRESS), lambda: lacks(COMPRESS)),
    "wstest": (
        _original,
        lambda: "" if autobahn.has_wstest() else "no wstest, which needs Python 2.7",
    ),
}
"""How the cases are played, and what returns why they can't be; empty where they can."""


@click.command()
@click.argument("names", nargs=-1, metavar="[CASE…]")
@click.option(
    "--markdown",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the tables to FILE.",
)
def command(names: tuple[str, ...], markdown: Path | None) -> int:
    """Play Autobahn's cases, and load the servers that people run.

    A CASE is a way to play Autobahn's cases or a server; without one, all of them.
    """
    wanted = chosen(names, (*SUITES, *SERVER_NAMES))
    suites: Rows = []
    servers: Rows = []
    faults: list[str] = []
    for name in wanted:
        if name in SUITES:
            rows = _suite(name, faults)
            suites += rows
        else:
            rows = [_server(name, faults)]
            servers += rows
        for row in rows:
            click.echo(" | ".join(row))
    tables = [(CASES_HEAD, suites), (SERVERS_HEAD, servers)]
    for head, rows in tables:
        if rows:
            show(head, rows, None)
    for line in faults:
        click.echo(line)
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        parts = [as_markdown(head, rows) for head, rows in tables if rows]
        listed = ["".join(f"- {line}\n" for line in faults)] * bool(faults)
        markdown.write_text("\n".join(parts + listed))
    return int(bool(faults))


def _suite(name: str, faults: list[str]) -> Rows:
    """Returns a row for each group; the first has the name."""
    play, hindered = SUITES[name]
    if why := hindered():
        return [(name, f"{NOT_RUN}: {why}", *[""] * (len(CASES_HEAD) - 2))]
    try:
        found, wrong = play()
    except AssertionError as error:
        faults.append(f"{name}: {_in_a_line(error)}")
        return [(name, FAILED, *[""] * (len(CASES_HEAD) - 2))]
    faults += [f"{name}, loadgen's ledger: {line}" for line in wrong]
    faults += [f"{name} {v.name}: {v.why}" for v in found.verdicts if v.outcome == FAILED]
    groups = sorted({verdict.group for verdict in found.verdicts})
    return [
        (name if group == groups[0] else "", *_group(group, found.verdicts)) for group in groups
    ]


def _group(group: int, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    those = [verdict for verdict in verdicts if verdict.group == group]
    outcomes = Counter(verdict.outcome for verdict in those)
    counts = (str(outcomes[outcome]) for outcome in OUTCOMES)
    return (f"{group} {GROUPS[group]}", *counts, str(len(those)), codes(those))


def _server(name: str, faults: list[str]) -> tuple[str, ...]:
    """Returns the row of a server."""
    cells = [_cell(name, way) for way in WAYS]
    faults += [
        f"{name}, {way}: {found}"
        for way, found in zip(WAYS, cells, strict=True)
        if found != HELD and not found.startswith(NOT_RUN)
    ]
    return (name, *cells)


def _cell(name: str, way: str) -> str:
    try:
        return cell(name, way)
    except AssertionError as error:  # a server that did not start, or a run that did not end
        return f"{FAILED}: {_in_a_line(error)}"


def _in_a_line(error: AssertionError) -> str:
    """Returns the end of what an assertion says, on one line."""
    return " ".join(str(error).split())[-300:].replace("|", "/")


if __name__ == "__main__":
    run_command(command, "conformance")
