"""The paths of agents: they join, post, and get rows."""

import msgspec
import pytest
from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from coordinator.http.agent_paths import MAX_HELLO_BYTES, MAX_JOINS, MAX_POSTS
from coordinator.http.server import Server
from coordinator.run.run import Run
from loadgen.http.token import Token
from loadgen.plan.feeder import Feeder
from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from loadgen.wire import WIRE, Orders, Welcome, from_wire, to_wire
from tests.unit.coordinator.fleet import PLAN, hello, opened, ready, seconds, started, warnings
from tests.unit.coordinator.http.asking import error_of, posts_of
from tests.unit.wire_ends import until


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


async def test_an_agent_whose_connection_ends_is_reported_once(client, server, run):
    agents = started(run)
    await client.post(posts_of(agents[0]), data=to_wire(ready()))
    while_connected = server.agents.take_disconnected()
    await client.session.close()
    ended = []
    await until(lambda: ended.extend(server.agents.take_disconnected()) or ended)

    assert while_connected == []
    assert ended == [agents[0]]
    assert server.agents.take_disconnected() == []


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
