"""HTTP requests of a trace, with their redirects, against aiohttp's server."""

import asyncio
import re
from functools import partial

import pytest

from loadgen.sessions.errors import HttpFailed
from loadgen.trace.trace import Trace
from loadgen.trace.users import TracedUser
from tests.unit.http_load import http_load
from tests.unit.timing import MS


async def lines_of(session):
    """Returns the lines of a session.

    They are without times and places, and N stands for durations.
    """
    lines = []
    trace = Trace(lambda line: lines.append(line[12:].partition("  (")[0]))
    async with http_load(session) as (running, _):
        running.scenario.user_kind = partial(TracedUser, trace, is_script=False)
        await running.over()
    assert lines.pop() == "the session returned"
    return [re.sub(r"\d+\.\d ms", "N ms", line) for line in lines]


async def test_a_request_is_shown_without_its_secrets_and_with_its_reply():
    async def session(user):
        headers = {"Authorization": "Bearer s3cret", "X-Key": "k"}
        body = {"user": "ada"}
        await user.http.post("/login?token=s3cret", json=body, headers=headers, name="login")

    sent, timing, reply, cookie, body = await lines_of(session)

    assert sent.startswith("→ HTTP POST /login?token=…  json={'user': 'ada'}  Authorization: ")
    assert sent.endswith("  X-Key: k")
    assert "s3cret" not in sent
    assert reply == "← HTTP 200 OK, N ms, 46 bytes"
    assert cookie == "sets cookie sid"
    assert body.startswith('{"token": "t-ada"')
    assert timing == "time http_login N ms"


async def test_redirects_are_shown_and_a_body_that_is_no_text():
    async def session(user):
        await user.http.post("/form", data={"user": "eve"})
        await user.http.get("/image", params={"size": 3})

    lines = await lines_of(session)

    assert lines[:2] == ["→ HTTP POST /form  data={'user': 'eve'}", "← HTTP 302 /me"]
    assert lines[2].startswith("← HTTP 200 OK")
    assert lines[-3:] == [
        "→ HTTP GET /image  params={'size': 3}",
        "← HTTP 200 OK, N ms, 5 bytes",
        "89 50 4e 47 ff",
    ]


async def test_a_request_without_a_reply_is_shown_with_its_error():
    async def session(user):
        with pytest.raises(HttpFailed):
            await user.http.get("/cut")

    assert await lines_of(session) == ["→ HTTP GET /cut", "← HTTP no reply: server_eof"]


async def test_a_request_that_is_given_up_says_so():
    async def session(user):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20 * MS):
                await user.http.get("/slow")

    assert await lines_of(session) == ["→ HTTP GET /slow", "← HTTP no reply: given up"]
