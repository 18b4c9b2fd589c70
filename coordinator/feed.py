"""What viewers are told, in order: a bounded log of events that each viewer reads at its own pace.

No viewer has a queue. One that is slow falls behind in the log, and starts anew when the log has left it behind.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from coordinator.packed import Packed

KEPT = 2 * 3600 + 800
"""Events that can still be caught up with: an hour of seconds, of scrapes of a watched server, and what was logged."""
MOST_BYTES = 64 << 10
"""How much a viewer is handed at a time."""


class Place(NamedTuple):
    """How far a viewer has read."""

    event: int = -1
    """The number of the last event it has; -1: it has nothing, and starts anew."""
    standing: int = 0
    """The version of the standing that it has."""


class Feed:
    """The events of one run. `key` tells them from another feed's; `head` is what who starts anew is told first."""

    def __init__(self, key: str, head: bytes) -> None:
        self.key = key
        self.head = head
        self.closed = False
        """Nothing more will come."""
        self._events = Packed(KEPT)
        """Numbered from 1 on; the head is event 0."""
        self._stand: Callable[[], object] = dict
        self._standing: bytes | None = b""
        self._version = 0

    def add(self, kind: str, content: object) -> None:
        """Appends an event."""
        self._events.append(encode(kind, msgspec.json.encode(content), f"{self.key}.{self._events.last + 1}"))

    def stand(self, stand: Callable[[], object]) -> None:
        """Replaces what is told of the run as it stands; it is worked out once, and only if anybody reads it."""
        self._version += 1
        self._stand, self._standing = stand, None

    def place_of(self, event_id: str) -> Place:
        """Where a viewer stands whose last event had this id; one of another run starts anew."""
        key, _, number = event_id.rpartition(".")
        known = key == self.key and number.isascii() and number.isdecimal() and int(number) <= self._events.last
        return Place(int(number)) if known else Place()

    def after(self, place: Place) -> tuple[bytes, Place]:
        """What comes after a place, and the place after that; empty when there is nothing new."""
        first = self._events.first
        if place.event < 0 or place.event + 1 < first:
            return encode("run", self.head, f"{self.key}.{first - 1}"), Place(first - 1, 0)
        chunk, number = self._events.after(place.event, MOST_BYTES)
        version = place.standing
        if number == self._events.last and version != self._version:
            chunk += self._stands()
            version = self._version
        return chunk, Place(number, version)

    def _stands(self) -> bytes:
        if self._standing is None:
            self._standing = encode("now", msgspec.json.encode(self._stand()))
        return self._standing


def encode(kind: str, content: bytes, event_id: str = "") -> bytes:
    """A server-sent event; JSON has no line ends, so its data is one line."""
    head = f"event: {kind}\n" + (f"id: {event_id}\n" if event_id else "")
    return b"%sdata: %s\n\n" % (head.encode(), content)
