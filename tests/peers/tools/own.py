"""loadgen: a coordinator and one agent, as everybody starts it."""

from collections.abc import Sequence

from loadgen.version import VERSION
from tests.peers.order import Order
from tests.peers.peer import Peer, Tool
from tests.processes import command

HOLD = "600"
"""Seconds; each run is ended before."""


def find() -> Tool:
    """Returns loadgen."""
    return Tool(VERSION, words)


def words(order: Order) -> Sequence[str]:
    """Returns the command line of an order."""
    pings = ["--think", f"{order.ping_every:g}"] if order.ping_every else ["--ping", "none"]
    trusted = ["--target-ca", str(order.authority)] if order.authority else []
    return [
        *command("loadgen-coord", "--local", "1", "--listen", "127.0.0.1:0"),
        *("--rate", str(order.rate), "--max", str(order.connections), "--hold", HOLD),
        *pings,
        *trusted,
        *("--out", str(order.folder / "runs"), order.url),
    ]


LOADGEN = Peer("loadgen", "Python", "frames", True, find)
