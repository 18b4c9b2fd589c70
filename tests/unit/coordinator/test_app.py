"""A run from its settings to its files.

All parts of the coordinator are in this process.
"""

import asyncio
from time import monotonic

import msgspec
import pytest
from aiohttp import web

from coordinator.app import coordinate
from coordinator.run.progress import START_IN
from coordinator.run.run import Run
from coordinator.scrape import Scrape, Watched
from coordinator.settings import RunSettings
from coordinator.storage.journal import Journal
from loadgen.forkserver import ForkServer
from loadgen.plan.plan import Plan
from loadgen.values import Endpoint
from tests.unit.coordinator.fleet import started
from tests.unit.coordinator.folders import journal_head

PLAN = Plan(target="ws://127.0.0.1:9/", max=10, rate=10.0)
LISTEN = Endpoint("127.0.0.1", 0)
OF_EARLIER_BOOT = 5000.0
"""Seconds by which the monotonic clock of the earlier boot is ahead of this one's."""


@pytest.fixture
async def exporter():
    """The URL of an exporter that answers every scrape."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text="process_open_fds 9\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    yield f"http://{host}:{port}/metrics"
    await runner.cleanup()


def interrupted(folder, age):
    """Writes the journal of a run that began `age` seconds ago.

    Its times are on the clock of another boot.
    """
    now = monotonic() + OF_EARLIER_BOOT
    journal = Journal.begin(folder, journal_head(PLAN, boot="another boot", clock=now))
    run = Run(PLAN, 1, key="k")
    run.record = journal.record
    started(run, ["a"], now=now - START_IN - age)
    journal.close()


async def test_scrapes_of_a_run_resumed_after_a_reboot_carry_the_seconds_of_the_run(
    tmp_path, exporter
):
    interrupted(tmp_path, age=3.0)
    settings = RunSettings(
        plan=PLAN,
        agents=1,
        listen=LISTEN,
        out=tmp_path.parent,
        resume=tmp_path,
        watch=(Watched("server", exporter),),
    )
    watched = tmp_path / "watched.ndjson"

    running = asyncio.create_task(coordinate(settings, ForkServer()))
    try:
        async with asyncio.timeout(5.0):
            while not watched.exists() or not watched.read_bytes():  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    scrapes = [msgspec.json.decode(line, type=Scrape) for line in watched.read_bytes().splitlines()]
    assert all(3 <= scrape.second < 20 for scrape in scrapes)
