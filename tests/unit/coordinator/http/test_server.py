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
from msgspec.structs import replace

from coordinator.http.auth import COOKIE, RATES
from coordinator.http.server import (
    MAX_HELLO_BYTES,
    MAX_JOINS,
    MAX_POSTS,
    MAX_READERS,
    Server,
    describe,
)
from coordinator.run.agents import digest_of
from coordinator.run.run import Run
from loadgen.errors import OperatorError
from loadgen.http.ratelimit import PortRates
from loadgen.http.token import Token
from loadgen.plan.feeder import Feeder
from loadgen.stats.fanin import Second
from loadgen.stats.tally import Held, Tally
from loadgen.values import Endpoint
from loadgen.wire import WIRE, Orders, Welcome, from_wire, to_wire
from tests.unit.coordinator.fleet import (
    PLAN,
    SECRET,
    hello,
    opened,
    posted,
    ready,
    seconds,
    started,
    warnings,
)
from tests.unit.timing import MS
from tests.unit.wire_ends import until

LOOPBACK = Endpoint("127.0.0.1", 0)


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


async def error_of(reply):
    """Returns the status and the text of a refusal."""
    return reply.status, (await reply.json())["error"]


def posts_of(agent):
    """Returns the path at which an agent posts."""
    return f"/v1/agents/{agent}.{SECRET}/seconds"


def with_a_second(run):
    """Starts the run and settles its first second.

    Returns the ids of its agents and the entry.
    """
    agents = started(run)
    for agent in agents:
        posted(run, agent, seconds(opened(0, 10)), run.start + 1.0)
    (entry,) = run.tick(run.start + 1.5)
    return agents, entry


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


async def test_an_agent_joins_with_its_hello_and_gets_the_plan(client, run):
    reply = await client.post("/v1/agents", data=to_wire(hello("a")))
    welcome = from_wire(await reply.read(), Welcome)

    assert reply.status == 200
    assert (welcome.name, welcome.index, welcome.plan) == ("a", 0, PLAN)
    assert list(run.agents.by_id) == [welcome.public_id]
    assert welcome.id.startswith(f"{welcome.public_id}.")
    assert welcome.id not in repr(run.agents.by_id)


async def test_an_agent_posts_under_the_id_that_it_got(client, run):
    reply = await client.post("/v1/agents", data=to_wire(hello("a")))
    known_as = from_wire(await reply.read(), Welcome).id

    reply = await client.post(f"/v1/agents/{known_as}/seconds", data=to_wire(ready()))
    assert reply.status == 200
    assert [agent.ready for agent in run.agents.by_id.values()] == [True]


async def test_an_agent_of_another_version_is_refused_whatever_else_it_sends(client):
    body = msgspec.json.encode({"wire": WIRE + 1, "version": "9.9", "name": ["unknown"]})
    status, text = await error_of(await client.post("/v1/agents", data=body))

    assert status == 426
    assert "9.9" in text


async def test_the_operator_is_told_of_agents_that_cannot_join_and_of_the_fix(client, run):
    another = msgspec.json.encode({"wire": WIRE + 1, "version": "9.9"})
    for body in (another, another, b'{"wire": "three\\n"}'):
        await client.post("/v1/agents", data=body)
    started(run)
    for name in ("late", "a"):
        reply = await client.post("/v1/agents", data=to_wire(hello(name)))
        assert reply.status == 200  # a reserve: what is lost is given to it
    run.on_loss = "continue"
    for name in ("later", "a"):
        reply = await client.post("/v1/agents", data=to_wire(hello(name)))
        assert reply.status == 409  # `a` has a share, and may be through with it

    other_version, broken, late = warnings(run)
    assert other_version.startswith(
        f"an agent at 127.0.0.1 was refused: the agent speaks wire version {WIRE + 1} (loadgen 9.9)"
    )
    assert other_version.endswith("install the same loadgen version on both")
    assert broken.startswith("an agent at 127.0.0.1 was refused: its hello can't be read (Expected")
    assert late == (
        "an agent at 127.0.0.1 was refused: the run has started without agent later; it can join"
        " the next one"
    )


async def test_the_operator_is_told_of_agents_without_the_token(run, tmp_path):
    server = Server(run, lambda: 0.0, Token("s3cret"), out=tmp_path)
    async with TestClient(TestServer(server.app), cookie_jar=DummyCookieJar()) as client:
        for _ in range(2):
            await client.post("/v1/agents", data=to_wire(hello("a")))
            await client.post("/v1/agents", headers={"Authorization": "Bearer s3cret2"})
            await client.post("/v1/run/drain")

    assert warnings(run) == [
        "an agent at 127.0.0.1 was refused: it sent no token; start it with --token-file, and this"
        " coordinator's token in it",
        "an agent at 127.0.0.1 was refused: its token is not this coordinator's; give its"
        " --token-file the same token",
    ]


async def test_an_agent_that_the_run_does_not_take_is_refused(client, run):
    run.stop(0.0)
    status, _ = await error_of(await client.post("/v1/agents", data=to_wire(hello("late"))))

    assert status == 409
    assert warnings(run) == []  # an agent that has served asks for the next run


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"wire":"three"}'])
async def test_a_hello_that_is_none_is_a_bad_request(client, run, body):
    status, _ = await error_of(await client.post("/v1/agents", data=body))

    assert status == 400
    assert not run.agents.by_id


async def test_a_hello_that_is_too_large_is_not_read(client, run):
    reply = await client.post("/v1/agents", data=bytes(MAX_HELLO_BYTES + 1))

    assert reply.status == 413
    assert not run.agents.by_id


async def test_agents_that_join_faster_than_a_fleet_does_have_to_wait(client):
    replies = [await client.post("/v1/agents", data=b"{") for _ in range(int(MAX_JOINS) + 1)]

    assert {reply.status for reply in replies[:-1]} == {400}
    assert (replies[-1].status, replies[-1].headers["Retry-After"]) == (429, "1")


async def test_a_post_brings_seconds_and_gets_orders(client, run):
    agents = started(run)
    body = to_wire(seconds(opened(0, 10)))
    reply = await client.post(posts_of(agents[0]), data=body)
    orders = from_wire(await reply.read(), Orders)

    assert (orders.acknowledged, orders.do) == (0, "run")
    assert run.total.opened == 10


@pytest.mark.parametrize("known_as", ["nobody", "{}", "{}.", "{}.guess", ".sesame", "sesame"])
async def test_the_post_of_an_unknown_agent_says_to_join_anew(client, run, known_as):
    """The id alone, which others may know, is not enough."""
    known_as = known_as.format(started(run)[0])
    reply = await client.post(f"/v1/agents/{known_as}/seconds", data=to_wire(ready()))

    assert await error_of(reply) == (
        404,
        "no agent of this run has that id; join anew at /v1/agents",
    )


async def test_a_post_that_cannot_be_true_is_a_bad_request(client, run):
    agents = started(run)
    post = seconds(Second(1_000_000, Tally(), Held()))
    status, _ = await error_of(await client.post(posts_of(agents[0]), data=to_wire(post)))

    assert status == 400


async def test_one_agent_that_posts_too_often_does_not_slow_the_others(client, run):
    fast, other = started(run)
    body = to_wire(ready())
    statuses = [
        (await client.post(posts_of(fast), data=body)).status for _ in range(int(MAX_POSTS) + 1)
    ]

    assert set(statuses[:-1]) == {200}
    assert statuses[-1] == 429
    assert (await client.post(posts_of(other), data=body)).status == 200


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


async def test_an_agent_whose_connection_ends_is_reported_once(client, server, run):
    agents = started(run)
    await client.post(posts_of(agents[0]), data=to_wire(ready()))
    while_connected = server.take_disconnected()
    await client.session.close()
    ended = []
    await until(lambda: ended.extend(server.take_disconnected()) or ended)

    assert while_connected == []
    assert ended == [agents[0]]
    assert server.take_disconnected() == []


async def test_nothing_changes_the_run_before_the_journal_is_ready(client, server, run):
    server.awaits_journal = True
    status, text = await error_of(await client.post("/v1/agents", data=to_wire(hello())))

    assert (status, text) == (409, "the coordinator is not ready yet; ask again in a second")
    assert not run.agents.by_id
    assert (await client.get("/v1/run")).status == 200


async def test_the_run_is_described_as_it_stands(client, run):
    with_a_second(run)
    shown = await (await client.get("/v1/run")).json()

    assert (shown["state"], shown["paused"], shown["age_s"]) == ("running", False, 2.0)
    assert shown["totals"]["opened"] == 20
    assert [agent["name"] for agent in shown["agents"]] == ["a", "b"]
    assert shown["drain_after_s"] == run.progress.drain_after


def test_a_run_that_ends_with_its_sessions_has_no_time_to_drain():
    run = Run(msgspec.structs.replace(PLAN, hold="sessions"), 1)

    assert describe(run, 0.0)["drain_after_s"] is None


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


async def test_an_agent_that_joined_gets_the_rows_of_a_feeder():
    feeder = Feeder(rows=({"id": 1},), count=1, columns=("id",), table=b"[1]\n")
    token = Token("s3cret-" * 4)
    fed = Run(replace(PLAN, feeders=(feeder,)), 1)
    async with TestClient(TestServer(Server(fed, lambda: 0.0, token).app)) as client:
        own = {"Authorization": token.header}
        reply = await client.post("/v1/agents", data=to_wire(hello("a")), headers=own)
        welcome = from_wire(await reply.read(), Welcome)
        path = f"/v1/agents/{welcome.id}/feeders/users"

        assert welcome.plan.feeders == (feeder.without_rows,)
        async with client.post(path, headers=own) as reply:
            assert (reply.status, await reply.read()) == (200, b"[1]\n")
        assert (await client.post(path)).status == 401
        for other in (path.replace("users", "rooms"), path.replace(welcome.id, "nobody")):
            assert (await client.post(other, headers=own)).status == 404
