"""The subscribers of a worker's channels."""

from collections.abc import Hashable, Iterable, Iterator
from typing import Protocol


class Subscriber(Hashable, Protocol):
    """A connection that frames can be written to."""

    def write(self, data: bytes) -> None:
        """Sends whole frames."""


class Subscribers:
    """One worker's connections, grouped by the channels they subscribed to.

    A connection has one entry for all of its channels, so it gets one copy of what is published to
    several of them.
    """

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], set[Subscriber]] = {}

    def add(self, channels: tuple[str, ...], subscriber: Subscriber) -> None:
        """Adds a connection; one without channels receives nothing and is not kept."""
        if channels:
            self._groups.setdefault(channels, set()).add(subscriber)

    def remove(self, channels: tuple[str, ...], subscriber: Subscriber) -> None:
        """Removes a connection; harmless when it is not there."""
        group = self._groups.get(channels)
        if group is not None:
            group.discard(subscriber)
            if not group:
                del self._groups[channels]

    def of(self, channels: Iterable[str]) -> Iterator[Subscriber]:
        """Yields the subscribers of any of these channels, each once."""
        wanted = set(channels)
        for recorded, group in list(self._groups.items()):
            if not wanted.isdisjoint(recorded):
                yield from list(group)
