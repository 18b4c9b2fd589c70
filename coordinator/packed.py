"""A bounded list of texts that are much alike, kept in a fifth of their size: all but the newest are compressed."""

import zlib
from array import array
from collections import deque
from itertools import islice

BLOCK = 64
"""Items that are compressed together: what they have in common is kept once."""


class Packed:
    """The newest items, numbered from 1 on; about `most` of them, as whole blocks are forgotten."""

    def __init__(self, most: int) -> None:
        self.last = 0
        """The number of the newest item; 0 when there is none."""
        self._blocks: deque[tuple[bytes, array[int]]] = deque(maxlen=-(-most // BLOCK))
        self._newest: list[bytes] = []

    @property
    def first(self) -> int:
        """The number of the oldest item that is kept; one more than the last when there is none."""
        return self.last - len(self._newest) - BLOCK * len(self._blocks) + 1

    def append(self, item: bytes) -> None:
        """Takes the next item."""
        self.last += 1
        self._newest.append(item)
        if len(self._newest) == BLOCK:
            sizes = array("L", map(len, self._newest))
            self._blocks.append((zlib.compress(b"".join(self._newest)), sizes))
            self._newest = []

    def after(self, number: int, most_bytes: int) -> tuple[bytes, int]:
        """The items behind a number that is kept, or as many as go beyond so many bytes; and the last one's number."""
        chunk = bytearray()
        while number < self.last and len(chunk) < most_bytes:
            block, begin = divmod(number - self.first + 1, BLOCK)
            for item in islice(self._items(block), begin, None):
                chunk += item
                number += 1
                if len(chunk) >= most_bytes:
                    break
        return bytes(chunk), number

    def _items(self, block: int) -> list[bytes]:
        if block == len(self._blocks):
            return self._newest
        packed, sizes = self._blocks[block]
        whole, items, at = zlib.decompress(packed), [], 0
        for size in sizes:
            items.append(whole[at : at + size])
            at += size
        return items
