"""Locust, from PyPI, with users of the library websocket-client.

Locust itself has no WebSockets.
"""

import sys
from collections.abc import Sequence

from tests.peers import registries
from tests.peers.order import SCRIPTS, Order
from tests.peers.peer import Peer, Tool

VERSION = "2.47.0"
CLIENT = "websocket-client==1.9.2"


def find() -> Tool:
    """Returns Locust, in a virtual environment of its own."""
    locust = registries.from_pypi(sys.executable, "locust", [f"locust=={VERSION}", CLIENT])

    def words(order: Order) -> Sequence[str]:
        return [
            *(str(locust), "--headless", "--only-summary", "-f", str(SCRIPTS / "locustfile.py")),
            *("--users", str(order.connections), "--spawn-rate", str(order.rate)),
        ]

    return Tool(VERSION, words)


LOCUST = Peer("Locust", "Python", "frames", True, find)
