"""peers.md: the template, filled with the figures, the versions and the commands."""

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import NamedTuple

from loadgen.machine.facts import facts, read_machine
from tests.costs.document import figure, table
from tests.costs.proc import cpu_model
from tests.peers.columns import COLUMNS, Column
from tests.peers.figures import Figures
from tests.peers.measure import (
    FEW,
    FLAT_OUT,
    MESSAGES,
    MESSAGES_PER_S,
    PINGS_PER_S,
    PINGS_S,
    REST_S,
    Load,
)
from tests.peers.order import SCRIPTS, Order
from tests.peers.peer import Peer, Tool

ROOT = Path(__file__).parents[2]
OWN = "loadgen"


class Entry(NamedTuple):
    """A peer with its figures, or the reason why it has none."""

    peer: Peer
    tool: Tool | None
    missing: str
    plain: Figures | None
    tls: Figures | None


class Measuring(NamedTuple):
    """The circumstances of all runs."""

    seconds: float
    """Their time."""
    load_average: float
    """The processes that wanted a core in the minute before them."""
    machine: str


def render(
    entries: Sequence[Entry],
    plain: Load,
    tls: Load,
    server: str,
    command: str,
    measuring: Measuring,
) -> str:
    """Returns the document.

    `server` is the version of the neutral server.
    """
    template = Template(Path(__file__).with_name("document.md").read_text())
    return template.substitute(
        command=command,
        minutes=f"{measuring.seconds / 60:.0f}",
        busy=f"{measuring.load_average:.1f}",
        machine=measuring.machine,
        server=server,
        few=FEW,
        flat_out=f"{FLAT_OUT:,}",
        rest=f"{REST_S:g}",
        pings=f"{PINGS_PER_S:,}",
        pings_s=f"{PINGS_S:g}",
        messages=MESSAGES,
        messages_per_s=f"{MESSAGES_PER_S:,}",
        plain_connections=f"{plain.connections:,}",
        plain_rate=f"{plain.rate:,}",
        tls_connections=f"{tls.connections:,}",
        tls_rate=f"{tls.rate:,}",
        plain=table_of({entry.peer.name: entry.plain for entry in entries}),
        tls=table_of({entry.peer.name: entry.tls for entry in entries}),
        better="\n".join(_better(entries)),
        peers=_peers(entries),
        failures="\n".join(_failures(entries)) or "None.",
        commands="\n\n".join(_commands(entries, plain)),
        scripts="\n\n".join(_scripts()),
    )


def table_of(peers: Mapping[str, Figures | None]) -> str:
    """Returns the table of all figures; the best of each column is bold."""
    measured = [figures for figures in peers.values() if figures is not None and figures.open]

    def row(name: str, figures: Figures | None) -> Iterable[str]:
        yield name
        for column in COLUMNS:
            yield _cell(column, figures, measured)

    return table(["", *(column.head for column in COLUMNS)], (row(*item) for item in peers.items()))


def _cell(column: Column, figures: Figures | None, measured: Sequence[Figures]) -> str:
    if figures is None or not figures.open:
        return "–"
    text = column.text(figures)
    best = column.best(measured)
    return f"**{text}**" if best is not None and column.value(figures) == best else text


def behind(peers: Mapping[str, Figures | None]) -> Iterator[str]:
    """Yields, for each column that another peer leads, both values."""
    own = peers.get(OWN)
    measured = {name: found for name, found in peers.items() if found is not None and found.open}
    for column in COLUMNS:
        mine = own and column.value(own)
        best = column.best([*measured.values()])
        if mine is None or best is None or mine == best:
            continue
        name = next(name for name, found in measured.items() if column.value(found) == best)
        yield f"{column.head}: {name} {figure(best)}, {OWN} {figure(mine)}"


def _better(entries: Sequence[Entry]) -> Iterator[str]:
    for title, peers in (
        ("Plain", {entry.peer.name: entry.plain for entry in entries}),
        ("TLS", {entry.peer.name: entry.tls for entry in entries}),
    ):
        yield f"- {title}: {'; '.join(behind(peers)) or 'in no column'}."


def _peers(entries: Iterable[Entry]) -> str:
    def row(entry: Entry) -> Iterable[str]:
        peer = entry.peer
        yield peer.name
        yield entry.tool.version if entry.tool else f"not measured: {entry.missing}"
        yield peer.written_in
        yield peer.pings
        yield "yes" if peer.verifies else "no"

    return table(
        ["", "version", "written in", "pings by", "checks the certificate"], map(row, entries)
    )


def _failures(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        for title, figures in (("plain", entry.plain), ("TLS", entry.tls)):
            if figures is not None and (said := "; ".join(faults(figures))):
                yield f"- {entry.peer.name}, {title}: {said}."


def faults(figures: Figures) -> Iterator[str]:
    """Yields what went wrong in the runs of a peer."""
    if figures.failed:
        yield f"{figures.failed:,} connections did not open, or did not stay open"
    if figures.sockets != figures.open:
        yield f"{figures.sockets:,} sockets in the kernel where the server counts {figures.open:,}"
    if figures.open and figures.rest is None:
        yield "it still opened connections when all should have been silent"
    if figures.unread:
        yield f"{figures.unread:,} bytes of messages were not read"
    if figures.words:
        yield f"its last line was `{figures.words}`"


def _commands(entries: Iterable[Entry], load: Load) -> Iterator[str]:
    for entry in entries:
        if entry.tool:
            yield f"{entry.peer.name}, silent, then pinging:"
            turns = (0.0, load.connections / PINGS_PER_S)
            yield "\n".join(f"    {_command(entry.tool, load, every)}" for every in turns)


def _command(tool: Tool, load: Load, ping_every: float) -> str:
    """Returns a command line as it is run, with short names for places."""
    with TemporaryDirectory() as folder:
        order = Order(
            "ws://HOST:PORT/", load.connections, load.rate, ping_every, None, Path(folder)
        )
        program, *rest = tool.words(order)
    outside = not Path(program).is_relative_to(ROOT)
    text = shlex.join([Path(program).name if outside else program, *rest])
    places = {folder: "FOLDER", f"{Path(sys.executable).parent}/": "", f"{ROOT}/": ""}
    for place, short in places.items():
        text = text.replace(place, short)
    return text


def _scripts() -> Iterator[str]:
    for path in sorted(SCRIPTS.iterdir()):
        if path.is_file():
            yield f"`{path.name}`:\n\n```text\n{path.read_text().strip()}\n```"


def machine() -> str:
    """Returns the machine of this process, with the cores that it may use."""
    found = facts(read_machine())
    return (
        f"{found['cpus']} cores ({cpu_model()}), Linux {found['kernel']}, Python {found['python']}"
    )
