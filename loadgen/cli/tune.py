"""`loadgen-tune`: what this machine can hold, which limit gives out first, and the settings that
raise it."""

import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from loadgen.cli.options import DURATION, RATE, run_command
from loadgen.errors import OperatorError
from loadgen.machine.addresses import DEFAULT_PORTS
from loadgen.machine.facts import Machine, facts, read_machine
from loadgen.machine.limits import (
    GIB,
    MIB,
    TARGET_FILL,
    Advice,
    Limit,
    advice,
    client_limits,
    limiting_resource,
    target_limits,
    workers_needed,
)
from loadgen.machine.sizing import Sizing, sizing_of
from loadgen.machine.sysctl import Outcome, Sysctls
from loadgen.machine.tuning import CONNECTIONS, Role, Setting, wanted
from loadgen.values import DEFAULT_MAX_CONNECTIONS, REFERENCE_CONNECTIONS

SIZES = (1_000, 10_000, DEFAULT_MAX_CONNECTIONS, 128_000, 250_000, 500_000, REFERENCE_CONNECTIONS)
"""The numbers of connections that a capacity table has a row for, unless it is told others."""
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
    settings: list[Setting]
    """What `apply` would set."""
    machine: dict[str, Any]


def examine(machine: Machine, role: Role, connections: int) -> Finding:
    """What a machine holds in a role, with as many workers as so many connections need."""
    limits = _limits(machine, role, connections)
    first = limiting_resource(limits)
    assert first is not None, "descriptors always have a limit"
    return Finding(
        role=role,
        connections=connections,
        holds=first.connections,
        first=first.resource,
        ok=first.connections >= connections,
        limits=limits,
        advice=advice(machine, role, connections),
        settings=list(wanted(machine, role, connections)),
        machine=facts(machine),
    )


def _limits(machine: Machine, role: Role, connections: int) -> list[Limit]:
    if role == "target":
        workers = workers_needed(connections, machine, machine.cpus, TARGET_FILL)
        return target_limits(machine, workers=workers, connections=connections)
    workers = workers_needed(connections, machine, machine.cpus)
    limits = client_limits(
        machine, addresses=1, ports=DEFAULT_PORTS, workers=workers, max_connections=connections
    )
    return [
        limit for limit in limits if limit.resource != "max_connections"
    ]  # the agent's option, not the machine's


def table(finding: Finding) -> Table:
    """The finding for people: a row for each limit, with the mend where it falls short, then one
    for each advice."""
    rows = Table("limit", box=box.SIMPLE_HEAD, pad_edge=False)
    rows.add_column("now", overflow="fold")
    rows.add_column(f"needed for {finding.connections:,}", overflow="fold")
    rows.add_column("holds", justify="right")
    rows.add_column("verdict")
    rows.add_column("fix", overflow="fold")
    for limit in finding.limits:
        short = limit.connections < finding.connections
        verdict, fix = ("[red]short[/]", limit.fix) if short else ("[green]ok[/]", "")
        rows.add_row(
            limit.resource, limit.detail, limit.needed, f"{limit.connections:,}", verdict, fix
        )
    for item in finding.advice:
        rows.add_row(item.resource, item.detail, "", "–", "[yellow]advice[/]", item.fix)
    return rows


def last_line(finding: Finding) -> str:
    """The finding in one sentence."""
    fix = next(limit.fix for limit in finding.limits if limit.resource == finding.first)
    return (
        f"this machine can hold {finding.holds:,} connections as {finding.role}, limited by"
        f" {finding.first}: {fix}"
    )


def role_and_connections(function: Any) -> Any:
    """The two options that say what a machine is to hold."""
    role = click.option(
        "--role",
        type=click.Choice(list(CONNECTIONS)),
        default="client",
        show_default=True,
        help="What the machine is in a run.",
    )
    connections = click.option(
        "--connections",
        type=click.IntRange(min=1),
        show_default=f"{CONNECTIONS['client']} as client, {CONNECTIONS['target']} as target",
        help="How many this machine is to hold.",
    )
    return role(connections(function))


@click.group(no_args_is_help=False)
def command() -> None:
    """Says what this machine can hold, raises it, and puts it back exactly."""


@command.command()
@role_and_connections
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on one line instead of the table."
)
def check(role: Role, connections: int | None, as_json: bool) -> int:
    """Shows how many connections each resource carries; exits 1 when one of them carries too
    few."""
    finding = examine(read_machine(), role, connections or CONNECTIONS[role])
    if as_json:
        click.echo(msgspec.json.encode(finding))
        return 0 if finding.ok else 1
    _print(table(finding))
    if finding.settings:
        keys = ", ".join(setting.key for setting in finding.settings)
        click.echo(f"loadgen-tune apply --role {role} would raise {keys}")
    click.echo(last_line(finding))
    return 0 if finding.ok else 1


@command.command()
@role_and_connections
@click.option("--yes", is_flag=True, help="Set them without asking.")
@click.option("--persist", is_flag=True, help="Write a drop-in too, so that they outlive a reboot.")
def apply(role: Role, connections: int | None, yes: bool, persist: bool) -> int:
    """Shows the kernel settings that fall short; sets them with --yes or after a yes, and
    remembers the old values."""
    sysctls = Sysctls()
    asked = connections or CONNECTIONS[role]
    machine = read_machine()
    settings = wanted(machine, role, asked)
    if not settings and not (persist and sysctls.unwritten):
        click.echo(f"nothing to set: every kernel setting carries {asked:,} connections as {role}")
        return 0
    _print(settings_table(sysctls, settings))
    obstacle = sysctls.obstacle(setting.key for setting in settings)
    if obstacle and yes:
        raise OperatorError(obstacle)
    if obstacle or not (yes or (sys.stdin.isatty() and click.confirm("set them?"))):
        click.echo(f"nothing was set: {obstacle or 'that takes --yes'}")
        return 0
    return _told(sysctls.apply(settings, persist=persist))


@command.command()
@click.option("--force", is_flag=True, help="Put back also what others changed since.")
def undo(force: bool) -> int:
    """Puts back exactly what `apply` found; what others changed since is said and left as it is."""
    sysctls = Sysctls()
    obstacle = sysctls.obstacle(change.key for change in sysctls.state().changes)
    if obstacle:
        raise OperatorError(obstacle)
    return _told(sysctls.undo(force=force))


@command.command()
@click.argument("connections", type=click.IntRange(min=1), nargs=-1)
@click.option("--rate", type=RATE, default=2000.0, show_default="2000", help="Arrivals per second.")
@click.option(
    "--think",
    type=DURATION,
    default=30.0,
    show_default="30",
    help="Seconds between two pings of each.",
)
def capacity(connections: tuple[int, ...], rate: float, think: float) -> int:
    """Shows what so many CONNECTIONS take of the client machines together, and of the machine
    under load."""
    if not think:
        raise OperatorError(
            "--think 0: pings without a pause between them take all there is; give seconds above 0"
        )
    _print(capacity_table([sizing_of(number, rate, think) for number in connections or SIZES]))
    click.echo(
        f"at {rate:,g} arrivals a second and a ping every {think:g} s, on measured figures"
        " (docs/cost-model.md);"
    )
    click.echo(
        "memory with the kernel's; the machine under load with the embedded target, your server's"
        " own on top"
    )
    return 0


def capacity_table(demands: Sequence[Sizing]) -> Table:
    """A row for each number of connections."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in (
        "connections",
        "source addresses",
        "clients' memory",
        "cores",
        "target's memory",
        "cores",
    ):
        rows.add_column(name, justify="right")
    for one in demands:
        client = _memory(one.client_bytes), f"{one.client_cores:.1f}"
        target = _memory(one.target_bytes), f"{one.target_cores:.1f}"
        rows.add_row(f"{one.connections:,}", f"{one.addresses:,}", *client, *target)
    return rows


def _memory(size: int) -> str:
    return f"{size / GIB:,.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"


def settings_table(sysctls: Sysctls, settings: Sequence[Setting]) -> Table:
    """Each setting as it is and as it would be, with its reason."""
    rows = Table("setting", "now", "to be", "reason", box=box.SIMPLE_HEAD, pad_edge=False)
    for setting in settings:
        rows.add_row(setting.key, sysctls.now(setting.key), setting.value, setting.reason)
    return rows


def _print(rows: Table) -> None:
    console = Console()
    console = console if console.is_terminal else Console(width=PLAIN_WIDTH)
    console.print(rows)


def _told(steps: Sequence[Outcome]) -> int:
    """Says every step; 1 when one of them was not done."""
    for step in steps:
        click.echo(step.text)
    return 0 if all(step.done for step in steps) else 1


def main() -> None:
    """The console script."""
    run_command(command, "loadgen-tune")


if __name__ == "__main__":
    main()
