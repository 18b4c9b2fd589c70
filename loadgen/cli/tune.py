"""`loadgen-tune`: the capacity of this machine, and the settings that raise it.

The capacity is that of the limiting resource, which is shown with its fix.
"""

import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec
from rich import box
from rich.table import Table

from loadgen.cli.options import CountType, run_command
from loadgen.cli.tables import memory_text, print_table
from loadgen.cli.tune_plan import WITH_RATE, WITH_THINK, plan
from loadgen.errors import OperatorError
from loadgen.machine.addresses import DEFAULT_PORTS
from loadgen.machine.facts import Machine, facts, read_machine
from loadgen.machine.limits import (
    MAX_CONNECTIONS,
    Advice,
    Limit,
    advice,
    client_limits,
    limiting_resource,
    target_limits,
)
from loadgen.machine.sizing import Sizing, sizing_of
from loadgen.machine.sysctl import Outcome, Sysctls
from loadgen.machine.tuning import CONNECTIONS, Role, Setting, wanted
from loadgen.machine.workers import client_workers, target_workers
from loadgen.values import DEFAULT_MAX_CONNECTIONS, REFERENCE_CONNECTIONS

SIZES = (1_000, 10_000, DEFAULT_MAX_CONNECTIONS, 128_000, 250_000, 500_000, REFERENCE_CONNECTIONS)
"""The numbers of connections in a capacity table, unless others are given."""


class Finding(msgspec.Struct, frozen=True):
    """The result of a check; `--json` prints its JSON form."""

    role: Role
    connections: int
    """The number that was asked for."""
    holds: int
    first: str
    """The limiting resource."""
    ok: bool
    workers: int
    """The processes that share the connections."""
    workers_reason: str
    """Why it is that number."""
    limits: list[Limit]
    advice: list[Advice]
    settings: list[Setting]
    """The settings that `apply` sets."""
    machine: dict[str, Any]


def examine(
    machine: Machine, role: Role, connections: int, ways: int = 1, *, tls: bool = False
) -> Finding:
    """Returns the capacity of a machine in a role, with the workers that it takes.

    `ways` is the number of addresses of the target; 0: it is a Unix socket. `tls`: a client's
    connections have TLS.
    """
    if role == "client":
        workers = client_workers(connections, machine, tls=tls)
    else:
        workers = target_workers(connections, machine)
    limits = _limits(machine, role, connections, ways, workers.number, tls=tls)
    first = limiting_resource(limits)
    assert first is not None, "descriptors always have a limit"
    return Finding(
        role=role,
        connections=connections,
        holds=first.connections,
        first=first.resource,
        ok=first.connections >= connections,
        workers=workers.number,
        workers_reason=workers.reason,
        limits=limits,
        advice=advice(machine, role, connections),
        settings=list(wanted(machine, role, connections)),
        machine=facts(machine),
    )


def _limits(
    machine: Machine, role: Role, connections: int, ways: int, workers: int, *, tls: bool
) -> list[Limit]:
    if role == "target":
        return target_limits(machine, workers=workers, connections=connections)
    limits = client_limits(
        machine,
        addresses=1,
        ports=DEFAULT_PORTS,
        workers=workers,
        max_connections=connections,
        ways=ways,
        tls=tls,
    )
    # max_connections is an option of the agent, no resource of the machine.
    return [limit for limit in limits if limit.resource != MAX_CONNECTIONS]


def table(finding: Finding) -> Table:
    """Returns a row for each limit, with a fix where it falls short, and the advice."""
    rows = Table("limit", box=box.SIMPLE_HEAD, pad_edge=False)
    rows.add_column("now", overflow="fold")
    rows.add_column(f"needed for {finding.connections:,}", overflow="fold")
    rows.add_column("holds", justify="right")
    rows.add_column("verdict")
    rows.add_column("fix", overflow="fold")
    for limit in finding.limits:
        short = limit.connections < finding.connections
        rows.add_row(
            limit.resource,
            limit.detail,
            limit.needed,
            f"{limit.connections:,}",
            "[red]short[/]" if short else "[green]ok[/]",
            limit.fix if short else "",
        )
    for item in finding.advice:
        rows.add_row(item.resource, item.detail, "", "–", "[yellow]advice[/]", item.fix)
    return rows


def last_line(finding: Finding) -> str:
    """Returns the finding in one sentence."""
    fix = next(limit.fix for limit in finding.limits if limit.resource == finding.first)
    return (
        f"this machine can hold {finding.holds:,} connections as {finding.role}, limited by"
        f" {finding.first}: {fix}"
    )


def role_and_connections(function: Any) -> Any:
    """Adds the options `--role` and `--connections` to a command."""
    role = click.option(
        "--role",
        type=click.Choice(list(CONNECTIONS)),
        default="client",
        show_default=True,
        help="Role of the machine in a run.",
    )
    connections = click.option(
        "--connections",
        type=CountType(min=1),
        show_default=f"{CONNECTIONS['client']} as client, {CONNECTIONS['target']} as target",
        help="Connections that this machine is to hold.",
    )
    return role(connections(function))


WITH_TLS = click.option(
    "--tls", is_flag=True, help="The clients' connections have TLS (wss://), which takes memory."
)


@click.group(no_args_is_help=False)
def command() -> None:
    """Shows what this machine can hold, raises it, and puts it back exactly."""


@command.command()
@role_and_connections
@click.option(
    "--target-addresses",
    type=CountType(min=0),
    default=1,
    show_default=True,
    help="Addresses of the target's name; a client has all its source ports towards each. 0: a"
    " Unix socket.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object on one line, not the table.",
)
@WITH_TLS
def check(
    role: Role, connections: int | None, target_addresses: int, as_json: bool, tls: bool
) -> int:
    """Shows how many connections each resource carries.

    Exits 1 when one carries too few.
    """
    asked = connections or CONNECTIONS[role]
    finding = examine(read_machine(), role, asked, target_addresses, tls=tls)
    if as_json:
        click.echo(msgspec.json.encode(finding))
        return 0 if finding.ok else 1
    print_table(table(finding))
    if finding.settings:
        keys = ", ".join(setting.key for setting in finding.settings)
        click.echo(f"loadgen-tune apply --role {role} would raise {keys}")
    click.echo(f"workers: {finding.workers:,}, {finding.workers_reason}")
    click.echo(last_line(finding))
    return 0 if finding.ok else 1


@command.command()
@role_and_connections
@click.option("--yes", is_flag=True, help="Set them without asking.")
@click.option("--persist", is_flag=True, help="Write a drop-in too, so that they survive a reboot.")
def apply(role: Role, connections: int | None, yes: bool, persist: bool) -> int:
    """Shows the settings that fall short, and sets them with --yes or after a yes.

    It remembers the old values for undo.
    """
    sysctls = Sysctls()
    asked = connections or CONNECTIONS[role]
    machine = read_machine()
    settings = wanted(machine, role, asked)
    if not settings and not (persist and sysctls.unwritten):
        click.echo(f"nothing to set: every kernel setting carries {asked:,} connections as {role}")
        return 0
    print_table(settings_table(sysctls, settings))
    obstacle = sysctls.obstacle(setting.key for setting in settings)
    if obstacle and yes:
        raise OperatorError(obstacle)
    if obstacle or not (yes or (sys.stdin.isatty() and click.confirm("set them?"))):
        click.echo(f"nothing was set: {obstacle or 'give --yes to set them'}")
        return 0
    return _print_outcomes(sysctls.apply(settings, persist=persist))


@command.command()
@click.option("--force", is_flag=True, help="Also put back what others have changed since.")
def undo(force: bool) -> int:
    """Puts back exactly what apply found.

    Reports and keeps what others have changed since.
    """
    sysctls = Sysctls()
    obstacle = sysctls.obstacle(change.key for change in sysctls.state().changes)
    if obstacle:
        raise OperatorError(obstacle)
    return _print_outcomes(sysctls.undo(force=force))


@command.command()
@click.argument("connections", type=CountType(min=1), nargs=-1)
@WITH_RATE
@WITH_THINK
@WITH_TLS
def capacity(connections: tuple[int, ...], rate: float, think: float, tls: bool) -> int:
    """Shows the needs of CONNECTIONS on all clients, and on the machine under load."""
    if not think:
        raise OperatorError(
            "--think 0: pings without a pause take any number of cores; give seconds above 0"
        )
    sizings = [sizing_of(number, rate, think, tls=tls) for number in connections or SIZES]
    print_table(capacity_table(sizings))
    click.echo(
        f"at {rate:,g} arrivals a second and a ping every {think:g} s, on measured figures"
        " (docs/cost-model.md);"
    )
    click.echo(
        "memory includes the kernel's; the machine under load runs the embedded target, your own"
        " server takes more"
    )
    if tls:
        click.echo("TLS: the clients' memory is in it; the CPU of handshakes is not")
    return 0


def capacity_table(sizings: Sequence[Sizing]) -> Table:
    """Returns a row for each number of connections."""
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
    for sizing in sizings:
        rows.add_row(
            f"{sizing.connections:,}",
            f"{sizing.addresses:,}",
            memory_text(sizing.client_bytes),
            f"{sizing.client_cores:.1f}",
            memory_text(sizing.target_bytes),
            f"{sizing.target_cores:.1f}",
        )
    return rows


def settings_table(sysctls: Sysctls, settings: Sequence[Setting]) -> Table:
    """Returns each setting as it is and as it would be, with its reason."""
    rows = Table("setting", "now", "to be", "reason", box=box.SIMPLE_HEAD, pad_edge=False)
    for setting in settings:
        rows.add_row(setting.key, sysctls.now(setting.key), setting.value, setting.reason)
    return rows


def _print_outcomes(outcomes: Sequence[Outcome]) -> int:
    """Prints every outcome; returns 1 when one of them was not done."""
    for outcome in outcomes:
        click.echo(outcome.text)
    return 0 if all(outcome.done for outcome in outcomes) else 1


command.add_command(plan)


def main() -> None:
    """The console script."""
    run_command(command, "loadgen-tune")


if __name__ == "__main__":
    main()
