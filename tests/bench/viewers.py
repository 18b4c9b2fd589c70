"""The CPU that viewers of the page cost the coordinator, in a run of 16 agents."""

import asyncio
import time
from tempfile import TemporaryDirectory

import aiohttp

from tests.bench.fleet import coordinator_of, cpu_seconds, summary_in
from tests.bench.goal import Goal
from tests.processes import eventually, get, target

VIEWERS = 100
SECONDS = 10.0
"""Seconds over which the CPU is measured, without viewers and with them."""
ARGUMENTS = ("--local", "16", "--rate", "1000", "--max", "40000", "--think", "10", "--hold", "5")


def run() -> list[Goal]:
    """Returns the figures of one run, first without viewers, then with a hundred."""
    with TemporaryDirectory() as out, target("--workers", "4", "--limit", "50000") as url:
        with coordinator_of(out, url, *ARGUMENTS) as coordinator:
            eventually(lambda: url.stats()["open"] >= 5000, "5,000 open", 60.0)
            page = _page(out)
            alone = _busy(coordinator.pid)
            watched, recorded = asyncio.run(_watched(page, coordinator.pid))
            coordinator.wait(120)
        summary = summary_in(out)
    each = 100 * (watched - alone) / VIEWERS
    return [
        Goal("live page: coordinator's CPU without viewers", 100 * alone, "% of a core"),
        Goal("live page: coordinator's CPU a viewer", each, "% of a core", 2.0),
        Goal(
            "live page: seconds that the slowest of 100 viewers missed",
            SECONDS - 1 - min(recorded),
            "",
            0,
        ),
        Goal("100 viewers: late", 100 * summary["late"] / summary["launched"], "%", 1.0),
        Goal("100 viewers: invalid seconds", len(summary["invalid_seconds"]), "", 0),
    ]


def _page(out: str) -> str:
    with open(f"{out}/coordinator.log") as log:
        line = next(line for line in log if "agents join at" in line)
    url = line.split("agents join at ")[1].split(";")[0]
    get(f"{url}/healthz")
    return url


def _busy(pid: int) -> float:
    """Returns the share of a core that a process uses."""
    before = cpu_seconds(pid, 0.0)
    began = time.monotonic()
    time.sleep(SECONDS)
    return (cpu_seconds(pid, 0.0) - before) / (time.monotonic() - began)


async def _watched(url: str, pid: int) -> tuple[float, list[int]]:
    """Returns the same with viewers, and the new seconds that each received.

    One more viewer does not read.
    """
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        idle = await http.get(f"{url}/events")
        recorded = [0] * VIEWERS
        viewers = [
            asyncio.create_task(_view(http, url, recorded, viewer)) for viewer in range(VIEWERS)
        ]
        await asyncio.sleep(3)  # the earlier seconds come first
        before = list(recorded)
        busy = await asyncio.to_thread(_busy, pid)
        received = [now - then for now, then in zip(recorded, before, strict=True)]
        for viewer in viewers:
            viewer.cancel()
        idle.close()
    return busy, received


async def _view(http: aiohttp.ClientSession, url: str, recorded: list[int], viewer: int) -> None:
    async with http.get(f"{url}/events") as reply:
        async for line in reply.content:
            recorded[viewer] += line == b"event: second\n"
