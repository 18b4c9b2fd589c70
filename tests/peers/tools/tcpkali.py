"""tcpkali, where it is on the PATH: a load generator in C, last released in 2018."""

from collections.abc import Sequence

from tests.peers.order import Order
from tests.peers.peer import Peer, Tool, on_path, output_of

PING = f'\\{{ws.ping "{"x" * 100}"}}'
"""A ping with 100 bytes: tcpkali paces bytes, and sends many short pings at once."""


def find() -> Tool:
    """Returns tcpkali."""
    found = on_path("tcpkali")

    def words(order: Order) -> Sequence[str]:
        pings = (
            ["--message-rate", f"{1 / order.ping_every:g}", "--message", PING]
            if order.ping_every
            else []
        )
        return [
            *(found, "--websocket", *(["--ssl"] if order.secure else []), "--workers", "1"),
            *("--connections", str(order.connections), "--connect-rate", str(order.rate)),
            *("--connect-timeout", "10s", "--duration", "600s", *pings, order.endpoint),
        ]

    return Tool(output_of([found, "--version"]).split()[2], words)


TCPKALI = Peer("tcpkali", "C", "frames", False, find)
