"""Which agents are lost, and which are only silent."""

import pytest

from coordinator.run.agents import LOST_AFTER, SILENT_AFTER
from coordinator.run.run import Run
from loadgen.wire import Post
from tests.unit.coordinator.fleet import (
    PLAN,
    beat,
    hello,
    opened,
    ready,
    seconds,
    started,
    warnings,
)


def names(agents):
    return [agent.name for agent in agents]


def test_a_silent_agent_is_lost_with_what_it_held_and_ordered_to_stop_if_it_returns():
    run = Run(PLAN, 2)
    a, b = started(run)
    beat(run, [a, b], run.start + 1.0, opened(0, 50))
    now = run.start + 1.0
    while run.agents.by_id[b].active:
        now += 0.5
        beat(run, [a], now)

    assert now - run.agents.by_id[b].seen == pytest.approx(LOST_AFTER + 0.5)
    assert run.ledger.lost == 50
    assert run.ledger.open == 50
    assert "agent b is lost" in warnings(run)[0]
    assert run.post(b, seconds(opened(1, 5)), now).do == "stop"
    assert run.ledger.opened == 100


def test_when_all_agents_are_lost_the_run_is_done():
    run = Run(PLAN, 1)
    started(run, ["a"])
    now = run.start
    while run.state != "done":
        now += 0.5
        run.tick(now)

    assert run.agents.by_id
    assert not any(agent.finished for agent in run.fleet())


def test_a_dead_agent_is_lost_at_once():
    run = Run(PLAN, 2)
    a, b = started(run)
    beat(run, [a, b], run.start + 1.0, opened(0, 50))

    run.lose_agent("b", "was killed by SIGKILL")

    assert run.ledger.lost == 50
    assert names(run.agents.active()) == ["a"]


def test_a_coordinator_that_stood_still_itself_loses_no_agent():
    run = Run(PLAN, 1)
    started(run, ["a"])

    run.tick(run.start + 3600.0)

    assert names(run.agents.active()) == ["a"]


def silence(run, begin, seconds, *posting):
    """Ticks for some seconds, in which only some agents post; returns the time at their end."""
    for tick in range(seconds * 5):
        now = begin + tick / 5
        run.tick(now)
        for agent in posting:
            run.post(agent, Post(), now)
    return begin + seconds


def test_a_coordinator_that_hears_none_of_its_agents_takes_the_silence_for_its_own():
    run = Run(PLAN, 2)
    first, second = started(run, ["a", "b"])

    now = silence(run, run.start, 5, first, second)
    now = silence(run, now, 40)
    assert [agent.status_at(now) for agent in run.agents.active()] == ["silent", "silent"]

    now = silence(run, now, 5, first)
    assert names(run.agents.active()) == ["a", "b"], "b has as long to come back as ever"
    silence(run, now, 5, first)
    assert names(run.agents.active()) == ["a"]


def test_a_fleet_that_never_posts_again_is_lost():
    run = Run(PLAN, 2)
    first, second = started(run, ["a", "b"])

    silence(run, silence(run, run.start, 5, first, second), 80)

    assert run.state == "done"
    assert [agent.status for agent in run.agents.by_id.values()] == ["lost", "lost"]


def test_an_agent_whose_connection_broke_is_lost_unless_it_comes_back_at_once():
    run = Run(PLAN, 2)
    a, b = started(run)
    beat(run, [a, b], run.start)
    run.connection_broke(a, run.start)
    run.connection_broke(b, run.start)

    for step in range(1, 10):
        beat(run, [a], run.start + step / 4)

    assert not run.agents.by_id[a].lost
    assert run.agents.by_id[b].lost
    assert "agent b is lost (its connection broke" in warnings(run)[0]


def test_the_connection_of_an_agent_that_left_the_reserve_may_break():
    run = Run(PLAN, 1)
    started(run, ["a"])
    late = run.join(hello("late"), run.start).id
    run.post(late, ready(finished=True), run.start)

    run.connection_broke(late, run.start + 1.0)

    assert late not in run.agents.by_id


def test_an_agent_that_does_not_post_is_silent_before_it_is_lost():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    agent = run.agents.by_id[a]

    states = [
        agent.status_at(agent.seen + after) for after in (0.0, SILENT_AFTER, SILENT_AFTER + 1.0)
    ]

    assert states == ["running", "running", "silent"]
