"""A run, its port, and a client of it."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from coordinator.http.server import Server
from coordinator.run.run import Run
from tests.unit.coordinator.fleet import PLAN


@pytest.fixture
def run():
    return Run(PLAN, 2)


@pytest.fixture
def server(run, tmp_path):
    """A server whose clock stands still two seconds after the start of the run."""
    return Server(run, lambda: run.start + 2.0 if run.started else 0.0, out=tmp_path)


@pytest.fixture
async def client(server):
    async with TestClient(TestServer(server.app)) as client:
        yield client
