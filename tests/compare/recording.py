"""What the target saw of one run: a record of each TCP connection, and what can be counted over
all of them."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import msgspec

PER_PATH = re.compile(r"\d+")


class Message(msgspec.Struct, frozen=True):
    """One message of the client."""

    at: float
    """Seconds on the monotonic clock, as all times here."""
    kind: Literal["text", "binary"]
    body: str


class Connection(msgspec.Struct):
    """One TCP connection, from its arrival."""

    number: int
    """0, 1, 2… in the order of arrival."""
    arrived: float
    path: str = ""
    """What the upgrade asked for, without the query; empty when no upgrade was asked for, or
    none that is valid."""
    messages: list[Message] = []
    pongs: int = 0
    code: int = 0
    """Of the client's close frame; 1005 for one without a code, 0 when none came."""

    @property
    def token(self) -> str:
        """What /token gives to this client, and to no other."""
        return f"t{self.number}"


class Recording(msgspec.Struct, frozen=True):
    """All connections of one run, in the order of their arrival."""

    connections: list[Connection]

    @property
    def upgraded(self) -> list[Connection]:
        """Those with a valid upgrade."""
        return [connection for connection in self.connections if connection.path]

    @property
    def messages(self) -> int:
        """Of all connections together."""
        return sum(len(connection.messages) for connection in self.connections)

    def counts(self) -> dict[str, int]:
        """Each thing that both tools should do equally often, by its name."""
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
        """Seconds between the arrivals of users so many apart; connections without an upgrade
        are nobody's arrival."""
        return [
            after.arrived - before.arrived for before, after in pairwise(self.upgraded[::every])
        ]

    def think_times(self, after: str) -> list[float]:
        """Seconds from each message with this text to the next message of the same connection."""
        pairs = (pair for connection in self.connections for pair in pairwise(connection.messages))
        return [later.at - earlier.at for earlier, later in pairs if earlier.body == after]


def shape(body: str, connection: Connection) -> str:
    """A text without what differs from user to user by design: its own token, numbers, what was
    drawn for it."""
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
