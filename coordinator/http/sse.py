"""`GET /events`: the feed of a run as server-sent events, to each viewer at its own pace."""

import asyncio
import contextlib
import zlib
from array import array
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

import msgspec
from aiohttp import web

BLOCK = 64
"""Items that are compressed together: what they have in common is kept once."""


class CompressedLog:
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
        """The items behind a number that is kept, or as many as go beyond so many bytes; and the
        last one's number."""
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


KEPT = 2 * 3600 + 800
"""Events that can still be caught up with: an hour of seconds, of scrapes of a watched server,
and what was logged."""
MAX_BYTES = 64 << 10
"""How much a viewer is handed at a time."""


class Position(NamedTuple):
    """How far a viewer has read."""

    event: int = -1
    """The number of the last event it has; -1: it has nothing, and starts anew."""
    standing: int = 0
    """The version of the standing that it has."""


class Feed:
    """The events of one run. `key` tells them from another feed's; `head` is what who starts
    anew is told first."""

    def __init__(self, key: str, head: bytes) -> None:
        self.key = key
        self.head = head
        self.closed = False
        """Nothing more will come."""
        self._events = CompressedLog(KEPT)
        """Numbered from 1 on; the head is event 0."""
        self._stand: Callable[[], object] = dict
        self._standing: bytes | None = b""
        self._version = 0

    def add(self, kind: str, content: object) -> None:
        """Appends an event."""
        self._events.append(
            encode(kind, msgspec.json.encode(content), f"{self.key}.{self._events.last + 1}")
        )

    def stand(self, stand: Callable[[], object]) -> None:
        """Replaces what is told of the run as it stands; it is worked out once, and only if
        anybody reads it."""
        self._version += 1
        self._stand, self._standing = stand, None

    def place_of(self, event_id: str) -> Position:
        """Where a viewer stands whose last event had this id; one of another run starts anew."""
        key, _, number = event_id.rpartition(".")
        known = (
            key == self.key
            and number.isascii()
            and number.isdecimal()
            and int(number) <= self._events.last
        )
        return Position(int(number)) if known else Position()

    def after(self, place: Position) -> tuple[bytes, Position]:
        """What comes after a place, and the place after that; empty when there is nothing new."""
        first = self._events.first
        if place.event < 0 or place.event + 1 < first:
            return encode("run", self.head, f"{self.key}.{first - 1}"), Position(first - 1, 0)
        chunk, number = self._events.after(place.event, MAX_BYTES)
        version = place.standing
        if number == self._events.last and version != self._version:
            chunk += self._stands()
            version = self._version
        return chunk, Position(number, version)

    def _stands(self) -> bytes:
        if self._standing is None:
            self._standing = encode("now", msgspec.json.encode(self._stand()))
        return self._standing


def encode(kind: str, content: bytes, event_id: str = "") -> bytes:
    """A server-sent event; JSON has no line ends, so its data is one line."""
    head = f"event: {kind}\n" + (f"id: {event_id}\n" if event_id else "")
    return b"%sdata: %s\n\n" % (head.encode(), content)


MAX_VIEWERS = 250
"""Viewers at once; more are asked to come again."""
TAKES_TIMEOUT = 30.0
"""Seconds that a viewer may take over what it was handed; then its connection is cut."""
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a browser that lost the connection tries again."""


class Viewers:
    """Everybody who follows a feed. `wake` says that there is something new in it."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._news = asyncio.Event()
        self.count = 0

    def wake(self) -> None:
        """There is something new; the viewers that wait are handed it."""
        self._news.set()
        self._news = asyncio.Event()

    def close(self) -> None:
        """Nothing more comes: each viewer is handed the rest, and let go."""
        self._feed.closed = True
        self.wake()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serves one viewer until it leaves or the feed ends."""
        if self.count >= MAX_VIEWERS:
            raise web.HTTPServiceUnavailable(
                text=f"{MAX_VIEWERS} viewers are there already; come again",
                headers={"Retry-After": "5"},
            )
        response = web.StreamResponse(headers=HEADERS)
        self.count += 1
        try:
            await response.prepare(request)
            # A browser says by itself what it has; who opens a new stream by hand says so in the
            # URL.
            has = request.headers.get("Last-Event-ID") or request.query.get("after", "")
            await self._hand_out(response, has)
        except (ConnectionError, TimeoutError):  # it left, or takes nothing any more
            if request.transport is not None:
                request.transport.abort()
        finally:
            self.count -= 1
        return response

    async def _hand_out(self, response: web.StreamResponse, has: str) -> None:
        await response.write(RETRY)
        place = self._feed.place_of(has)
        while True:
            news = self._news
            chunk, place = self._feed.after(place)
            if chunk:
                await asyncio.wait_for(response.write(chunk), TAKES_TIMEOUT)
            elif self._feed.closed:
                break
            else:
                await news.wait()
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
