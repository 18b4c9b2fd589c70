"""The gathering of agents: who joins, who is ready, and what they start with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from coordinator.run.agents import MAX_AGENTS
from coordinator.run.gathering import RefusedError
from coordinator.run.progress import START_IN
from coordinator.run.run import Run
from loadgen.errors import PlanError
from loadgen.machine.limits import Limit
from loadgen.plan.clients import AgentSpec
from loadgen.plan.plan import Plan
from loadgen.plan.shares import Share
from loadgen.version import VERSION
from loadgen.wire import Post
from tests.unit.coordinator.fleet import (
    FIX,
    PLAN,
    beat,
    drained,
    hello,
    opened,
    posted,
    ready,
    started,
    warnings,
)


def test_the_welcome_has_the_name_of_an_agent_and_the_plan():
    run = Run(PLAN, 2, key="k")

    first, second = run.join(hello("host"), 0.0), run.join(hello("host"), 0.0)

    assert (first.name, second.name) == ("host", "host-2")
    assert (first.index, second.index, first.agents) == (0, 1, 2)
    assert first.id != second.id
    assert first.id.startswith("k")
    assert first.plan == PLAN


def test_a_name_from_elsewhere_can_not_reach_a_path_or_the_terminal():
    assert Run(PLAN, 1).join(hello("../\x1b[31mx"), 0.0).name == "31mx"


def test_another_wire_version_is_refused_with_both_versions_and_the_fix():
    with pytest.raises(RefusedError) as refusal:
        Run(PLAN, 1).join(hello(wire=99), 0.0)

    assert "99" in str(refusal.value)
    assert VERSION in str(refusal.value)
    assert "install the same" in str(refusal.value)


def test_agents_wait_until_the_fleet_is_complete_and_then_start_at_one_moment():
    run = Run(PLAN, 2)
    first = run.join(hello("a"), 0.0).id
    assert posted(run, first, ready(), 0.0).do == "wait"
    run.tick(0.0)
    second = run.join(hello("b"), 1.0).id
    assert posted(run, second, ready(), 1.0).do == "wait"

    run.tick(1.0)

    orders = [
        posted(run, first, ready(), 1.2),
        posted(run, second, ready(), 2.0),
        posted(run, first, ready(), 4.0),
    ]
    assert [order.do for order in orders] == ["run"] * 3
    assert [order.start.after for order in orders] == pytest.approx(
        [START_IN - 0.2, START_IN - 1.0, START_IN - 3.0]
    )
    assert orders[0].start.share == orders[2].start.share


def test_an_agent_that_refuses_is_reported_once_and_does_not_count():
    run = Run(PLAN, 1)
    agent = run.join(hello(), 0.0).id
    for now in (0.0, 1.0):
        posted(run, agent, ready(refusal="10.0.0.1 is outside --allow-target"), now)
        run.tick(now)

    assert run.state == "gathering"
    assert warnings(run) == ["agent host refuses: 10.0.0.1 is outside --allow-target"]


def test_a_ready_agent_that_fell_silent_does_not_start_a_run():
    run = Run(PLAN, 2)
    posted(run, run.join(hello("a"), 0.0).id, ready(), 0.0)
    second = run.join(hello("b"), 0.0).id
    for step in range(30):
        posted(run, second, Post(), step / 2)
        run.tick(step / 2)
    posted(run, second, ready(), 15.0)

    run.tick(15.0)

    assert run.state == "gathering"
    assert [agent.name for agent in run.agents.ready(15.0)] == ["b"]


def test_an_agent_that_was_not_ready_at_the_start_is_stopped_where_nothing_is_reassigned():
    run = Run(PLAN, 1, on_loss="continue")
    slow = run.join(hello("slow"), 0.0).id
    started(run, ["a"])

    assert posted(run, slow, ready(), 1.0).do == "stop"
    assert "slow was not ready" in warnings(run)[0]


@given(
    weights=st.lists(st.integers(1, 100_000), min_size=1, max_size=20),
    total=st.integers(1, 5000),
)
def test_every_number_of_the_plan_belongs_to_exactly_one_agent(weights, total):
    run = Run(Plan(max=total), len(weights))
    for number, weight in enumerate(weights):
        posted(run, run.join(hello(f"h{number}", holds=weight), 0.0).id, ready(), 0.0)
    run.tick(0.0)
    shares = [agent.share for agent in run.agents.by_id.values()]
    if run.ending.failure is not None:
        assert isinstance(run.ending.failure, PlanError)
        assert any(share.count(total) == 0 for share in Share().split(weights))
        return

    numbers = [number for share in shares for number in share.numbers(total)]

    assert sorted(numbers) == list(range(total))
    assert sum(agent.planned for agent in run.agents.by_id.values()) == total


def test_clients_of_the_plan_get_shares_by_their_weights():
    """An agent that the plan does not name has a weight of 1.

    That is for 64,000 connections that it holds.
    """
    run = Run(
        Plan(
            max=700,
            clients=(AgentSpec(name="big", weight=4.0), AgentSpec(name="small", weight=0.5)),
        ),
        4,
    )
    for name, holds in (("big", 1), ("small", 64_000), ("small", 64_000), ("other", 128_000)):
        posted(run, run.join(hello(name, holds=holds), 0.0).id, ready(), 0.0)

    run.tick(0.0)

    assert {agent.name: agent.planned for agent in run.agents.by_id.values()} == {
        "big": 400,
        "small": 50,
        "small-2": 50,
        "other": 200,
    }


def test_the_connections_that_an_agent_posts_replace_those_of_its_hello():
    run = Run(Plan(max=300), 2)
    raised = Limit("max_connections", 200, "", "")
    for name in ("a", "b"):
        agent = run.join(hello(name, holds=100), 0.0).id
        posted(
            run,
            agent,
            ready(max_connections=200, limits=(raised,)) if name == "b" else ready(),
            0.0,
        )

    run.tick(0.0)

    assert [agent.planned for agent in run.agents.by_id.values()] == [100, 200]
    assert warnings(run) == []


def test_an_agent_that_claims_more_than_its_resources_hold_leaves_the_others_their_part():
    run = Run(Plan(max=416), 4)
    boast = replace(hello("boast"), max_connections=2**53)
    ports = Limit("source_ports", 32_000, "32,000 ports", "give --source a range")
    told = [(), (ports,), (replace(ports, connections=2**53),)]
    claims = [*(replace(boast, limits=limits) for limits in told), hello("real")]
    for claim in claims:
        posted(run, run.join(claim, 0.0).id, ready(), 0.0)

    run.tick(0.0)

    assert [agent.planned for agent in run.agents.by_id.values()] == [64, 32, 256, 64]


def test_an_agent_without_capacity_makes_the_plan_unusable():
    run = Run(PLAN, 1)
    posted(run, run.join(hello(holds=0), 0.0).id, ready(), 0.0)

    run.tick(0.0)

    assert isinstance(run.ending.failure, PlanError)


def test_a_share_above_what_an_agent_holds_warns_and_runs():
    run = Run(PLAN, 2)
    started(run, holds=400)

    text = warnings(run)[0]

    assert text.startswith("agent a: share 500, holds 400, limited by max_connections (")
    assert text.endswith(FIX)


def test_a_full_run_refuses_another_agent():
    run = Run(PLAN, 1)
    for _ in range(MAX_AGENTS):
        run.join(hello(), 0.0)

    with pytest.raises(RefusedError, match=r"1,000 agents have joined, which is the limit"):
        run.join(hello(), 0.0)


def test_an_agent_that_is_gone_before_the_start_is_forgotten():
    run = Run(PLAN, 2)
    agent = run.join(hello("a"), 0.0).id

    posted(run, agent, ready(finished=True), 1.0)

    assert run.agents.by_id == {}


def test_an_agent_whose_connection_broke_starts_no_run():
    run = Run(PLAN, 2)
    first, second = (run.join(hello(name), 0.0).id for name in ("a", "b"))
    posted(run, first, ready(), 0.0)
    run.connection_broke(first, 0.1)
    posted(run, second, ready(), 2.5)
    run.tick(2.5)
    assert run.state == "gathering"

    posted(run, first, ready(), 2.6)
    run.tick(2.6)
    assert run.state == "running"


def test_an_agent_that_joins_a_run_that_is_over_is_refused():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    beat(run, [a], run.start + 1.0, opened(0, 1000), drained(1, 1000), finished=True)
    assert run.state == "done"

    with pytest.raises(RefusedError, match="the run is over; it can join the next one"):
        run.join(hello("a"), run.start + 2.0)
