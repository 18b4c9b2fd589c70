"""`loadgen-tune`: what this machine can hold, and which limit gives out first."""

from typing import Any, Literal

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from loadgen.capacity import Limit, first_to_give_out
from loadgen.limits import TARGET_FILL, Advice, advice, client_limits, target_limits, workers_needed
from loadgen.machine import Machine, facts, read_machine
from loadgen.params import run_command
from loadgen.sources import DEFAULT_PORTS

Role = Literal["client", "target"]
CONNECTIONS: dict[Role, int] = {"client": 64_000, "target": 1_000_000}
"""What a machine of each role is asked to hold in a run of a million connections over sixteen agents."""
PLAIN_WIDTH = 1_000
"""Columns where nobody looks through a window: no line is cut or folded."""


class Finding(msgspec.Struct, frozen=True):
    """What a check found; its JSON form is what `--json` prints."""

    role: Role
    connections: int
    """How many were asked for."""
    holds: int
    first: str
    """The resource that gives out first."""
    ok: bool
    limits: list[Limit]
    advice: list[Advice]
    machine: dict[str, Any]


def examine(machine: Machine, role: Role, connections: int) -> Finding:
    """What a machine holds in a role, with as many workers as so many connections need."""
    limits = _limits(machine, role, connections)
    first = first_to_give_out(limits)
    assert first is not None, "descriptors always have a limit"
    return Finding(
        role=role,
        connections=connections,
        holds=first.connections,
        first=first.resource,
        ok=first.connections >= connections,
        limits=limits,
        advice=advice(machine, role),
        machine=facts(machine),
    )


def _limits(machine: Machine, role: Role, connections: int) -> list[Limit]:
    if role == "target":
        workers = workers_needed(connections, machine, machine.cpus, TARGET_FILL)
        return target_limits(machine, workers=workers, connections=connections)
    workers = workers_needed(connections, machine, machine.cpus)
    limits = client_limits(machine, addresses=1, ports=DEFAULT_PORTS, workers=workers, max_connections=connections)
    return [limit for limit in limits if limit.resource != "max_connections"]  # the agent's option, not the machine's


def table(finding: Finding) -> Table:
    """The finding for people: a row for each limit, the mend where it falls short, then a row for each advice."""
    rows = Table("resource", box=box.SIMPLE_HEAD, pad_edge=False)
    rows.add_column("holds", justify="right")
    rows.add_column("reading", overflow="fold")
    rows.add_column("verdict", overflow="fold")
    for limit in finding.limits:
        enough = limit.connections >= finding.connections
        verdict = "[green]ok[/]" if enough else f"[red]short[/]: {limit.mend}"
        rows.add_row(limit.resource, f"{limit.connections:,}", limit.detail, verdict)
    for item in finding.advice:
        rows.add_row(item.resource, "–", item.detail, f"[yellow]advice[/]: {item.mend}")
    return rows


def last_line(finding: Finding) -> str:
    """The finding in one sentence."""
    mend = next(limit.mend for limit in finding.limits if limit.resource == finding.first)
    return (
        f"this machine can hold {finding.holds} connections as {finding.role}; {finding.first} gives out first: {mend}"
    )


@click.group(no_args_is_help=False)
def command() -> None:
    """Says what this machine can hold."""


@command.command()
@click.option("--role", type=click.Choice(list(CONNECTIONS)), default="client", show_default=True)
@click.option(
    "--connections",
    type=click.IntRange(min=1),
    show_default="64000 as client, 1000000 as target",
    help="How many this machine is to hold.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on one line instead of the table.")
def check(role: Role, connections: int | None, as_json: bool) -> int:
    """Shows how many connections each resource carries; exits 1 when one of them carries too few."""
    finding = examine(read_machine(), role, connections or CONNECTIONS[role])
    if as_json:
        click.echo(msgspec.json.encode(finding))
    else:
        console = Console()
        console = console if console.is_terminal else Console(width=PLAIN_WIDTH)
        console.print(table(finding))
        click.echo(last_line(finding))
    return 0 if finding.ok else 1


def main() -> None:
    """The console script."""
    run_command(command, "loadgen-tune")


if __name__ == "__main__":
    main()
