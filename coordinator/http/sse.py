"""`GET /events`: the feed of a run as server-sent events.

A `Feed` holds the newest events in a `CompressedLog` and the run's overview. `Viewers` sends each
viewer, at its own pace, what comes after its `Position`.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

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

from coordinator.http.places import READ_TIMEOUT, Places

MAX_EVENTS = 2 * 3600 + 800
"""Events that a feed keeps: an hour of seconds, an hour of scrapes of a watched server, and the log
of both."""
BLOCK_ITEMS = 64
"""Items that a log compresses together, so that it keeps once what they have in common."""
MAX_DIGITS = 15
"""Digits of an event's number."""
MAX_CHUNK_BYTES = 64 << 10
"""Bytes of events that a viewer is sent at a time."""
MAX_VIEWERS = 250
"""Viewers at once; another one is asked to come again."""
RESERVED_VIEWERS = 50
"""More viewers at once, with the token or the cookie."""
RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a browser that lost the connection tries again."""
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class CompressedLog:
    """The newest items of a sequence, numbered from 1 on.

    The oldest items are dropped as whole blocks, so the log holds `max_items`, rounded up to
    blocks, and a block that is not yet full.
    """

    def __init__(self, max_items: int) -> None:
        self.last = 0
        """The number of the newest item; 0 without one."""
        self._blocks: deque[tuple[bytes, array[int]]] = deque(maxlen=-(-max_items // BLOCK_ITEMS))
        """The full blocks: their items compressed together, and the size of each item."""
        self._newest: list[bytes] = []

    @property
    def first(self) -> int:
        """The number of the oldest item that is kept; `last + 1` without one."""
        return self.last - len(self._newest) - BLOCK_ITEMS * len(self._blocks) + 1

    def append(self, item: bytes) -> None:
        """Adds an item."""
        self.last += 1
        self._newest.append(item)
        if len(self._newest) == BLOCK_ITEMS:
            sizes = array("L", map(len, self._newest))
            self._blocks.append((zlib.compress(b"".join(self._newest)), sizes))
            self._newest = []

    def after(self, number: int, max_bytes: int) -> tuple[bytes, int]:
        """Returns the items after a number, joined, and the number of the last of them.

        It stops after the item that reaches `max_bytes`. The item after `number` must be kept.
        """
        chunk = bytearray()
        while number < self.last and len(chunk) < max_bytes:
            block, begin = divmod(number - self.first + 1, BLOCK_ITEMS)
            for item in islice(self._items(block), begin, None):
                chunk += item
                number += 1
                if len(chunk) >= max_bytes:
                    break
        return bytes(chunk), number

    def _items(self, block: int) -> list[bytes]:
        if block == len(self._blocks):
            return self._newest
        compressed, sizes = self._blocks[block]
        joined = zlib.decompress(compressed)
        items = []
        at = 0
        for size in sizes:
            items.append(joined[at : at + size])
            at += size
        return items


class Position(NamedTuple):
    """The part of a feed that a viewer has read."""

    event: int = -1
    """The number of the last event that it has; -1 when it has none."""
    overview: int = 0
    """The version of the overview that it has."""


class Feed:
    """The events and the overview of one run.

    `key` distinguishes this feed's event ids from another feed's; `preamble` is the JSON that a new
    viewer gets first.
    """

    def __init__(self, key: str, preamble: bytes) -> None:
        self.key = key
        self.preamble = preamble
        self.closed = False
        """True when nothing more will be added."""
        self._events = CompressedLog(MAX_EVENTS)
        """Numbered from 1 on; the preamble is event 0."""
        self._make_overview: Callable[[], object] = dict
        self._overview: bytes | None = b""
        """The overview as an event; None until a viewer needs it."""
        self._version = 0

    def add(self, kind: str, content: object) -> None:
        """Adds an event."""
        event_id = f"{self.key}.{self._events.last + 1}"
        self._events.append(encode(kind, msgspec.json.encode(content), event_id))

    def set_overview(self, make: Callable[[], object]) -> None:
        """Replaces the overview.

        `make` returns its content; it is called once, when the first viewer needs it.
        """
        self._version += 1
        self._make_overview = make
        self._overview = None

    def position_of(self, event_id: str) -> Position:
        """Returns the position of a viewer whose last event had this id.

        It is the start for an id of another feed.
        """
        key, _, number = event_id.rpartition(".")
        known = (
            key == self.key
            and number.isascii()
            and number.isdecimal()
            and len(number) <= MAX_DIGITS
            and int(number) <= self._events.last
        )
        return Position(int(number)) if known else Position()

    def after(self, position: Position) -> tuple[bytes, Position]:
        """Returns the next chunk of events after a position, and the position after it.

        The chunk is empty when nothing is new. A viewer that lags behind the oldest event kept
        starts again from the preamble.
        """
        oldest = self._events.first
        if position.event < 0 or position.event + 1 < oldest:
            preamble = encode("run", self.preamble, f"{self.key}.{oldest - 1}")
            return preamble, Position(oldest - 1, 0)
        chunk, number = self._events.after(position.event, MAX_CHUNK_BYTES)
        version = position.overview
        if number == self._events.last and version != self._version:
            chunk += self._overview_event()
            version = self._version
        return chunk, Position(number, version)

    def _overview_event(self) -> bytes:
        if self._overview is None:
            self._overview = encode("now", msgspec.json.encode(self._make_overview()))
        return self._overview


def encode(kind: str, content: bytes, event_id: str = "") -> bytes:
    """Returns a server-sent event.

    `content` is JSON, which has no line ends, so its data is one line.
    """
    head = f"event: {kind}\n" + (f"id: {event_id}\n" if event_id else "")
    return b"%sdata: %s\n\n" % (head.encode(), content)


class Viewers:
    """The clients that follow a feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._news = asyncio.Event()
        self._places = Places(MAX_VIEWERS, RESERVED_VIEWERS, "viewers follow this run")

    @property
    def count(self) -> int:
        """The number of viewers."""
        return self._places.taken

    def wake(self) -> None:
        """Sends the viewers that wait what is new in the feed."""
        self._news.set()
        self._news = asyncio.Event()

    def close(self) -> None:
        """Closes the feed: each viewer gets the rest, then the end of its response."""
        self._feed.closed = True
        self.wake()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serves one viewer until it disconnects or the feed is closed."""
        with self._places.take(request):
            response = web.StreamResponse(headers=HEADERS)
            try:
                await response.prepare(request)
                # A browser sends the header when it reconnects; a client that opens a new stream
                # puts the id into the URL.
                last = request.headers.get("Last-Event-ID") or request.query.get("after", "")
                await self._send(response, self._feed.position_of(last))
            except (ConnectionError, TimeoutError):  # the viewer disconnected, or reads no more
                if request.transport is not None:
                    request.transport.abort()
            return response

    async def _send(self, response: web.StreamResponse, position: Position) -> None:
        await response.write(RETRY)
        while True:
            news = self._news
            chunk, position = self._feed.after(position)
            if chunk:
                await asyncio.wait_for(response.write(chunk), READ_TIMEOUT)
            elif self._feed.closed:
                break
            else:
                await news.wait()
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
