"""One run of an agent, with real workers and a real target.

The coordinator's port is real too.
"""

import asyncio
import sys
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from loadgen.agent.run import AgentRun
from loadgen.http.client import CoordinatorClient
from loadgen.plan.feeder import Feeder
from loadgen.plan.feeder_file import with_rows
from loadgen.plan.plan import Plan
from loadgen.plan.session_file import digest
from loadgen.plan.sessions import PythonSession
from loadgen.wire import Welcome, from_wire, to_wire
from tests.processes import PATIENCE
from tests.unit.coordinator.fleet import hello
from tests.unit.loadgen.agent.gathering import gathering, settings_for
from tests.unit.wire_ends import until

LIMIT = 1 << 20
"""Bytes of a welcome."""
SESSION = "async def session(user): ...\n"


def plan_on(server, **changes):
    fields = {"rate": 1000.0, "max": 20, "think": 0.1, "hold": 600.0} | changes
    return Plan(target=server.ws, **fields)


@asynccontextmanager
async def joined(found, *, token=None, **options):
    """A run of an agent that has joined; its workers have ended after the block."""
    settings = settings_for(found.url, **options)
    async with CoordinatorClient(found.url, token, True, PATIENCE) as client:
        status, body = await client.post("/v1/agents", to_wire(hello("a")), LIMIT)
        assert status == 200
        running = AgentRun(settings, client, from_wire(body, Welcome))
        try:
            yield running
        finally:
            await running.pool.stop()


async def served(running):
    """Serves a run to its end."""
    async with asyncio.timeout(PATIENCE):
        await running.serve()


async def test_a_run_opens_its_share_and_delivers_every_second(server, tmp_path):
    plan = plan_on(server, hold=0.0)
    async with gathering(plan, tmp_path) as found, joined(found) as running:
        await served(running)
        run = found.run

        assert (run.state, run.ledger.planned, run.ledger.opened) == ("done", 20, 20)
        assert run.total.closed == running.pool.fanin.total.closed == {"drained": 20}
        assert (found.agent.finished, found.agent.refusal) == (True, "")
        assert len(found.agent.workers) == 1


async def refusal_of(found, running):
    """Serves a run that the agent refuses; returns the reason.

    The coordinator has it from the agent's post.
    """
    agent = found.agent
    serving = asyncio.create_task(served(running))
    await until(lambda: agent.refusal != "", PATIENCE)
    found.run.stop(found.clock.now())
    await serving
    assert running.pool.employed == []
    return agent.refusal


async def test_a_target_that_the_owner_did_not_allow_is_refused(tmp_path):
    plan = Plan(target="ws://192.0.2.1:9/", max=10)
    async with gathering(plan, tmp_path) as found, joined(found) as running:
        assert await refusal_of(found, running) == (
            "refuses target 192.0.2.1: start the agent with --allow-target 192.0.2.1"
        )


@pytest.mark.parametrize(
    ("options", "sha256", "refusal"),
    [
        (
            {},
            digest(SESSION),
            "runs no session in Python (chat.py): start the agent with --allow-sessions",
        ),
        (
            {"allow_sessions": True},
            "0" * 64,
            ("got chat.py with another SHA-256 than the plan says: start the coordinator anew"),
        ),
    ],
)
async def test_a_session_that_is_not_allowed_or_not_the_plans_is_refused(
    server, tmp_path, options, sha256, refusal
):
    session = PythonSession(name="chat", file="chat.py", source=SESSION, sha256=sha256)
    plan = plan_on(server, sessions=(session,))
    async with gathering(plan, tmp_path) as found, joined(found, **options) as running:
        assert await refusal_of(found, running) == refusal


async def test_a_session_file_that_cannot_be_imported_here_is_refused(server, tmp_path):
    source = "import no_such_module\n" + SESSION
    session = PythonSession(name="chat", file="chat.py", source=source, sha256=digest(source))
    plan = plan_on(server, sessions=(session,))
    async with (
        gathering(plan, tmp_path) as found,
        joined(found, allow_sessions=True) as running,
    ):
        assert await refusal_of(found, running) == (
            "lacks the library no_such_module, which chat.py:1 imports: run"
            f" {sys.executable} -m pip install no_such_module on that machine"
        )


async def test_a_coordinator_that_does_not_know_the_agent_ends_its_run(server, tmp_path, caplog):
    async with gathering(plan_on(server), tmp_path) as found, joined(found) as running:
        serving = asyncio.create_task(served(running))
        await until(lambda: running.pool.fanin.total.opened == 20, PATIENCE)
        found.run.agents.by_id.clear()
        await serving

        assert "the coordinator does not know this agent any more (HTTP 404)" in caplog.text
        assert running.pool.finished
        assert running.pool.fanin.total.closed == {"drained": 20}


async def test_an_agent_that_has_to_stop_does_not_wait_for_a_coordinator_that_is_gone(
    server, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr("loadgen.agent.run.STOP_TIMEOUT", 0.5)
    async with gathering(plan_on(server), tmp_path) as found, joined(found) as running:
        serving = asyncio.create_task(served(running))
        await until(lambda: running.pool.fanin.total.opened == 20, PATIENCE)
        await found.server.stop()
        running.stop()
        await serving

        assert running.pool.finished
        assert running.pool.fanin.total.closed == {"drained": 20}


async def test_an_agent_that_stops_before_the_start_says_that_it_is_gone(server, tmp_path):
    """The fleet need not wait for it."""
    async with gathering(plan_on(server), tmp_path) as found, joined(found) as running:
        running.stop()
        await served(running)

        assert running.pool.employed == []
        assert found.run.agents.by_id == {}


async def test_an_agent_gets_the_rows_of_users_and_each_user_has_its_own(server, tmp_path):
    source = "async def session(user):\n    user.count(user.row['id'])\n    await user.connect()\n"
    session = PythonSession(name="chat", file="chat.py", source=source, sha256=digest(source))
    users = with_rows(Feeder(rows=tuple({"id": f"u{n % 4}"} for n in range(20))), None)
    plan = plan_on(server, sessions=(session,), feeders=(users,), hold=0.5)
    async with gathering(plan, tmp_path) as found, joined(found, allow_sessions=True) as running:
        await served(running)

    assert running.pool.fanin.total.counters == {f"u{n}": 5 for n in range(4)}


async def test_rows_with_another_hash_are_refused(server, tmp_path):
    users = replace(with_rows(Feeder(rows=({"id": 1},), mode="shared"), None), sha256="0" * 64)
    plan = plan_on(server, feeders=(users,))
    async with gathering(plan, tmp_path) as found, joined(found) as running:
        assert await refusal_of(found, running) == (
            "got the rows of feeder 'users' with another SHA-256 than the plan says: start the"
            " coordinator anew"
        )
