"""HTTP requests of users, against aiohttp's server."""

import asyncio
import gc
from contextlib import suppress

import pytest
from aiohttp import ClientResponse

from loadgen.sessions.errors import HttpFailed
from loadgen.sessions.user import User
from tests.login_server import SLOW
from tests.processes import refusing_port
from tests.unit.http_load import SOURCE, http_load
from tests.unit.timing import MS
from tests.unit.wire_ends import until


async def test_a_login_gives_the_token_for_the_connection():
    got = []

    async def session(user):
        async with user.http.post("/login", json={"user": "ada"}, name="login") as reply:
            got.append((reply.status, reply.headers["Content-Type"].split(";")[0]))
            token = (await reply.json())["token"]
        ws = await user.connect(f"/ws?token={token}")
        await ws.send("hello")
        got.append(await ws.receive(timeout=5))
        await ws.close()

    async with http_load(session) as (running, _):
        await running.over()
        total = running.tally

    assert got == [(200, "application/json"), "t-ada:hello"]
    assert (total.opened, total.closed) == (1, {"done": 1})
    assert (total.http_requests, total.http_replies, total.http_failed) == (1, {"200": 1}, {})
    assert (total.http.total, total.timings["http_login"].total) == (1, 1)


async def test_each_user_has_cookies_of_its_own_and_sends_them_back():
    got = {}

    async def session(user):
        name = f"u{user.number}"
        assert user.http.cookies == {}
        await user.http.post("/login", json={"user": name})
        reply = await user.http.get("/me")
        got[user.number] = (await reply.json())["sid"], user.http.cookies
        await user.connect("/ws")

    async with http_load(session, users=3) as (running, _):
        await running.over()

    assert got == {n: (f"c-u{n}", {"sid": f"c-u{n}"}) for n in range(3)}


async def test_a_redirect_is_followed_with_the_cookie_that_it_set():
    got = []

    async def session(user):
        reply = await user.http.post("/form", data={"user": "eve"})
        got.append((reply.status, reply.method, (await reply.json())["sid"]))
        reply = await user.http.post("/form", data={"user": "eve"}, allow_redirects=False)
        got.append(reply.status)
        await user.connect("/ws")

    async with http_load(session) as (running, _):
        await running.over()
        total = running.tally

    assert got == [(200, "GET", "c-eve"), 302]
    assert (total.http_requests, total.http_replies) == (2, {"200": 1, "302": 1})


async def test_every_method_sends_its_parts_from_the_agents_address():
    got = []

    async def session(user):
        http = user.http
        for send in (http.get, http.put, http.patch, http.delete):
            reply = await send("/me", params={"a": "1"}, headers={"X-Key": "k"}, data="body")
            got.append(await reply.json())
        got.append((await http.head("/me")).status)
        got.append((await http.request("OPTIONS", "/me")).status)
        await user.connect("/ws")

    async with http_load(session) as (running, _):
        await running.over()

    *four, head, options = got
    assert [one["method"] for one in four] == ["GET", "PUT", "PATCH", "DELETE"]
    assert {(one["key"], one["body"], one["peer"]) for one in four} == {("k", "body", SOURCE)}
    assert four[0]["query"] == {"a": "1"}
    assert four[0]["agent"].startswith("loadgen/")
    assert (head, options) == (200, 200)


async def test_a_status_of_400_and_more_is_a_reply_with_a_sample():
    got = []

    async def session(user):
        reply = await user.http.post("/login?secret=1", json={"user": "mallory"})
        got.append(reply.status)
        await user.connect("/ws")

    async with http_load(session) as (running, _):
        await running.over()
        total = running.tally
        sample = running.recorder.samples["http_replies.403"]

    assert got == [403]
    assert (total.http_errors, total.http_replies, total.http_failed) == (1, {"403": 1}, {})
    assert sample.startswith("user 0: POST /login: 403\n")
    assert "no such user" in sample
    assert "secret" not in sample


@pytest.mark.parametrize(
    ("path", "options", "reason"),
    [
        ("/slow", {"timeout": 20 * MS}, "timeout"),
        ("/cut", {}, "server_eof"),
        ("/big", {}, "message_too_big"),
        ("/again", {}, "too_many_redirects"),
        ("http://10.255.255.1/", {}, "not_allowed"),
        ("http://[2001:db8::1]/", {}, "not_allowed"),
        ("http://localhost.invalid/", {}, "dns"),
        ("/elsewhere?to=http://10.255.255.1/", {}, "not_allowed"),
        ("/elsewhere?to=ftp://127.0.0.1/", {}, "bad_request"),
        ("ftp://127.0.0.1/", {}, "bad_request"),
        ("http://127.0.0.1:x/", {}, "bad_request"),
    ],
)
async def test_a_request_without_a_reply_is_counted_by_its_reason(path, options, reason):
    got = []

    async def session(user):
        try:
            await user.http.get(path, **options)
        except HttpFailed as error:
            got.append(str(error))
        await user.connect("/ws")

    async with http_load(session) as (running, _):
        await running.over()
        total = running.tally
        samples = running.recorder.samples

    assert (got, total.http_failed, total.http_replies) == ([reason], {reason: 1}, {})
    assert total.http.total == 0
    assert samples[f"http_failed.{reason}"].startswith("user 0: GET ")


async def test_nothing_that_listens_is_refused():
    async def session(user):
        with pytest.raises(HttpFailed, match="refused"):
            await user.http.get(f"http://127.0.0.1:{refusing_port()}/")
        await user.connect("/ws")

    async with http_load(session) as (running, _):
        await running.over()
        assert running.tally.http_failed == {"refused": 1}


async def test_tls_that_fails_is_counted_as_such():
    async def session(user):
        await user.connect("/ws")
        await user.http.get(user.target.replace("ws://", "https://"))

    async with http_load(session) as (running, _):
        await running.over()
        total = running.tally

    assert (total.http_failed, total.closed) == ({"tls": 1}, {"error_HttpFailed": 1})
    assert total.sessions_failed == 1


async def test_hosts_that_the_agent_allows_may_be_asked():
    async def session(user):
        with pytest.raises(HttpFailed, match="timeout"):
            await user.http.get("http://10.255.255.1/", timeout=10 * MS)
        await user.connect("/ws")

    async with http_load(session, allowed=("10.255.0.0/16",)) as (running, _):
        await running.over()


async def test_a_mistake_of_the_session_is_its_own_exception():
    got = []

    async def session(user):
        for options in ({"json": {1, 2}}, {"ssl": False}):
            try:
                await user.http.post("/login", **options)
            except TypeError as error:
                got.append(str(error))
        await user.connect("/ws")

    async with http_load(session) as (running, _):
        await running.over()
        total = running.tally

    assert "not JSON serializable" in got[0]
    assert got[1].startswith("an HTTP request has no option 'ssl'; it has json, data,")
    assert total.http_failed == {"bad_request": 1}


async def test_a_drain_cancels_a_request_in_flight_and_counts_it():
    async def session(user):
        await user.connect("/ws")
        await user.http.get("/slow")

    async with http_load(session) as (running, app):
        await until(lambda: app[SLOW])
        running.engine.drain(running.start)
        await running.over()
        total = running.tally

    assert total.http_failed == {"drained": 1}
    assert (total.closed, total.http_requests) == ({"drained": 1}, 1)


async def test_a_request_that_the_session_gives_up_is_cancelled():
    async def session(user):
        ws = await user.connect("/ws")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20 * MS):
                await user.http.get("/slow")
        await user.http.get("/me")
        await ws.close()

    async with http_load(session) as (running, _):
        await running.over()
        total = running.tally

    assert (total.http_failed, total.http_replies) == ({"cancelled": 1}, {"200": 1})
    assert total.closed == {"done": 1}


async def test_users_and_replies_are_freed_without_the_collector():
    async def session(user):
        for path in ("/me", "/cut", "/slow"):
            with suppress(HttpFailed):
                await user.http.get(path, timeout=50 * MS)
        await user.connect("/ws")

    gc.collect()
    gc.disable()
    try:
        async with http_load(session, users=20) as (running, _):
            await running.over()
            await asyncio.sleep(0.1)
            left = [type(one) for one in gc.get_objects() if isinstance(one, User | ClientResponse)]
    finally:
        gc.enable()
    assert left == []
