"""The messages that a session has not received yet, bounded in number and bytes."""

from collections import deque

MAX_UNREAD = 1024
"""Messages kept for a session that does not receive them; older ones are dropped and counted."""
MAX_UNREAD_BYTES = 16 * 2**20
"""Bytes of them; the newest message is kept, whatever it has."""
UNREAD = "messages_unread"
"""The counter of dropped messages."""


class Inbox(deque[str | bytes]):
    """The messages of one connection that came before the session awaited them."""

    __slots__ = ("size",)

    size: int
    """Their bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def keep(self, message: str | bytes) -> int:
        """Adds a message; returns how many older ones had to go."""
        self.append(message)
        self.size += _size_of(message)
        dropped = 0
        while len(self) > MAX_UNREAD or (self.size > MAX_UNREAD_BYTES and len(self) > 1):
            self.take()
            dropped += 1
        return dropped

    def take(self) -> str | bytes:
        """Removes the oldest message and returns it."""
        message = self.popleft()
        self.size -= _size_of(message)
        return message

    def put_back(self, message: str | bytes) -> None:
        """Adds a message before the oldest one: it was taken, and not received."""
        self.appendleft(message)
        self.size += _size_of(message)

    def empty(self) -> None:
        """Removes all messages."""
        self.clear()
        self.size = 0


def _size_of(message: str | bytes) -> int:
    """Returns how many bytes a message had on the wire."""
    if isinstance(message, bytes) or message.isascii():
        return len(message)
    return len(message.encode())
