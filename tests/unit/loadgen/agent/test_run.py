"""One run of an agent, with real workers and a real target.

The coordinator's port is real too.
"""

import asyncio

from tests.processes import PATIENCE
from tests.unit.loadgen.agent.gathering import gathering, joined, plan_on, served
from tests.unit.wire_ends import until


async def test_a_run_opens_its_share_and_delivers_every_second(server, tmp_path):
    plan = plan_on(server, hold=0.0)
    async with gathering(plan, tmp_path) as found, joined(found) as running:
        await served(running)
        run = found.run

        assert (run.state, run.ledger.planned, run.ledger.opened) == ("done", 20, 20)
        assert run.total.closed == running.pool.fanin.total.closed == {"drained": 20}
        assert (found.agent.finished, found.agent.refusal) == (True, "")
        assert len(found.agent.workers) == 1


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
    monkeypatch.setattr("loadgen.agent.contact.STOP_TIMEOUT", 0.5)
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
