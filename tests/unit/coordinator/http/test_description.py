"""The description of a run as it stands."""

import msgspec

from coordinator.http.description import describe
from coordinator.run.run import Run
from tests.unit.coordinator.fleet import PLAN
from tests.unit.coordinator.http.asking import with_a_second


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
