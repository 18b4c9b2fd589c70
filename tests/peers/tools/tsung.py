"""Tsung, from Debian: its controller and one Erlang VM in one process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import click

from tests.compare import debian
from tests.compare.epmd import epmd
from tests.peers.order import Order
from tests.peers.peer import MissingError, Peer, Tool

FOREVER = 600
"""Seconds of one silent think time."""
SEND = """
        <request><websocket type="message" frame="text" ack="parse">ping</websocket></request>"""


def find() -> Tool:
    """Returns Tsung."""
    try:
        found = debian.tsung()
    except click.ClickException as error:
        raise MissingError(error.message.partition("\n")[0]) from None

    def words(order: Order) -> Sequence[str]:
        host, _, port = order.endpoint.partition(":")
        think, send = (order.ping_every, SEND) if order.ping_every else (FOREVER, "")
        file = order.filled(
            "tsung.xml",
            host=host,
            port=port,
            type="ssl" if order.secure else "tcp",
            think=f"{think:g}",
            send=send,
        )
        return [found, "-n", "-f", str(file), "-l", str(order.folder / "log"), "start"]

    return Tool(debian.version(), words, _surroundings)


@contextmanager
def _surroundings() -> Iterator[dict[str, str]]:
    """Yields a home and a port mapper that no other Tsung has."""
    with TemporaryDirectory() as home, epmd() as port:
        yield {"HOME": home, "ERL_EPMD_PORT": port}


TSUNG = Peer("Tsung", "Erlang", "text", False, find)
