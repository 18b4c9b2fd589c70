"""The routes that are open with and without token, cookie and --public-view."""

import pytest
from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer

from coordinator.http.auth import COOKIE
from coordinator.http.server import Server
from coordinator.run.run import Run
from loadgen.http.token import Token
from tests.unit.coordinator.fleet import PLAN

TOKEN = Token("s3cret")
BEARER = {"Authorization": "Bearer s3cret"}
VIEWER = {"Cookie": f"{COOKIE}={TOKEN.sign(COOKIE)}"}
PATHS = {
    "open": ("GET", "/healthz"),
    "view": ("GET", "/v1/run"),
    "archive": ("GET", "/runs/none.tar.gz"),
    "change": ("POST", "/v1/run/drain"),
}
"""One path of each access."""
ALL = set(PATHS)


async def allowed(tmp_path, token, headers, *, public=False):
    """Returns the accesses that requests with these headers have."""
    server = Server(Run(PLAN, 1), lambda: 0.0, token, public=public, out=tmp_path)
    headers = {"Host": "127.0.0.1:8091"} | headers
    found = set()
    async with TestClient(TestServer(server.app), cookie_jar=DummyCookieJar()) as client:
        for access, (method, path) in PATHS.items():
            async with client.request(method, path, headers=headers) as reply:
                if reply.status not in (401, 403):
                    found.add(access)
    return found


@pytest.mark.parametrize(
    ("public", "headers", "accesses"),
    [
        (False, {}, {"open"}),
        (False, BEARER, ALL),
        (False, {"Authorization": "Bearer wrong"}, {"open"}),
        (False, VIEWER, {"open", "view", "archive"}),
        (False, {"Cookie": f"{COOKIE}=s3cret"}, {"open"}),
        (True, {}, {"open", "view"}),
        (True, VIEWER, {"open", "view", "archive"}),
        (True, BEARER, ALL),
        (False, BEARER | {"Origin": "http://evil.example"}, ALL - {"change"}),
        (False, BEARER | {"Host": "manager", "Origin": "http://manager"}, ALL),
    ],
)
async def test_with_a_token(tmp_path, public, headers, accesses):
    assert await allowed(tmp_path, TOKEN, headers, public=public) == accesses


@pytest.mark.parametrize(
    ("headers", "accesses"),
    [
        ({}, ALL),
        ({"Host": "localhost:8091"}, ALL),
        ({"Host": "[::1]:8091"}, ALL),
        ({"Host": "evil.example:8091"}, {"open", "change"}),
        ({"Host": "evil.example:8091", "Origin": "http://evil.example:8091"}, {"open"}),
        ({"Origin": "http://127.0.0.1:8091"}, ALL),
        ({"Origin": "http://evil.example"}, ALL - {"change"}),
        ({"Sec-Fetch-Site": "cross-site"}, ALL - {"change"}),
        ({"Sec-Fetch-Site": "same-origin"}, ALL),
    ],
)
async def test_without_a_token(tmp_path, headers, accesses):
    assert await allowed(tmp_path, None, headers) == accesses


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_path_outside_of_the_table_needs_the_token(tmp_path, method):
    server = Server(Run(PLAN, 1), lambda: 0.0, TOKEN, out=tmp_path)
    async with TestClient(TestServer(server.app)) as client:
        async with client.request(method, "/nothing") as reply:
            assert reply.status == 401
        async with client.request(method, "/nothing", headers=BEARER) as reply:
            assert reply.status == 404
