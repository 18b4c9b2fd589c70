"""The target's recording of one run.

It has a record of each TCP connection, and counts of all.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import msgspec

PER_PATH = re.compile(r"\d+")


class Message(msgspec.Struct, frozen=True):
    """One message of a client."""

    at: float
    """Seconds on the monotonic clock, as are all times here."""
    kind: Literal["text", "binary"]
    body: str


class Connection(msgspec.Struct):
    """One TCP connection, from its arrival."""

    number: int
    """0, 1, 2… in the order of arrival."""
    arrived: float
    path: str = ""
    """The path of the upgrade, without the query; empty without a valid upgrade."""
    messages: list[Message] = []
    pongs: int = 0
    code: int = 0
    """The code of the client's close frame; 1005 for a frame without a code, 0 without a frame."""

    @property
    def token(self) -> str:
        """The token of this client at /token."""
        return f"t{self.number}"


class Recording(msgspec.Struct, frozen=True):
    """All connections of one run, in the order of their arrival."""

    connections: list[Connection]

    @property
    def upgraded(self) -> list[Connection]:
        """The connections with a valid upgrade."""
        return [connection for connection in self.connections if connection.path]

    @property
    def messages(self) -> int:
        """The number of messages of all connections."""
        return sum(len(connection.messages) for connection in self.connections)

    def counts(self) -> dict[str, int]:
        """Returns the counts that should be the same for both tools, by name."""
        counted = Counter(
            {"TCP connections": len(self.connections), "upgrades": len(self.upgraded)}
        )
        for connection in self.connections:
            counted["pongs"] += connection.pongs
            if connection.path:
                counted[f"ends with {_end(connection)}"] += 1
                counted[f"users of {PER_PATH.sub('#', connection.path)}"] += 1
            counted.update(f"{message.kind} messages" for message in connection.messages)
            counted.update(
                f"“{shape(message.body, connection)}”" for message in connection.messages
            )
        return {name: times for name, times in counted.items() if times}

    def arrival_gaps(self, every: int = 1) -> list[float]:
        """Returns the seconds between the arrivals of every `every`-th user.

        Connections without an upgrade are no arrivals.
        """
        return [
            after.arrived - before.arrived for before, after in pairwise(self.upgraded[::every])
        ]

    def think_times(self, after: str) -> list[float]:
        """Returns the seconds from each message to its client's next message.

        Only messages with this text count.
        """
        pairs = (pair for connection in self.connections for pair in pairwise(connection.messages))
        return [later.at - earlier.at for earlier, later in pairs if earlier.body == after]


def shape(body: str, connection: Connection) -> str:
    """Returns a text without its token, numbers and random words."""
    words = _words(body, connection.token)
    return " ".join(words)


def _words(body: str, token: str) -> Iterator[str]:
    for word in body.split():
        name, _, value = word.rpartition("=")
        if value == token:
            yield f"{name}=its own token"
        elif name == "nick":
            yield f"nick={len(value)} characters"
        else:
            yield PER_PATH.sub("#", word)


def _end(connection: Connection) -> str:
    return f"close frame {connection.code}" if connection.code else "no close frame"
