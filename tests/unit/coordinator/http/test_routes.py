"""The table of routes: server and OpenAPI document have its routes and no others."""

import asyncio
import json
import pickle

import pytest
from aiohttp.test_utils import TestClient, TestServer

from coordinator.http.openapi import document
from coordinator.http.routes import ROUTES
from coordinator.http.server import Server
from coordinator.run.run import Run
from tests.unit.coordinator.fleet import PLAN, opened, posted, seconds, started

GETS = [route for route in ROUTES if route.method == "GET"]


def running_run():
    """A run of two agents after its first second."""
    run = Run(PLAN, 2)
    a, b = started(run)
    for agent in (a, b):
        posted(run, agent, seconds(opened(0, 10)), run.start + 1.0)
    run.tick(run.start + 1.5)
    return run


@pytest.fixture
def out(tmp_path):
    """A directory of runs with one run in it."""
    folder = tmp_path / "runs" / "some-run"
    folder.mkdir(parents=True)
    (folder / "plan.toml").write_text("max = 1\n")
    (folder / "report.html").write_text("<p>report</p>")
    (folder / "errors").mkdir()
    (folder / "errors" / "app.js").write_text("a sample")
    return folder.parent


def server_of(run, out):
    return Server(run, lambda: run.start + 2.0, out=out)


def files_below(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_server_has_every_route_of_the_table_and_no_other(out):
    served = {
        (route.method, route.resource.canonical)
        for route in server_of(running_run(), out).app.router.routes()
        if route.method != "HEAD"
    }

    assert served == {(route.method, route.path) for route in ROUTES}


def test_the_openapi_document_has_every_route_of_the_table_and_no_other():
    documented = {
        (method.upper(), path)
        for path, operations in json.loads(document())["paths"].items()
        for method in operations
    }

    assert documented == {(route.method, route.path) for route in ROUTES}


def test_a_change_is_a_post_and_a_post_a_change():
    assert {route.method for route in ROUTES if route.access == "change"} == {"POST"}
    assert {route.access for route in ROUTES if route.method == "POST"} == {"change"}


@pytest.mark.parametrize("route", GETS, ids=lambda route: route.name)
async def test_a_get_changes_neither_the_run_nor_its_files(route, out):
    run = running_run()
    server = server_of(run, out)
    names = {"name": "some-run", "file": "uPlot.min.css" if "vendor" in route.path else "app.js"}
    async with TestClient(TestServer(server.app)) as client:
        run_before = pickle.dumps(run)
        files_before = files_below(out)
        async with asyncio.timeout(10), client.get(route.path.format(**names)) as reply:
            assert reply.status == route.status
            if route.name != "events":  # a stream without an end
                await reply.read()

        assert pickle.dumps(run) == run_before
        assert files_below(out) == files_before
        await server.stop()
