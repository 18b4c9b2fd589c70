"""`GET /events`: the feed of a run as server-sent events, to each viewer at its own pace."""

import asyncio
import contextlib

from aiohttp import web

from coordinator.feed import Feed

MOST_VIEWERS = 250
"""Viewers at once; more are asked to come again."""
TAKES_WITHIN = 30.0
"""Seconds that a viewer may take over what it was handed; then its connection is cut."""
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
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
        if self.count >= MOST_VIEWERS:
            raise web.HTTPServiceUnavailable(
                text=f"{MOST_VIEWERS} viewers are there already; come again", headers={"Retry-After": "5"}
            )
        response = web.StreamResponse(headers=HEADERS)
        self.count += 1
        try:
            await response.prepare(request)
            # A browser says by itself what it has; who opens a new stream by hand says so in the URL.
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
                await asyncio.wait_for(response.write(chunk), TAKES_WITHIN)
            elif self._feed.closed:
                break
            else:
                await news.wait()
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
