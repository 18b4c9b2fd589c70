"""Artillery, from npm, on the Node.js that it asks for, from npm as well."""

import platform
from collections.abc import Sequence

from tests.peers import registries
from tests.peers.order import Order
from tests.peers.peer import Peer, Tool

VERSION = "2.0.34"
NODE = "24.22.3"
FOREVER = 600
"""Seconds of one silent think time."""
SEND = "          - send: ping\n"


def find() -> Tool:
    """Returns Artillery."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), "x64")
    runtime = f"node-linux-{machine}"
    packages = registries.from_npm("artillery", [f"artillery@{VERSION}", f"{runtime}@{NODE}"])
    node, script = packages / runtime / "bin" / "node", packages / "artillery" / "bin" / "run"

    def words(order: Order) -> Sequence[str]:
        think, send = (order.ping_every, SEND) if order.ping_every else (FOREVER, "")
        file = order.filled(
            "artillery.yml", ramp=order.ramp_s, think=f"{1000 * think:.0f}ms", send=send
        )
        return [str(node), str(script), "run", "--quiet", str(file)]

    return Tool(f"{VERSION}, Node.js {NODE}", words)


ARTILLERY = Peer("Artillery", "JavaScript", "text", True, find)
