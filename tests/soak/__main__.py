"""`python -m tests.soak`: churn between a fleet and a target on loopback; exits 1 when something
grew or got lost.

The plan opens its connections, then closes and reopens so many a second until the end, with pings
all the while. Every process of the fleet is sampled; at the end the ledger of the fleet is held
against the target's own.
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
"""The part of the time in which memory may still grow: caches fill, the allocator finds its
size."""
EVERY = 2.0
"""Seconds between two samples."""
PLAN = """
target = "{target}"
think = 2
hold = 0
# all ports have served once by the end of the warm-up: a used one takes 40 bytes
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
@click.option("--minutes", default=30.0, help="How long it churns.")
@click.option("--connections", default=2000, help="Held all the while.")
@click.option("--churn", default=100.0, help="Closed and opened again a second.")
@click.option("--agents", default=2, help="Local agents.")
def command(minutes: float, connections: int, churn: float, agents: int) -> int:
    """Lets a fleet churn, and tells whether memory and descriptors stay flat and the ledgers
    agree."""
    with TemporaryDirectory() as folder, serving("--workers", "1") as target:
        plan = Path(folder) / "plan.toml"
        words = {"target": target.address.ws, "rate": connections / 5, "connections": connections}
        plan.write_text(PLAN.format(**words, minutes=minutes, churn=churn))
        with coordinator(
            Path(folder) / "runs", "--local", str(agents), "--plan", str(plan)
        ) as coord:
            eventually(lambda: _churns(coord), "it churns", seconds=120)
            growths = _growths(coord, target, minutes * 60)
            code = coord.end(120)
        wrong = list(_disagreements(coord, target.address, code))
    Console(width=110).print(_table(growths))
    click.echo(
        f"the coordinator may keep {HISTORY:,} bytes of each second of the last hour, for the page"
    )
    for line in wrong:
        click.echo(line)
    click.echo("the ledgers agree" if not wrong else "the ledgers do not agree")
    return 1 if wrong or not all(growth.flat for growth in growths) else 0


def _churns(coord: Coordinator) -> bool:
    return bool(get_json(f"{coord.url}/v1/run")["phase"] == "churn")


def _growths(coord: Coordinator, target: Target, seconds: float) -> list[Growth]:
    """Samples every process until shortly before the churn ends."""
    fleet = kinds(coord.pid, target.pid)
    begin, samples = time.monotonic(), defaultdict[int, list[Sample]](list)
    while (age := time.monotonic() - begin) < seconds - 2 * EVERY:
        if age >= WARM_UP * seconds:
            for pid in fleet:
                samples[pid].append(sample(pid))
        time.sleep(EVERY)
    between = (
        0.75 * (1 - WARM_UP) * seconds
    )  # from the middle of the first quarter to that of the last
    history = {"coordinator": HISTORY * min(between, 3600)}
    return [
        Growth.of(f"{kind} {pid}", samples[pid], history.get(kind, 0.0))
        for pid, kind in sorted(fleet.items(), key=lambda one: one[::-1])
    ]


def _disagreements(coord: Coordinator, target: Address, code: int) -> Iterator[str]:
    """Where the run did not end well, or its ledger and the target's differ."""
    summary, stats = coord.summary(), target.stats()
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
