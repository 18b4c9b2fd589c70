"""k6, where it is on the PATH."""

from collections.abc import Sequence

from tests.peers.order import SCRIPTS, Order
from tests.peers.peer import Peer, Tool, on_path, output_of


def find() -> Tool:
    """Returns k6."""
    found = on_path("k6")

    def words(_: Order) -> Sequence[str]:
        return [found, "run", "--quiet", "--no-usage-report", str(SCRIPTS / "k6.js")]

    return Tool(output_of([found, "version"]).split()[1], words)


K6 = Peer("k6", "Go, JavaScript", "frames", True, find)
