"""`python -m tests.peers`: measures load generators, and writes docs/peers.md."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from tests.peers import document
from tests.peers.certificate import issued
from tests.peers.columns import COLUMNS
from tests.peers.document import Entry, Measuring
from tests.peers.figures import Figures
from tests.peers.measure import FEW, FLAT_OUT, Load, cores, measured
from tests.peers.neutral import bun
from tests.peers.peer import MissingError, Peer, Tool, output_of
from tests.peers.tools.artillery import ARTILLERY
from tests.peers.tools.k6 import K6
from tests.peers.tools.locust import LOCUST
from tests.peers.tools.own import LOADGEN
from tests.peers.tools.tcpkali import TCPKALI
from tests.peers.tools.tsung import TSUNG

PEERS = {peer.name: peer for peer in (LOADGEN, TCPKALI, TSUNG, K6, ARTILLERY, LOCUST)}
COMMAND = "make peers"
MANY = click.IntRange(2 * FEW, 19_000)
"""More than the few that they are compared with, and fewer than the descriptors of a process."""
PACE = click.IntRange(1, FLAT_OUT)


@click.command(context_settings={"show_default": True})
@click.option(
    "--only",
    "names",
    type=click.Choice([*PEERS]),
    multiple=True,
    help="Only this peer; writes no document.",
)
@click.option("--connections", default=4_000, type=MANY, help="Connections without TLS.")
@click.option(
    "--rate", default=1_000, type=PACE, help="Of them a second, where they are paced; without TLS."
)
@click.option("--tls-connections", default=1_000, type=MANY, help="Connections with TLS.")
@click.option("--tls-rate", default=200, type=PACE, help="Of them a second.")
@click.option(
    "--out", type=click.Path(path_type=Path), default="docs", help="Directory of peers.md."
)
def main(
    names: Sequence[str],
    connections: int,
    rate: int,
    tls_connections: int,
    tls_rate: int,
    out: Path,
) -> None:
    """Measure load generators beside each other, against one server."""
    server = f"Bun {output_of([str(bun()), '--version']).strip()}"
    found = [_found(PEERS[name]) for name in names or PEERS]
    machine, (busy, *_) = document.machine(), os.getloadavg()
    os.sched_setaffinity(0, {cores()[1]})
    began = time.monotonic()
    with issued() as certificate:
        plain = Load(connections, rate, None)
        tls = Load(tls_connections, tls_rate, certificate)
        entries = [_entry(*each, plain, tls) for each in found]
    if names:
        return
    words = " ".join([COMMAND, *_arguments()])
    measuring = Measuring(time.monotonic() - began, busy, machine)
    text = document.render(entries, plain, tls, server, words, measuring)
    (out / "peers.md").write_text(text)
    click.echo(f"written: {out / 'peers.md'}")


def _arguments() -> Iterator[str]:
    """Yields the options as `make` takes them."""
    if sys.argv[1:]:
        yield f'ARGS="{" ".join(sys.argv[1:])}"'


def _found(peer: Peer) -> tuple[Peer, Tool | None, str]:
    """Returns a peer with its tool, or with the reason why it has none."""
    try:
        return peer, peer.find(), ""
    except MissingError as error:
        click.echo(f"{peer.name}: not measured: {error}")
        return peer, None, str(error)


def _entry(peer: Peer, tool: Tool | None, missing: str, plain: Load, tls: Load) -> Entry:
    if tool is None:
        return Entry(peer, None, missing, None, None)
    figures = [_shown(peer, tool, load) for load in (plain, tls)]
    return Entry(peer, tool, "", *figures)


def _shown(peer: Peer, tool: Tool, load: Load) -> Figures:
    """Measures a peer, and prints its figures."""
    how = "with TLS" if load.certificate else "plain"
    click.echo(f"{peer.name} {tool.version}, {load.connections:,} connections {how}")
    figures = measured(tool, load)
    for column in COLUMNS:
        click.echo(f"  {column.head:24}{column.text(figures):>8} {column.unit}")
    for fault in document.faults(figures):
        click.echo(f"  {fault}")
    return figures


if __name__ == "__main__":
    main()
