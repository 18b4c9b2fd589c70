"""The unfinished numbers of lost agents are given to others, or not."""

import pytest
from msgspec.structs import replace

from coordinator.report.summary import summary_of
from coordinator.run.run import Run
from coordinator.run.shares import REASSIGNED_IN, empty_share_error, shares_of
from coordinator.run.steering import WishError
from loadgen.plan.clients import AgentSpec
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.shares import NO_SHARE
from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from loadgen.wire import Post
from tests.unit.coordinator.fleet import (
    PLAN,
    beat,
    drained,
    hello,
    opened,
    posted,
    ready,
    seconds,
    started,
    steer,
    warnings,
)


def fleet_of(run, names, **fields):
    """Starts agents that launch 100 connections each.

    10 of these end in the next second.
    """
    agents = started(run, names, **fields)
    beat(run, agents, run.start + 2.0, opened(0, 100, held=100), ended(1, 10, held=90))
    run.notices.take()
    return agents


def ended(number, count, *, held):
    return Second(number, Tally(closed={"done": count}, sessions_done=count), Held(0, held))


def reassigned(run, agent, now):
    """Returns the connections that an agent has to launch.

    The first number is of those again, the second of those for the first time.
    """
    reassignments = posted(run, agent, ready(), now).reassignments
    total = run.plan.total
    return (
        sum(reassignment.unfinished.again() for reassignment in reassignments),
        sum(reassignment.unfinished.fresh(total) for reassignment in reassignments),
    )


def test_what_an_agent_held_is_launched_again_by_the_others_and_the_rest_of_its_share_too():
    run = Run(Plan(max=999, rate=100.0), 3)
    a, b, c = fleet_of(run, ["a", "b", "c"])
    now = run.start + 3.0

    run.lose_agent("c", "was killed by SIGKILL")
    beat(run, [a, b], now)

    assert [reassigned(run, agent, now) for agent in (a, b)] == [(45, 117), (45, 116)]
    assert [agent.planned for agent in run.agents.by_id.values()] == [450, 449, 100]
    assert run.agents.by_id[c].lost
    assert run.ledger.lost == 90
    assert (
        warnings(run)[0]
        == "agent c is lost (was killed by SIGKILL): 90 open connections count as lost"
    )


def test_what_is_launched_again_comes_at_the_plans_rate():
    run = Run(Plan(max=999, rate=100.0), 3)
    a, b, _ = fleet_of(run, ["a", "b", "c"])
    run.lose_agent("c", "was killed by SIGKILL")
    now = run.start + 3.0
    beat(run, [a, b], now)

    times = [
        at
        for agent in (a, b)
        for reassignment in posted(run, agent, ready(), now).reassignments
        for at, _ in reassignment.again()
    ]

    assert max(times) - min(times) == pytest.approx(90 / 100.0, rel=0.05)
    assert min(times) == pytest.approx(3.0 + REASSIGNED_IN, abs=0.1)


def test_a_reassignment_is_repeated_until_the_agent_confirms_it():
    run = Run(Plan(max=999, rate=100.0), 3)
    a, b, _ = fleet_of(run, ["a", "b", "c"])
    run.lose_agent("c", "was killed by SIGKILL")
    beat(run, [a, b], run.start + 3.0)

    first, again = (posted(run, a, ready(), run.start + 3.0) for _ in range(2))
    after = posted(run, a, ready(reassigned=1), run.start + 3.5)

    assert first.reassignments == again.reassignments != ()
    assert (first.reassigned, after.reassigned, after.reassignments) == (0, 1, ())


def test_what_was_reassigned_to_an_agent_that_is_lost_is_reassigned_again():
    run = Run(Plan(max=999, rate=100.0), 3)
    a, _, _ = fleet_of(run, ["a", "b", "c"])
    run.lose_agent("c", "was killed by SIGKILL")
    beat(run, [a], run.start + 3.0)

    run.lose_agent("b", "was killed by SIGKILL")
    beat(run, [a], run.start + 3.5)

    assert reassigned(run, a, run.start + 3.5) == (180, 466)
    assert [agent.planned for agent in run.agents.by_id.values()] == [799, 100, 100]


def test_what_no_agent_has_room_for_waits_for_an_agent_that_joins():
    run = Run(Plan(max=600, rate=100.0), 2)
    a, b = fleet_of(run, ["a", "b"], holds=350)
    run.lose_agent("b", "was killed by SIGKILL")
    now = run.start + 3.0
    beat(run, [a], now)
    again, fresh = reassigned(run, a, now)
    assert 50 <= again + fresh <= 60, "the room it has: its share is 300, and 10 have ended"
    assert sum(agent.planned for agent in run.agents.by_id.values()) == 600

    late = run.join(hello("b", holds=350), now + 5.0)
    assert late.name == "b-2"
    assert posted(run, late.id, Post(), now + 5.0).do == "wait"
    posted(run, late.id, ready(), now + 6.0)
    beat(run, [a], now + 6.0)
    orders = posted(run, late.id, ready(), now + 6.0)

    assert orders.do == "run"
    assert orders.start.share.count(600) == 0
    assert orders.start.first >= 9
    rest = 290 - again - fresh
    left_to_a = 60 - again - fresh
    dealt = sum(reassignment.unfinished.wanted(600) for reassignment in orders.reassignments)
    assert rest - left_to_a <= dealt <= rest
    assert sum(agent.planned for agent in run.agents.by_id.values()) == 600
    assert sum(agent.planned for agent in run.agents.by_id.values()) == 600
    assert run.agents.by_id[b].planned == 100


def test_an_agent_that_joins_late_is_held_in_reserve_and_ends_with_the_run():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    late = run.join(hello("late"), run.start).id
    posted(run, late, ready(), run.start)
    beat(run, [a], run.start + 1.0, opened(0, 1000), drained(1, 1000), finished=True)

    assert run.state == "done"
    assert posted(run, late, ready(), run.start + 1.0).do == "stop"
    assert [agent.name for agent in run.fleet()] == ["a"]


def test_the_seconds_of_an_agent_that_joined_late_count_from_its_first_one():
    run = Run(Plan(max=999, rate=100.0), 2)
    a, _ = fleet_of(run, ["a", "b"], holds=500)
    late = run.join(hello("late"), run.start + 2.0).id
    posted(run, late, ready(), run.start + 2.0)
    run.lose_agent("b", "was killed by SIGKILL")
    beat(run, [a], run.start + 3.0)
    first = posted(run, late, ready(), run.start + 3.0).start.first

    for number in range(2, first + 1):
        second = Second(number, Tally(), Held(0, 90))
        newest = [opened(first, 20, held=20)] if number == first else []
        posted(run, late, ready(seconds=tuple(newest), reassigned=1), run.start + number + 1.0)
        _, entries = beat(run, [a], run.start + number + 1.0, second)

    assert [(entry.row.second, entry.row.missing, entry.row.invalid) for entry in entries] == [
        (first, [], [])
    ]
    assert entries[0].row.agents["late"].ledger.open == 20
    assert entries[0].row.fleet.ledger.open == 110


def test_what_an_agent_that_finishes_early_has_not_launched_is_reassigned():
    run = Run(PLAN, 2)
    a, b = fleet_of(run, ["a", "b"])
    posted(run, b, seconds(drained(2, 90), finished=True), run.start + 3.0)
    beat(run, [a], run.start + 3.0)

    assert reassigned(run, a, run.start + 3.0) == (0, 400)
    assert run.ledger.lost == 0


def test_on_loss_continue_reassigns_nothing():
    run = Run(PLAN, 2, on_loss="continue")
    a, _ = fleet_of(run, ["a", "b"])
    run.lose_agent("b", "was killed by SIGKILL")
    beat(run, [a], run.start + 3.0)

    orders = posted(run, a, ready(), run.start + 3.0)
    assert (orders.do, orders.reassignments, orders.start.again) == ("run", (), 0.0)
    assert [agent.planned for agent in run.agents.by_id.values()] == [500, 500]


@pytest.mark.parametrize(
    "tally", [Tally(lost=1, sessions_failed=1), Tally(failed={"lost": 1}, sessions_failed=1)]
)
def test_on_loss_abort_ends_the_run_when_a_worker_is_lost(tally):
    run = Run(PLAN, 2, on_loss="abort")
    a, b = fleet_of(run, ["a", "b"])
    posted(run, b, seconds(Second(2, tally, Held(0, 89))), run.start + 3.0)
    beat(run, [a], run.start + 3.0)

    assert run.state == "draining"
    assert run.ending.by_loss
    assert "--on-loss is abort" in warnings(run)[0]


def test_on_loss_abort_ends_the_run_when_an_agent_is_lost():
    run = Run(PLAN, 2, on_loss="abort")
    a, _ = fleet_of(run, ["a", "b"])
    run.lose_agent("b", "was killed by SIGKILL")
    orders, _ = beat(run, [a], run.start + 3.0)
    orders, _ = beat(run, [a], run.start + 3.5)

    assert orders[0].do == "drain"
    assert run.ending.by_loss


def test_a_share_above_what_its_machine_holds_is_a_warning():
    run = Run(Plan(max=1000, rate=100.0), 2)

    started(run, ["a", "b"], holds=400)

    first, second = warnings(run)
    assert first.startswith("agent a: share 500, holds 400, limited by max_connections")
    assert second.startswith("agent b: ")


def test_weights_that_make_no_sense_give_empty_shares():
    assert shares_of([0, 0], 100, 1) == [NO_SHARE, NO_SHARE]
    assert shares_of([5, -1], 100, 1) == [NO_SHARE, NO_SHARE]


def test_orphans_wait_while_nobody_has_room_for_them():
    run = Run(Plan(max=200, rate=100.0), 2)
    a, _ = fleet_of(run, ["a", "b"], holds=100)

    run.lose_agent("b", "was killed by SIGKILL")
    run.tick(run.start + 3.0)
    posted(run, a, ready(), run.start + 3.5)
    run.tick(run.start + 3.6)

    assert reassigned(run, a, run.start + 4.0)[0] <= 10


def test_a_gate_waits_until_reassigned_users_are_reported():
    plan = Plan(
        phases=(Phase(rate=100, duration=3.0, wait=True), Phase(rate=10, duration=1.0)), hold=1.0
    )
    run = Run(plan, 2)
    a, _ = fleet_of(run, ["a", "b"])
    run.lose_agent("b", "was killed by SIGKILL")
    run.tick(run.start + 3.0)

    posted(run, a, ready(gate=1), run.start + 5.0)
    run.tick(run.start + 5.0)
    assert run.progress.gates == ()

    posted(run, a, ready(gate=1, reassigned=1), run.start + 6.0)
    run.tick(run.start + 6.0)
    assert len(run.progress.gates) == 1


# Changes of the plan.


def test_each_agent_has_its_part_of_another_number_of_users():
    run = Run(PLAN, 2)
    a, b = (run.agents.by_id[agent] for agent in started(run))
    steer(run, 1.0, max=2000)
    assert (a.planned, b.planned, run.ledger.planned) == (1000, 1000, 2000)
    steer(run, 1.1, max=300)
    assert (a.planned + b.planned, run.ledger.planned) == (300, 300)
    with pytest.raises(WishError, match="the agents hold 128,000"):
        steer(run, 1.2, max=200_000)
    assert run.ledger.planned == 300


def test_what_was_launched_before_the_order_came_counts_as_planned():
    """An order may come late; then the ledger still adds up, and the run passes."""
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    steer(run, 0.0, max=10)
    assert run.ledger.planned == 150  # due by then
    posted(run, a, seconds(opened(0, 100)), run.start + 1.0)
    posted(run, a, seconds(opened(1, 100, held=200)), run.start + 2.0)
    run.tick(run.start + 2.0)

    assert run.ledger.planned == 200
    assert run.ledger.breaches() == []
    assert run.timeline.last is not None
    assert run.timeline.last.fleet.ledger.planned == 200
    posted(run, a, seconds(drained(2, 200), finished=True), run.start + 3.0)
    run.tick(run.start + 3.0)
    summary = summary_of(run, (), run.start + 3.0)
    assert (summary.verdict, summary.breaches, summary.not_launched) == ("pass", [], 0)
    assert [change.what for change in summary.changes] == ["max 10"]


def test_an_agent_that_launches_more_than_was_ever_planned_breaks_the_ledger():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    steer(run, 0.0, max=10)
    posted(run, a, seconds(opened(0, 1001)), run.start + 1.0)
    run.tick(run.start + 1.0)

    assert run.ledger.planned == 1000
    assert run.ledger.breaches() != []


def test_what_a_lost_agent_leaves_follows_a_change():
    run = Run(PLAN, 2)
    a, b = started(run)
    for agent in (a, b):
        posted(run, agent, seconds(opened(0, 50)), run.start + 1.0)
    run.tick(run.start + 1.0)
    run.lose_agent("b", "was killed by SIGKILL")
    run.tick(run.start + 2.0)
    assert [agent.planned for agent in run.agents.by_id.values()] == [950, 50]

    steer(run, 2.0, max=500)

    assert [agent.planned for agent in run.agents.by_id.values()] == [450, 50]
    assert run.ledger.planned == 500
    with pytest.raises(WishError, match="agent b is lost"):
        steer(run, 2.5, max=501)


def test_what_is_launched_again_comes_at_the_rate_that_is_asked():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    steer(run, 0.0, rate=20.0)

    start = posted(run, a, ready(), run.start + 1.0).start
    assert start is not None
    assert start.again == 20.0


def test_an_empty_share_is_an_error_that_names_its_agents_and_the_fix():
    plan = Plan(max=2)
    weighted = replace(plan, clients=(AgentSpec(name="tiny", weight=0.1),))

    assert str(empty_share_error(["tiny"], plan, 3)) == (
        f"{plan.asked} over 3 agents leaves nothing for tiny: a share that rounds to nothing; ask"
        " for more connections, fewer agents, or raise the agent's --max-connections"
    )
    assert str(empty_share_error(["tiny"], weighted, 3)).endswith("raise its weight in the plan")
