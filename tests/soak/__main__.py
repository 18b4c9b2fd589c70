"""`python -m tests.soak`: churn between a fleet and a target on loopback.

The plan opens its connections, then closes and reopens some each second until the end, with pings
throughout. Every process of the fleet is sampled; at the end the fleet's ledger is compared with
the target's. It exits with 1 when a process grew or the ledgers differ.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.table import Table

from loadgen.cli.options import run_command
from tests.costs.proc import kinds
from tests.processes import Address, Coordinator, Target, coordinator, eventually, get_json, serving
from tests.soak.growth import HISTORY, Growth, Sample, sample

WARM_UP = 0.25
"""The part of the time in which memory may still grow: caches fill, and the allocator reaches its
size."""
EVERY = 2.0
"""Seconds between two samples."""
PLAN = """
target = "{target}"
think = 2
hold = 0
# each port is used by the end of the warm-up: a used port takes 40 bytes
transport.ports = "20000-27999"

[[phases]]
name = "ramp"
rate = {rate}
max = {connections}

[[phases]]
name = "churn"
duration = "{minutes}m"
churn = {churn}
"""


@click.command(context_settings={"show_default": True})
@click.option("--minutes", default=30.0, help="Minutes of churn.")
@click.option("--connections", default=2000, help="Connections held throughout.")
@click.option("--churn", default=100.0, help="Connections closed and opened again per second.")
@click.option("--agents", default=2, help="Local agents.")
def command(minutes: float, connections: int, churn: float, agents: int) -> int:
    """Check that a fleet under churn does not grow and its ledgers agree.

    Its memory and its descriptors must stay flat.
    """
    with TemporaryDirectory() as folder, serving("--workers", "1") as target:
        plan = Path(folder) / "plan.toml"
        words = {"target": target.address.ws, "rate": connections / 5, "connections": connections}
        plan.write_text(PLAN.format(**words, minutes=minutes, churn=churn))
        with coordinator(
            Path(folder) / "runs", "--local", str(agents), "--plan", str(plan)
        ) as coord:
            eventually(lambda: _churns(coord), "the churn begins", seconds=120)
            growths = _growths(coord, target, minutes * 60)
            code = coord.end(120)
        failures = list(_disagreements(coord, target.address, code))
    Console(width=110).print(_table(growths))
    click.echo(f"the coordinator keeps up to {HISTORY:,} bytes of each second of the last hour")
    for line in failures:
        click.echo(line)
    click.echo("the ledgers agree" if not failures else "the ledgers do not agree")
    return 1 if failures or not all(growth.flat for growth in growths) else 0


def _churns(coord: Coordinator) -> bool:
    return bool(get_json(f"{coord.url}/v1/run")["phase"] == "churn")


def _growths(coord: Coordinator, target: Target, seconds: float) -> list[Growth]:
    """Returns the growth of every process.

    They are sampled until shortly before the churn ends.
    """
    fleet = kinds(coord.pid, target.pid)
    begin = time.monotonic()
    samples = defaultdict[int, list[Sample]](list)
    while (age := time.monotonic() - begin) < seconds - 2 * EVERY:
        if age >= WARM_UP * seconds:
            for pid in fleet:
                samples[pid].append(sample(pid))
        time.sleep(EVERY)
    # From the middle of the first quarter to the middle of the last.
    between = 0.75 * (1 - WARM_UP) * seconds
    history = {"coordinator": HISTORY * min(between, 3600)}
    return [
        Growth.of(f"{kind} {pid}", samples[pid], history.get(kind, 0.0))
        for pid, kind in sorted(fleet.items(), key=lambda one: one[::-1])
    ]


def _disagreements(coord: Coordinator, target: Address, code: int) -> Iterator[str]:
    """Yields a line for each failure of the run.

    Each count that the target differs in is one too.
    """
    summary = coord.summary()
    stats = target.stats()
    if code or summary["failed"] or summary["lost"]:
        yield f"exit code {code}, failed {summary['failed']}, lost {summary['lost']}: {coord.err}"
    closed = sum(summary["closed"].values())
    ours = {
        "opened": summary["opened"],
        "closed": closed,
        "open": summary["opened"] - closed,
        "pings": summary["pings"],
    }
    for name, count in ours.items():
        click.echo(f"{name}: {count:,} by the fleet, {stats[name]:,} by the target")
        if count != stats[name]:
            yield f"{name} differ by {count - stats[name]:,}"


def _table(growths: list[Growth]) -> Table:
    table = Table(
        "process",
        "MiB after warm-up",
        "MiB at the end",
        "grew",
        "descriptors",
        "flat",
        title="under churn",
    )
    for one in growths:
        first, last = (f"{value / 2**20:.2f}" for value in one.rss)
        descriptors = " → ".join(f"{value:.0f}" for value in one.descriptors)
        verdict = "[green]yes[/]" if one.flat else "[red]NO[/]"
        table.add_row(one.name, first, last, f"{100 * one.part:+.2f} %", descriptors, verdict)
    return table


if __name__ == "__main__":
    run_command(command, "soak")
