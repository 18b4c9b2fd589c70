"""`loadgen-tune plan`: machines, settings and commands of a load, and its bill."""

import shlex
from collections.abc import Iterator, Sequence

import click
import msgspec
from rich import box
from rich.table import Table

from loadgen.cli.options import DURATION, MEMORY, PER_SECOND, RATE, SPEED, CountType
from loadgen.cli.tables import memory_text, print_table
from loadgen.errors import OperatorError
from loadgen.machine.bill import Demand
from loadgen.machine.costs import ROUND_TRIP
from loadgen.machine.fleet import ClientMachine, FleetPlan, fleet_for
from loadgen.machine.limits import GIB, counted
from loadgen.machine.sizing import Sizing, sizing_of
from loadgen.machine.speed import round_trip_seconds
from loadgen.machine.tuning import Setting, wanted
from loadgen.values import REFERENCE_CONNECTIONS

WITH_RATE = click.option(
    "--rate", type=RATE, default=2000.0, show_default="2000", help="Arrivals per second."
)
WITH_THINK = click.option(
    "--think",
    type=DURATION,
    default=30.0,
    show_default="30",
    help="Seconds between two pings of a connection.",
)


class Offer(msgspec.Struct, frozen=True):
    """All that a plan says; `--json` prints its JSON form."""

    demand: Demand
    machine: ClientMachine
    fleet: FleetPlan
    target: Sizing
    """The needs of the embedded target; the clients' are those of the fleet."""
    client_settings: tuple[Setting, ...]
    """The settings that a client with the kernel's defaults lacks."""
    target_settings: tuple[Setting, ...]
    commands: dict[str, list[str]]
    """The commands by where they run; capitals stand for names and addresses."""


@click.command()
@click.option(
    "--connections",
    type=CountType(min=1),
    default=REFERENCE_CONNECTIONS,
    show_default=True,
    help="Connections of the whole fleet.",
)
@WITH_RATE
@WITH_THINK
@click.option("--silent", is_flag=True, help="Connections never ping.")
@click.option(
    "--messages",
    type=PER_SECOND,
    default=0.0,
    show_default="none",
    help="Messages that each connection receives: 10/s, 6/m or 1/h.",
)
@click.option(
    "--tls",
    is_flag=True,
    help="Connections have TLS (wss://), with a full handshake each.",
)
@click.option(
    "--cores", type=CountType(1, 1024), default=4, show_default=True, help="Cores of a client."
)
@click.option(
    "--memory",
    type=MEMORY,
    default=16 * GIB,
    show_default="16GiB",
    help="Memory of a client: 16GB or 16GiB.",
)
@click.option(
    "--descriptors",
    type=CountType(min=100),
    default=1 << 20,
    show_default=True,
    help="Files that a process may open on a client: LimitNOFILE, ulimit -n.",
)
@click.option(
    "--addresses",
    type=CountType(min=1),
    show_default="as many as it needs",
    help="Source addresses that a client can have.",
)
@click.option(
    "--target-addresses",
    type=CountType(min=0),
    default=1,
    show_default=True,
    help="Addresses of the target's name; 0: a Unix socket.",
)
@click.option(
    "--speed",
    type=SPEED,
    default=1.0,
    show_default="1",
    help="Speed of a client's core, as a multiple of those that were measured; here: measure this"
    " machine, in a second.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on one line, not the tables."
)
def plan(
    connections: int,
    rate: float,
    think: float,
    silent: bool,
    messages: float,
    tls: bool,
    cores: int,
    memory: int,
    descriptors: int,
    addresses: int | None,
    target_addresses: int,
    speed: float | str,
    as_json: bool,
) -> None:
    """Shows the machines, settings and commands of a load, and its bill."""
    if not think and not silent:
        raise OperatorError(
            "--think 0: pings without a pause take any number of cores; give seconds above 0, or"
            " --silent"
        )
    demand = Demand(connections, rate, 0.0 if silent else think, messages, tls)
    machine = ClientMachine(cores, memory, descriptors, addresses, _speed(speed))
    offer = offer_for(demand, machine, target_addresses)
    if as_json:
        click.echo(msgspec.json.encode(offer))
    else:
        _show(offer)


def offer_for(demand: Demand, machine: ClientMachine, ways: int = 1) -> Offer:
    """Returns the fleet of machines for a load, and what is to be done with them.

    `ways` is the number of addresses of the target; 0: it is a Unix socket. Raises OperatorError
    where no fleet is large enough.
    """
    fleet = fleet_for(demand, machine, ways)
    facts = machine.facts
    return Offer(
        demand=demand,
        machine=machine,
        fleet=fleet,
        target=sizing_of(
            demand.connections, demand.rate, demand.think or float("inf"), tls=demand.tls
        ),
        client_settings=wanted(facts, "client", fleet.connections),
        target_settings=wanted(
            msgspec.structs.replace(facts, memory_available=None), "target", demand.connections
        ),
        commands=commands_of(demand, machine, fleet),
    )


def _speed(asked: float | str) -> float:
    if isinstance(asked, float):
        return asked
    try:
        return ROUND_TRIP / round_trip_seconds()
    except OSError as error:
        raise OperatorError(
            f"--speed here: this machine makes no connection to 127.0.0.1 ({error.strerror}); give"
            " a number"
        ) from error


def commands_of(demand: Demand, machine: ClientMachine, fleet: FleetPlan) -> dict[str, list[str]]:
    """Returns the commands of a run, by where they are given."""
    source = "" if fleet.addresses == 1 else " --source FIRST-LAST"
    pings = f"--think {demand.think:g}" if demand.think else "--ping none"
    url = shlex.quote(f"{'wss' if demand.tls else 'ws'}://TARGET:PORT/PATH")
    return {
        "machine under load": [
            f"sudo loadgen-tune apply --role target --connections {demand.connections}"
        ],
        "each client": [
            f"sudo loadgen-tune apply --role client --connections {fleet.connections}",
            f"ulimit -n {machine.descriptors}",
            "loadgen-agent --coordinator http://COORDINATOR:8091 --token-file token --allow-target"
            f" TARGET --max-connections {fleet.connections}{source}",
        ],
        "coordinator": [
            f"loadgen-coord --agents {fleet.machines} --listen 0.0.0.0:8091 --token-file token"
            f" --rate {demand.rate:g} --max {demand.connections} {pings} {url}"
        ],
    }


def _show(offer: Offer) -> None:
    fleet, machine = offer.fleet, offer.machine
    click.echo(
        f"{counted(fleet.machines, 'client machine')} of {counted(machine.cores, 'core')} and"
        f" {memory_text(machine.memory)} with {counted(fleet.addresses, 'source address')}:"
        f" {fleet.reason}"
    )
    print_table(bill_table(offer))
    click.echo(f"workers of a client: {fleet.workers.number:,}, {fleet.workers.reason}")
    if fleet.unmeasured:
        click.echo(fleet.unmeasured)
    for where, settings in (("client", offer.client_settings), ("target", offer.target_settings)):
        for setting in settings:
            click.echo(f"{where}: {setting.key}={setting.value}")
    for line in _command_lines(offer.commands):
        click.echo(line)


def bill_table(offer: Offer) -> Table:
    """Returns a row for each resource: of a client, of all clients, of the target."""
    rows = Table("", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("each client", "all clients", "embedded target"):
        rows.add_column(name, justify="right")
    for row in _rows(offer):
        rows.add_row(*row)
    return rows


def _rows(offer: Offer) -> Iterator[Sequence[str]]:
    fleet, bill, target = offer.fleet, offer.fleet.bill, offer.target
    many = fleet.machines
    yield "connections", f"{fleet.connections:,}", *2 * (f"{offer.demand.connections:,}",)
    yield "source addresses", f"{fleet.addresses:,}", f"{many * fleet.addresses:,}", ""
    yield "workers", f"{fleet.workers.number:,}", f"{many * fleet.workers.number:,}", ""
    for name, cores in (("opening", bill.opening_cores), ("held", bill.held_cores)):
        yield f"busy cores, {name}", f"{cores:.2f}", f"{many * cores:.1f}", ""
    yield (
        "busy cores, at most",
        f"{bill.cores:.2f}",
        f"{many * bill.cores:.1f}",
        (f"{target.target_cores:.1f}"),
    )
    for name, size in (
        ("agent", bill.agent_bytes),
        ("workers", bill.worker_bytes),
        ("connections", bill.user_bytes),
        ("kernel", bill.kernel_bytes),
    ):
        yield f"memory, {name}", memory_text(size), memory_text(many * size), ""
    yield (
        "memory, together",
        memory_text(bill.memory),
        memory_text(many * bill.memory),
        memory_text(target.target_bytes),
    )


def _command_lines(commands: dict[str, list[str]]) -> Iterator[str]:
    for where, lines in commands.items():
        yield f"\n{where}:"
        yield from (f"    {line}" for line in lines)
