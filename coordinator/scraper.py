"""Scrapes the exporters that `--watch NAME=URL` names.

It keeps the servers' own figures, in the seconds of the run.
"""

import asyncio
from collections.abc import Callable, Sequence

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from coordinator.scrape import Scrape, Watched
from loadgen.plan.secrets import shown_text

IDLE = ("idle", "iowait")
"""The modes in which node_exporter counts a core as unused."""
CPU = "node_cpu_seconds_total"
MODES = ("steal", "softirq")
"""The modes of CPU time that are kept by themselves."""
EVERY = 1.0
"""Seconds between two scrapes."""
SCRAPE_TIMEOUT = 2.0
"""Seconds that an exporter may take."""
MAX_BYTES = 4 << 20
"""The longest answer of an exporter; it is parsed in a second or two."""
MAX_LINE = 64 << 10
"""Bytes of the longest line in it: the parser's time grows with the square of a line's length."""


def scrape_of(name: str, second: int, text: str) -> Scrape:
    """Returns the figures of an exporter's answer: the machine's, else the process's.

    The names are node_exporter's, and those of the Prometheus client libraries for a process.
    Raises ValueError when the text is no exposition.
    """
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            mode = sample.labels.get("mode", "")
            if sample.name == CPU and mode in MODES:
                found[f"{CPU} {mode}"] = found.get(f"{CPU} {mode}", 0.0) + sample.value
            if mode not in IDLE:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    total = found.get("node_memory_MemTotal_bytes")
    available = found.get("node_memory_MemAvailable_bytes")
    used = total - available if total is not None and available is not None else None
    return Scrape(
        second,
        name,
        found.get(CPU, found.get("process_cpu_seconds_total")),
        used if used is not None else found.get("process_resident_memory_bytes"),
        found.get("node_filefd_allocated", found.get("process_open_fds")),
        found.get("node_sockstat_TCP_inuse"),
        found.get(f"{CPU} steal"),
        found.get(f"{CPU} softirq"),
        found.get("node_context_switches_total"),
        found.get("node_netstat_Tcp_RetransSegs"),
        found.get("node_netstat_TcpExt_ListenOverflows"),
        found.get("node_netstat_TcpExt_ListenDrops"),
        found.get("node_procs_running"),
        found.get("node_sockstat_TCP_mem"),
    )


class Scraper:
    """Scrapes all watched servers of a run.

    `age` returns the seconds from the start of the run, on its clock, below 0 before the start.
    `take` is called with each scrape, `warn` with a line for the operator.
    """

    def __init__(
        self,
        watched: Sequence[Watched],
        age: Callable[[], float],
        take: Callable[[Scrape], None],
        warn: Callable[[str], None],
    ) -> None:
        self._watched = watched
        self._age = age
        self._take = take
        self._warn = warn

    async def run(self) -> None:
        """Scrapes every server once a second until it is cancelled.

        A server that can't be scraped is reported once, and tried again.
        """
        timeout = aiohttp.ClientTimeout(total=SCRAPE_TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as http:
            await asyncio.gather(*(self._follow(http, watched) for watched in self._watched))

    async def _follow(self, http: aiohttp.ClientSession, watched: Watched) -> None:
        failing = False
        last = -1
        while True:
            age = self._age()
            second = int(age) if age >= 0 else -1
            if second > last:
                last = second
                try:
                    text = await _fetch(http, watched.url)
                    self._take(await _parse(watched.name, second, text))
                    failing = False
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    if not failing:
                        why = f"{watched.url} can't be scraped ({error or type(error).__name__})"
                        self._warn(f"--watch {watched.name}: {shown_text(why)}")
                    failing = True
            await asyncio.sleep(EVERY / 4)


async def _fetch(http: aiohttp.ClientSession, url: str) -> str:
    """Returns the whole answer of an exporter.

    Raises ValueError for one that is too long, compressed, or elsewhere: a redirect may lead to an
    address that the operator did not name, and a small compressed answer unpacks to a large one.
    """
    headers = {"Accept-Encoding": "identity"}
    async with http.get(
        url, raise_for_status=True, allow_redirects=False, headers=headers
    ) as reply:
        if reply.status != 200:
            raise ValueError(f"it answers {reply.status}, not 200")
        if reply.headers.get("Content-Encoding", "identity") != "identity":
            raise ValueError("its answer is compressed, which was not asked for")
        body = bytearray()
        async for part in reply.content.iter_any():
            body += part
            if len(body) > MAX_BYTES:
                raise ValueError(f"its answer is longer than {MAX_BYTES >> 20} MiB")
        if max(map(len, body.splitlines()), default=0) > MAX_LINE:
            raise ValueError(f"its answer has a line longer than {MAX_LINE >> 10} KiB")
        return body.decode()


async def _parse(name: str, second: int, text: str) -> Scrape:
    """Returns the figures of an answer.

    It is parsed beside the loop: a long one takes seconds.
    """
    try:
        return await asyncio.to_thread(scrape_of, name, second, text)
    except ValueError:  # it may quote the answer, which is not the operator's to read
        raise ValueError("its answer is no exposition of metrics") from None
