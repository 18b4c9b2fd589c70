"""The page with the metrics, under many scrapes."""

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from loadgen.http.metrics import MetricsPage
from loadgen.stats.ledger import Ledger
from loadgen.stats.prometheus import Snapshot, registry_of
from loadgen.stats.tally import Tally


async def test_many_scrapes_in_a_second_are_rendered_once():
    rendered = []

    def read():
        rendered.append(True)
        return [Snapshot(None, Ledger.of(None, Tally(opened=7)), Tally(opened=7))]

    app = web.Application()
    app.router.add_get("/metrics", MetricsPage(registry_of(read)).show)
    async with TestClient(TestServer(app)) as client:
        rendered.clear()  # registering a collector reads it once
        replies = await asyncio.gather(*(client.get("/metrics") for _ in range(50)))
        texts = {await reply.text() for reply in replies}

    assert len(texts) <= 2
    assert "loadgen_connections_opened_total 7.0" in texts.pop()
    assert 1 <= len(rendered) <= 2, "the second one only if the scrapes took over a second"
    assert replies[0].headers["Content-Type"].startswith("text/plain")
