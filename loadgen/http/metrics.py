"""The page with the metrics of a process, for Prometheus."""

import asyncio
from time import monotonic

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry

from loadgen.http.shared import SharedAnswer
from loadgen.stats.prometheus import render

MAX_HOLD = 0.005
"""Seconds after which rendering lets others go on, at the next family."""
MAX_AGE = 1.0
"""Seconds for which a page is kept: counts change once a second."""


class MetricsPage:
    """The metrics of a registry, rendered once a second at most."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._page = SharedAnswer(self._render, MAX_AGE)

    async def _render(self) -> bytes:
        body, began = bytearray(), monotonic()
        for part in render(self._registry):
            body += part
            if monotonic() - began > MAX_HOLD:
                await asyncio.sleep(0)  # the loop goes on with what else there is
                began = monotonic()
        return bytes(body)

    async def show(self, _: web.Request) -> web.Response:
        """Answers a scrape."""
        body = await self._page.get()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
