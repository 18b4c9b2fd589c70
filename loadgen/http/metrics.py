"""The page with the metrics of a process, for Prometheus."""

from aiohttp import web
from prometheus_client import CollectorRegistry

from loadgen.http.shared import SharedAnswer
from loadgen.stats.prometheus import render

MAX_AGE = 1.0
"""Seconds for which a page is kept: counts change once a second."""


class MetricsPage:
    """The metrics of a registry, rendered once a second at most."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._page = SharedAnswer(self._render, MAX_AGE)

    async def _render(self) -> tuple[bytes, str]:
        return render(self._registry)

    async def show(self, _: web.Request) -> web.Response:
        """Answers a scrape."""
        body, content_type = await self._page.get()
        return web.Response(body=body, headers={"Content-Type": content_type})
