"""Scrapes the exporters that `--watch NAME=URL` names: the server's own figures, on the run's time axis."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import aiohttp

from coordinator.readings import Reading, reading_of

EVERY = 1.0
WITHIN = 2.0
"""Seconds that an exporter may take."""
MOST_BYTES = 8 << 20


class Watched(NamedTuple):
    """An exporter, and what its server is called."""

    name: str
    url: str


class Watch:
    """All scrapes of a run. `age` tells how old it is, below 0 before it starts; `tell` takes each reading."""

    def __init__(
        self, watched: Sequence[Watched], age: Callable[[], float], tell: Callable[[Reading], None],
        warn: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._watched = watched
        self._age = age
        self._tell = tell
        self._warn = warn

    async def run(self) -> None:
        """Scrapes until it is cancelled; what can't be scraped is said once, and tried again."""
        timeout = aiohttp.ClientTimeout(total=WITHIN)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            await asyncio.gather(*(self._follow(http, one) for one in self._watched))

    async def _follow(self, http: aiohttp.ClientSession, one: Watched) -> None:
        complained, last = False, -1
        while True:
            second = int(self._age()) if self._age() >= 0 else -1
            if second > last:
                last = second
                try:
                    self._tell(reading_of(one.name, second, await _scrape(http, one.url)))
                    complained = False
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    if not complained:
                        self._warn(f"--watch {one.name}: {one.url} can't be scraped ({error or type(error).__name__})")
                    complained = True
            await asyncio.sleep(EVERY / 4)


async def _scrape(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url, raise_for_status=True) as reply:
        body = await reply.content.read(MOST_BYTES)
        return body.decode()
