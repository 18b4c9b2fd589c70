"""The event loop of all tests, a target, and the look at it after a test."""

from collections.abc import Callable, Mapping

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from tests.processes import opens, target

settings.register_profile("unhurried", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("unhurried")  # on a busy machine an example takes as long as it takes


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], uvloop.Loop]]:
    """Asynchronous tests run on uvloop, as the product does."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest tests first: started last, one would run alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)


@pytest.fixture(scope="module")
def server():
    """One target for all tests of a file."""
    with target("--workers", "1") as running:
        yield running


@pytest.fixture
def nothing_is_left(server):
    """Whatever a test did, nothing is open once its processes are gone."""
    yield
    opens(server, 0)
