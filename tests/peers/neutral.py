"""The server of all peers: Bun's, from npm.

Its WebSockets are uWebSockets, in C++. It answers pings and echoes messages, or sends to all
connections when it is asked to. A second port tells its counts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.node import packages
from tests.peers.moment import Counts
from tests.peers.sockets import Sockets, sockets
from tests.processes import closing_command, get_json

SCRIPT = Path(__file__).with_name("server") / "serve.js"


class Neutral(NamedTuple):
    """A running server."""

    port: int
    control: str
    """The URL of its counts."""

    def counts(self) -> Counts:
        """Returns its counts."""
        return Counts(**get_json(self.control))

    def opens(self) -> list[float]:
        """Returns the times of all opens, in ms since its start."""
        return get_json(f"{self.control}/opens")  # type: ignore[no-any-return]  # an array

    def send(self, messages: int, every_ms: int) -> None:
        """Has it send messages to all connections, at an interval."""
        get_json(f"{self.control}/send?messages={messages}&every={every_ms}")

    def sockets(self) -> Sockets:
        """Returns what the kernel knows of its connections."""
        return sockets(Path("/proc/net/tcp").read_text(), self.port)


def bun() -> Path:
    """Returns the path of Bun; installs it first."""
    (found,) = packages(SCRIPT.parent).glob("@oven/*/bin/bun")
    return found


@contextmanager
def neutral(certificate: Path | None, pin: Callable[[], None]) -> Iterator[Neutral]:
    """A running server, with TLS where it has a certificate; `pin` chooses its core."""
    words = [str(bun()), str(SCRIPT), *([str(certificate)] if certificate else [])]
    with closing_command(words, preexec_fn=pin) as running:
        port, control = running.says(r"(\d+) (\d+)\n").groups()
        yield Neutral(int(port), f"http://127.0.0.1:{control}")
