"""The answers of the port: JSON, and refusals of one line."""

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from coordinator.http.answers import decoded, error_reply, json_reply, plain_errors
from loadgen.wire import Post, to_wire


def test_a_refusal_is_json_and_says_when_to_ask_again():
    reply = error_reply(429, "too often", {"Retry-After": "1", "X-Other": "2"})

    assert (reply.status, json.loads(reply.text)) == (429, {"error": "too often"})
    assert (reply.headers["Retry-After"], "X-Other" in reply.headers) == ("1", False)


def test_a_body_is_decoded_or_refused_with_what_is_wrong():
    assert decoded(to_wire(Post(ready=True)), Post).ready
    with pytest.raises(web.HTTPBadRequest) as refused:
        decoded(b"{", Post)
    assert "truncated" in refused.value.text


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (web.HTTPNotFound(text="no\nsuch  path"), 404, "no such path"),
        (KeyError("who"), 400, "this request has no answer: KeyError: 'who'"),
    ],
)
async def test_what_a_handler_raises_is_one_line_of_json(error, status, text):
    async def fails(_):
        raise error

    async def answers(_):
        return json_reply(b"[1]")

    app = web.Application(middlewares=[plain_errors])
    app.add_routes([web.get("/fails", fails), web.get("/answers", answers)])
    async with TestClient(TestServer(app)) as client:
        reply = await client.get("/fails")
        assert (reply.status, await reply.json()) == (status, {"error": text})
        assert await (await client.get("/answers")).json() == [1]
