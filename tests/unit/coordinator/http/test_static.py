"""The files of the live page, and nothing else, from memory."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from coordinator.http.static import FOLDER, Page, no_icon


@pytest.fixture
async def client():
    """A client of a port that serves the page alone."""
    page = Page()
    app = web.Application()
    app.add_routes(
        [
            web.get("/", page.index),
            web.get("/page/{file}", page.file),
            web.get("/page/vendor/{file}", page.vendor_file),
            web.get("/favicon.ico", no_icon),
        ]
    )
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "file", "media"),
    [
        ("/", "index.html", "text/html"),
        ("/page/app.js", "app.js", "text/javascript"),
        ("/page/page.css", "page.css", "text/css"),
        ("/page/vendor/uPlot.min.css", "vendor/uPlot.min.css", "text/css"),
    ],
)
async def test_a_file_is_served_with_its_type(client, path, file, media):
    reply = await client.get(path)

    assert (reply.status, reply.content_type, reply.charset) == (200, media, "utf-8")
    assert await reply.read() == (FOLDER / file).read_bytes()


async def test_the_page_may_load_nothing_from_other_sites(client):
    reply = await client.get("/")

    assert "default-src 'none'; script-src 'self'" in reply.headers["Content-Security-Policy"]
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    ["/page/none.js", "/page/vendor/app.js", "/page/..%2fapp.py", "/page/vendor%2f..%2fapp.js"],
)
async def test_a_name_that_is_no_file_of_the_page_is_not_found(client, path):
    reply = await client.get(path)

    assert reply.status == 404


async def test_a_browser_that_asks_for_an_icon_gets_none_and_no_error(client):
    reply = await client.get("/favicon.ico")

    assert (reply.status, await reply.read()) == (204, b"")
