"""The coordinator's port: what agents, scripts and monitors get from it."""

import asyncio
import itertools
import resource
import socket
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import msgspec
import pytest
from aiohttp import ClientError, ClientSession, DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer

from coordinator.http.auth import COOKIE, RATES
from coordinator.http.server import MAX_READERS, Server
from coordinator.run.agents import digest_of
from loadgen.errors import OperatorError
from loadgen.http.ratelimit import PortRates
from loadgen.http.token import Token
from loadgen.values import Endpoint
from loadgen.wire import to_wire
from tests.unit.coordinator.fleet import (
    SECRET,
    hello,
    ready,
)
from tests.unit.coordinator.http.asking import error_of, posts_of, with_a_second
from tests.unit.timing import MS
from tests.unit.wire_ends import until

LOOPBACK = Endpoint("127.0.0.1", 0)


async def test_the_port_answers_where_it_says_until_it_is_stopped(server):
    listen = await server.start(LOOPBACK)
    async with ClientSession() as session:
        async with session.get(f"http://{listen}/healthz") as reply:
            health = await reply.json()
    await server.stop()

    assert health == {"status": "ok", "state": "gathering"}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(listen, timeout=5)


async def test_a_port_that_is_taken_is_refused_with_the_option(server):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = Endpoint(*taken.getsockname())
        with pytest.raises(OperatorError, match=f"--listen {listen} can't be had"):
            await server.start(listen)


@asynccontextmanager
async def listening(run, tmp_path, token=None):
    """A coordinator's port, and a client of it."""
    server = Server(run, monotonic, token, out=tmp_path)
    listen = await server.start(LOOPBACK)
    try:
        async with ClientSession(f"http://{listen}", cookie_jar=DummyCookieJar()) as client:
            yield server, client
    finally:
        await server.stop()


def _endpoint(server):
    return server._http._acceptor._sockets[0].getsockname()


async def statuses_of(client, count, method, path, **options):
    """Returns the numbers of answers by their status.

    Of a connection that ends it is "ended".
    """
    found = Counter()
    for _ in range(count):
        try:
            async with client.request(method, path, **options) as reply:
                found[reply.status] += 1
        except ClientError:
            found["ended"] += 1
    return found


async def test_what_strangers_spend_is_taken_from_no_owner_and_no_agent(run, tmp_path, monkeypatch):
    little = dict.fromkeys(("open", "view", "join", "control", "post"), PortRates(1.0, 1.0))
    monkeypatch.setattr("coordinator.http.server.RATES", RATES | little)
    token = Token("s3cret")
    async with listening(run, tmp_path, token) as (_, client):
        own = {"headers": {"Authorization": token.header}}
        cookie = {"headers": {"Cookie": f"{COOKIE}={token.sign(COOKIE)}"}}
        hers = {"data": to_wire(ready())} | own
        agent = run.join(hello("a"), 0.0, digest_of(SECRET)).id
        floods = [
            statuses_of(client, 100, "GET", "/metrics"),
            statuses_of(client, 100, "GET", "/v1/run"),
            statuses_of(client, 100, "POST", "/v1/agents", data=to_wire(hello("b"))),
            statuses_of(client, 100, "POST", posts_of(agent), data=to_wire(ready())),
            statuses_of(client, 100, "POST", "/v1/run/stop", json={}),
        ]
        owners = [
            statuses_of(client, 100, "GET", "/v1/run", **own),
            statuses_of(client, 100, "GET", "/v1/run", **cookie),
            statuses_of(client, 60, "POST", posts_of(agent), **hers),
        ]
        found = await asyncio.gather(*floods, *owners)

    assert found[5:] == [{200: 100}, {200: 100}, {200: 60}]
    metrics, *others = found[:5]
    assert metrics.keys() <= {200, 429, "ended"}
    for flood in others:
        assert flood.keys() <= {401, 429, "ended"}
    assert min(flood[429] for flood in found[:5]) > 20
    assert list(run.agents.by_id) == [agent]
    assert run.state == "gathering"


async def test_without_a_token_floods_of_one_kind_leave_the_others(run, tmp_path, monkeypatch):
    little = dict.fromkeys(("open", "join", "post"), PortRates(1.0, 1.0))
    monkeypatch.setattr("coordinator.http.server.RATES", RATES | little)
    async with listening(run, tmp_path) as (_, client):
        agent = run.join(hello("a"), 0.0, digest_of(SECRET)).id
        post = to_wire(ready())
        floods = [
            statuses_of(client, 100, "GET", "/metrics"),
            statuses_of(client, 100, "POST", f"/v1/agents/{agent}.guess/seconds", data=post),
            statuses_of(client, 100, "POST", "/v1/agents", data=b"{"),
        ]
        served = [
            statuses_of(client, 60, "POST", posts_of(agent), data=post),
            statuses_of(client, 60, "GET", "/v1/run"),
            statuses_of(client, 10, "POST", "/v1/run/pause", json={}),
        ]
        *found, posts, views, pauses = await asyncio.gather(*floods, *served)

    assert (posts, views, pauses) == ({200: 60}, {200: 60}, {409: 10})
    assert min(flood[429] for flood in found) > 20


async def test_a_post_to_no_agent_is_refused_before_its_body_comes(run, tmp_path):
    async with listening(run, tmp_path) as (server, _):
        reader, writer = await asyncio.open_connection(*_endpoint(server))
        writer.write(
            b"POST /v1/agents/run-0.guess/seconds HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Length: 60000000\r\n\r\n"
        )
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    assert head.startswith(b"HTTP/1.1 404 ")
    assert b"Connection: close\r\n" in head


async def test_the_seconds_have_a_number_of_readers_and_some_more_with_the_token(run, tmp_path):
    token = Token("s3cret")
    line = msgspec.json.encode({"second": 0, "filling": "x" * (1 << 20)})
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with AsyncExitStack() as stack:
        server = Server(run, monotonic, token, public=True, out=tmp_path)
        server.seconds = lambda _: itertools.repeat(line, 60)
        listen = await server.start(LOOPBACK)
        stack.push_async_callback(server.stop)
        client = await stack.enter_async_context(ClientSession(f"http://{listen}"))
        own = {"Authorization": token.header}
        for _ in range(MAX_READERS):
            slow = await stack.enter_async_context(client.get("/v1/run/seconds"))
            assert slow.status == 200
        async with client.get("/v1/run/seconds") as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        async with client.get("/v1/run/seconds", headers=own) as reply:
            assert reply.status == 200
            assert len((await reply.json())["seconds"]) == 60
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size
        slow.close()
        await until(lambda: server._readers.taken < MAX_READERS)
        async with client.get("/v1/run/seconds?since=3") as reply:
            assert reply.status == 200
    assert grown < 300 << 10, "KiB: 60 MiB for each of nine readers would be more"


async def test_a_reader_that_does_not_read_loses_its_connection(run, tmp_path, monkeypatch):
    monkeypatch.setattr("coordinator.http.places.READ_TIMEOUT", 200 * MS)
    async with listening(run, tmp_path) as (server, _):
        server.seconds = lambda _: itertools.repeat(b"1" * (1 << 20), 200)
        _, writer = await asyncio.open_connection(*_endpoint(server))
        writer.write(b"GET /v1/run/seconds HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await until(lambda: server._readers.taken == 1)
        await until(lambda: server._readers.taken == 0)
        writer.transport.abort()


async def test_nothing_changes_the_run_before_the_journal_is_ready(client, server, run):
    server.awaits_journal = True
    status, text = await error_of(await client.post("/v1/agents", data=to_wire(hello())))

    assert (status, text) == (409, "the coordinator is not ready yet; ask again in a second")
    assert not run.agents.by_id
    assert (await client.get("/v1/run")).status == 200


async def test_settled_seconds_are_read_from_a_number_on(client, server):
    lines = [b'{"second":0}', b'{"second":1}', b'{"second":2}']
    server.seconds = lambda since: lines[since:]

    assert await (await client.get("/v1/run/seconds")).json() == {
        "seconds": [{"second": 0}, {"second": 1}, {"second": 2}]
    }
    assert await (await client.get("/v1/run/seconds?since=2")).json() == {
        "seconds": [{"second": 2}]
    }


@pytest.mark.parametrize("since", ["now", "--1", "1e3", "9" * 4400, "\u0663", ""])
async def test_a_number_of_a_second_that_is_none_is_a_bad_request(client, since):
    reply = await client.get("/v1/run/seconds", params={"since": since})

    status, error = await error_of(reply)
    assert status == 400
    assert error.startswith("since='")
    assert len(error) <= 300


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Host", "["),
        ("Host", "[::1"),
        ("Host", "a:b:c"),
        ("Origin", "http://["),
        ("Origin", "null"),
        ("Last-Event-ID", "x." + "9" * 4400),
        ("Cookie", "=;=;=" * 1000),
        ("Authorization", "Bearer \xff\udcff"),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/run"), ("POST", "/v1/run/drain")])
async def test_no_header_is_answered_by_an_error_of_our_own(server, method, path, header, value):
    async with TestClient(TestServer(server.app), cookie_jar=DummyCookieJar()) as client:
        try:
            reply = await client.request(method, path, headers={header: value})
        except ValueError:  # the client does not send it
            return
        assert reply.status < 500
        if (header, method) in (("Host", "GET"), ("Origin", "POST")):
            assert reply.status == 403


async def test_monitors_get_the_totals_of_each_agent(client, run):
    with_a_second(run)
    text = await (await client.get("/metrics")).text()

    opened_by = [
        line for line in text.splitlines() if line.startswith("loadgen_connections_opened_total")
    ]
    assert sorted(opened_by) == [
        'loadgen_connections_opened_total{agent="a"} 10.0',
        'loadgen_connections_opened_total{agent="b"} 10.0',
    ]


@pytest.mark.parametrize(
    ("most", "query", "agents", "histograms"),
    [
        (64, "", True, 2),
        (64, "?agents=0", False, 1),
        (1, "", False, 1),
        (1, "?agents=1", True, 0),
    ],
)
async def test_a_large_fleet_has_its_sums_and_each_agent_where_asked(
    client, run, monkeypatch, most, query, agents, histograms
):
    """The agents of a large fleet have no histograms, and none with zeros either."""
    monkeypatch.setattr("coordinator.http.server.MAX_DETAILED", most)
    monkeypatch.setattr("coordinator.run.shares.MAX_DETAILED", most)
    with_a_second(run)

    text = await (await client.get(f"/metrics{query}")).text()

    assert ('loadgen_connections_opened_total{agent="a"} 10.0' in text) == agents
    assert ("loadgen_connections_opened_total 20.0" in text) == (not agents)
    counts = [line for line in text.splitlines() if "loadgen_handshake_seconds_count" in line]
    assert len(counts) == histograms
    assert sum(float(line.rsplit(" ", 1)[1]) for line in counts) == (20.0 if histograms else 0)


async def test_a_query_of_metrics_that_means_nothing_is_refused(client):
    reply = await client.get("/metrics?agents=all")

    assert (reply.status, await reply.json()) == (
        400,
        {"error": "agents='all' is neither 0 nor 1"},
    )


async def test_viewers_get_the_settled_seconds_and_the_actions_of_the_operator(client, server, run):
    _, entry = with_a_second(run)
    server.add_row(entry.row)
    stream = b""
    async with asyncio.timeout(10), client.get("/events") as events:
        await client.post("/v1/run/pause", json={})
        while b"the operator said pause" not in stream:
            stream += await events.content.readany()
    await server.stop()

    assert run.paused
    assert b"event: second\n" in stream
    assert b"event: log\n" in stream


async def test_the_operator_changes_a_running_plan(client, run):
    assert (await error_of(await client.post("/v1/run/rate", json={"rate": 5})))[0] == 409
    with_a_second(run)
    reply = await client.post("/v1/run/rate", json={"rate": 50})
    found = await reply.json()

    assert (reply.status, found["state"], found["paused"]) == (200, "running", False)
    assert found["asked"]["what"] == "rate 50/s"
    assert found["asked"]["planned"] == 1000
    assert (await (await client.get("/v1/run")).json())["changes"] == [found["asked"]]
    for body, words in [
        ({"rate": 0}, "`$.rate`; send for example"),
        ({"rate": 5, "max": 5}, "unknown field `max`"),
        ([], "Expected `object`"),
    ]:
        status, text = await error_of(await client.post("/v1/run/rate", json=body))
        assert (status, words in text) == (400, True), text
    status, text = await error_of(await client.post("/v1/run/max", json={"max": 10**9}))
    assert (status, "the agents hold 128,000" in text) == (400, True), text
    status, text = await error_of(await client.post("/v1/run/phase", json={}))
    assert (status, text) == (400, "this plan has no phases; change its rate or max")
    status, text = await error_of(await client.post("/v1/run/max", data=b'{"max": 5}'))
    assert (status, '{"max": 20000}' in text) == (415, True), text


async def test_programs_for_tsung_get_its_status(client, run):
    with_a_second(run)
    status = await (await client.get("/es/ts_api:status")).json()

    assert (status["users"], status["connected_users"], status["request_rate"]) == (20, 20, 20.0)


async def test_a_path_that_the_port_does_not_have_is_refused_in_json(client):
    assert await error_of(await client.get("/nothing")) == (404, "404: Not Found")
