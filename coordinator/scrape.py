"""Scrapes the exporters that `--watch NAME=URL` names: the server's own figures, on the run's
time axis."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

IDLE = ("idle", "iowait")


class Scrape(msgspec.Struct, omit_defaults=True):
    """One scrape of a watched server; None is what its exporter does not tell."""

    second: int
    """Of the run."""
    name: str
    """What the operator calls it."""
    cpu_s: float | None = None
    """CPU seconds used so far, of all cores."""
    memory: float | None = None
    """Bytes in use."""
    files: float | None = None
    """Open files."""
    sockets: float | None = None
    """TCP sockets in use."""


def scrape_of(name: str, second: int, text: str) -> Scrape:
    """What a scrape says: of the machine (node_exporter's names), else of the process;
    ValueError when it is none."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("mode") not in IDLE:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    total, available = (
        found.get("node_memory_MemTotal_bytes"),
        found.get("node_memory_MemAvailable_bytes"),
    )
    used = total - available if total is not None and available is not None else None
    return Scrape(
        second,
        name,
        found.get("node_cpu_seconds_total", found.get("process_cpu_seconds_total")),
        used if used is not None else found.get("process_resident_memory_bytes"),
        found.get("node_filefd_allocated", found.get("process_open_fds")),
        found.get("node_sockstat_TCP_inuse"),
    )


EVERY = 1.0
WITHIN = 2.0
"""Seconds that an exporter may take."""
MAX_BYTES = 8 << 20


class Watched(NamedTuple):
    """An exporter, and what its server is called."""

    name: str
    url: str


class Scraper:
    """All scrapes of a run. `age` tells how old it is, below 0 before it starts; `tell` takes
    each reading."""

    def __init__(
        self, watched: Sequence[Watched], age: Callable[[], float], tell: Callable[[Scrape], None],
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
                    self._tell(scrape_of(one.name, second, await _scrape(http, one.url)))
                    complained = False
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    if not complained:
                        self._warn(
                            f"--watch {one.name}: {one.url} can't be scraped"
                            f" ({error or type(error).__name__})"
                        )
                    complained = True
            await asyncio.sleep(EVERY / 4)


async def _scrape(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url, raise_for_status=True) as reply:
        body = await reply.content.read(MAX_BYTES)
        return body.decode()
