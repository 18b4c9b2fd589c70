"""The plain HTTP beside the WebSockets."""

import json

import aiohttp
import pytest
from websockets.asyncio.client import connect


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def test_stats(serve, http):
    async with serve(limit=7) as server, http.get(f"http://127.0.0.1:{server.port}/stats") as reply:
        assert reply.status == 200
        assert await reply.json() == server.state.stats()


async def test_publish(serve, http):
    async with serve() as server:
        files = f"ws://127.0.0.1:{server.port}/v1/realtime?channels[]=files&channels%5B%5D=teams"
        async with (
            connect(files) as hears,
            connect(files.replace("files", "x").replace("teams", "y")) as hears_not,
        ):
            body = {
                "channels": ["teams", "files"],
                "payload": {"n": [1, None]},
                "events": ["files.1.create"],
            }
            async with http.post(f"http://127.0.0.1:{server.port}/publish", json=body) as reply:
                assert (reply.status, await reply.json()) == (200, {"subscribers": 1})
            event = json.loads(await hears.recv())
            await hears.send("echo")
            await hears_not.send("echo")

            assert event["type"] == "event"
            assert event["data"].pop("timestamp").endswith("+00:00")
            assert event["data"] == body
            assert (await hears.recv(), await hears_not.recv()) == ("echo", "echo")


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", b'{"payload":1}', b'{"channels":[]}', b"\xff"]
)
async def test_a_bad_publication(serve, http, body):
    async with (
        serve() as server,
        http.post(f"http://127.0.0.1:{server.port}/publish", data=body) as reply,
    ):
        assert reply.status == 400
        text = await reply.text()
        assert list(json.loads(text)) == ["error"]
        assert "\n" not in text


@pytest.mark.parametrize(
    ("mode", "method", "path", "status"),
    [
        ("echo", "POST", "/stats", 404),
        ("echo", "POST", "/", 404),
        ("echo", "GET", "/publish", 426),
        ("echo", "GET", "/", 426),
        ("appwrite", "GET", "/v1/realtime", 426),
        ("appwrite", "GET", "/", 404),
    ],
)
async def test_nothing_else(serve, http, mode, method, path, status):
    async with (
        serve(mode=mode) as server,
        http.request(method, f"http://127.0.0.1:{server.port}{path}") as reply,
    ):
        assert reply.status == status


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"nonsense\r\n\r\n", id="no HTTP"),
        pytest.param(b"GET /stats HTTP/1.1\r\nHost\r\n\r\n", id="half a header"),
        pytest.param(
            b"POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", id="half a body"
        ),
    ],
)
async def test_a_client_s_bad_http_is_not_logged(serve, caplog, data):
    async with serve() as server:
        async with server.dial(data) as line:
            line.writer.write_eof()
            await line.rest()
        assert not caplog.records


async def test_a_publication_too_large_for_the_bus(serve, http):
    body = b'{"channels":["a"],"payload":"' + b"x" * 200_000 + b'"}'
    async with (
        serve() as server,
        http.post(f"http://127.0.0.1:{server.port}/publish", data=body) as reply,
    ):
        assert reply.status == 413
