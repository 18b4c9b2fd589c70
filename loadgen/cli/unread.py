"""Output that waits for a reader, in bounded memory."""

from collections import deque

MAX_WAITING = 1 << 20
"""Bytes that wait at most: some thousand lines."""


class Unread:
    """The chunks of an output that are not written yet.

    Beyond a bound the oldest are dropped: the newest count most, and the last is the report.
    """

    def __init__(self, most: int = MAX_WAITING) -> None:
        self._most = most
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        """Lines that were dropped and not told of yet."""

    def add(self, chunk: bytes) -> None:
        """Adds a chunk, as a rule whole lines."""
        self._chunks.append(chunk)
        self._bytes += len(chunk)
        while self._bytes > self._most and len(self._chunks) > 1:
            dropped = self._chunks.popleft()
            self._bytes -= len(dropped)
            self._dropped += max(1, dropped.count(b"\n"))

    def take(self) -> bytes:
        """Returns the oldest chunk; empty when none waits.

        Where lines were dropped before it, a line in front of it says how many.
        """
        if not self._chunks:
            return b""
        chunk = self._chunks.popleft()
        self._bytes -= len(chunk)
        if self._dropped:
            chunk = (
                b"\n... %d lines were not shown: the output was not read\n" % self._dropped + chunk
            )
            self._dropped = 0
        return chunk

    def __len__(self) -> int:
        return len(self._chunks)
