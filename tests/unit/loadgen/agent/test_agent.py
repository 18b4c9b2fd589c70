"""An agent over its runs: whom it joins, what it waits for, and what it adds up."""

import asyncio
import logging

import pytest
from aiohttp import web

from loadgen.agent.agent import Agent, Refused
from loadgen.agent.process import WORKER
from loadgen.forkserver import ForkServer
from loadgen.http.server import HttpServer
from loadgen.http.token import Token
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import Loop
from loadgen.values import Endpoint
from loadgen.version import VERSION
from tests.processes import PATIENCE, refusing_port
from tests.unit.loadgen.agent.gathering import gathering, settings_for
from tests.unit.wire_ends import until

PLAN = Plan(target="ws://127.0.0.1:9/", max=10)


def agent_for(url, **options):
    """Returns an agent that gets no work."""
    return Agent(settings_for(url, **options), ForkServer())


async def ended(agent):
    """Runs an agent to its end."""
    async with asyncio.timeout(PATIENCE):
        await agent.run()


def opened_by(agent):
    """Returns the opened connections over all runs by session."""
    return {snapshot.session: snapshot.total.opened for snapshot in agent.snapshots()}


async def test_an_agent_serves_one_run_and_keeps_its_counts(server, tmp_path):
    sessions = (Loop(name="chatter", think=0.1), Loop(name="watcher", think=0.1))
    plan = Plan(target=server.ws, rate=1000.0, max=20, hold=0.0, sessions=sessions)
    chatters = sum(plan.session_of(number) == 0 for number in range(20))
    async with gathering(plan, tmp_path) as found:
        fork_server = ForkServer(WORKER)
        agent = Agent(settings_for(found.url, once=True), fork_server)
        agent.metrics = "127.0.0.1:9646"
        (before,) = agent.snapshots()
        serving = asyncio.create_task(ended(agent))
        await until(lambda: sum(opened_by(agent).values()) == 20, PATIENCE)
        during = agent.snapshots()[0]
        await serving
        fork_server.close()

        assert (found.run.state, found.run.total.opened) == ("done", 20)
        assert (found.agent.name, found.agent.hello.version) == ("a", VERSION)
        assert found.agent.hello.metrics == "127.0.0.1:9646"
        assert found.agent.hello.max_connections == 64_000
    assert (before.total.opened, before.session) == (0, None)
    assert [vitals.worker for vitals in during.workers] == [0]
    rest, chatter, watcher = agent.snapshots()
    assert opened_by(agent) == {"": 0, "chatter": chatters, "watcher": 20 - chatters}
    assert chatter.total.closed == {"drained": chatters}
    assert watcher.total.closed == {"drained": 20 - chatters}
    assert rest.workers == chatter.workers == ()
    assert rest.total.loop_lag.total > 0
    assert agent.current is None


async def test_an_agent_without_the_token_is_refused_for_good(tmp_path):
    async with gathering(PLAN, tmp_path, Token("s3cret")) as found:
        for token in (None, Token("other")):
            with pytest.raises(Refused) as caught:
                await ended(agent_for(found.url, token=token))

            assert str(caught.value).startswith(
                f"the coordinator at {found.url} refused the token ("
            )
            assert str(caught.value).endswith("); give its --token-file")
        assert not found.run.agents.by_id


async def waiting_for(agent, caplog, text):
    """Returns what an agent logs until it waits for something; then it ends."""
    with caplog.at_level(logging.INFO, "loadgen.agent"):
        joining = asyncio.create_task(agent.run())
        await until(lambda: text in caplog.text, PATIENCE)
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
    return [record.getMessage() for record in caplog.records if record.name == "loadgen.agent"]


async def test_an_agent_waits_for_a_run_that_takes_agents(tmp_path, caplog):
    async with gathering(PLAN, tmp_path) as found:
        found.run.stop(found.clock.now())
        (line,) = await waiting_for(agent_for(found.url), caplog, "waiting: ")

    assert line == "waiting: the run is over; it can join the next one"


async def test_an_agent_waits_for_a_coordinator_that_reads_its_journal(tmp_path, caplog):
    async with gathering(PLAN, tmp_path) as found:
        found.server.awaits_journal = True
        (line,) = await waiting_for(agent_for(found.url), caplog, "waiting: ")

    assert line == "waiting: the coordinator is not ready yet; ask again in a second"


async def test_an_agent_waits_for_a_coordinator_that_is_not_there_yet(caplog):
    url = f"http://127.0.0.1:{refusing_port()}"
    lines = await waiting_for(agent_for(url), caplog, "waiting for")

    assert lines == [f"waiting for a coordinator at {url}"]


async def test_a_port_that_closes_without_an_answer_may_be_the_other_of_http_and_https(caplog):
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        (line,) = await waiting_for(agent_for(url), caplog, "waiting: ")

    assert line == (
        f"waiting: the coordinator at {url} closes the connection without an answer; if it is an"
        " https:// one, write that"
    )


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (web.Response(text="hello"), "sent no plan that this agent understands: "),
        (
            web.Response(status=426, text='{"error": "install\\nversion 9"}'),
            "refused this agent: install version 9",
        ),
        (web.Response(status=404, text="<h1>no such page</h1>"), "refused this agent: HTTP 404"),
        (web.Response(status=302), "refused this agent: HTTP 302"),
    ],
)
async def test_a_port_that_is_no_coordinator_of_this_version_is_an_error(answer, complaint):
    async def give(_):
        return answer

    app = web.Application()
    app.router.add_post("/v1/agents", give)
    server = HttpServer(app)
    at = await server.open("--listen", Endpoint("127.0.0.1", 0))
    with pytest.raises(Refused) as caught:
        await ended(agent_for(f"http://{at}"))
    await server.close()

    assert str(caught.value).startswith(f"the coordinator at http://{at} {complaint}")
