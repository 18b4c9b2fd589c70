"""Asynchronous tests run on uvloop, as the product does."""

from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], uvloop.Loop]]:
    """The event loop under every asynchronous test."""
    return {"uvloop": uvloop.new_event_loop}
