"""Agents that are lost, and agents that are only silent."""

import pytest

from coordinator.run.agents import (
    LOST_AFTER,
    MAX_AGENTS,
    SILENT_AFTER,
    Agents,
    AgentState,
    FailureDetector,
)
from coordinator.run.run import Run
from loadgen.machine.limits import Limit
from loadgen.plan.plan import Plan, Target
from loadgen.stats.vitals import WorkerVitals
from loadgen.wire import Post
from tests.unit.coordinator.fleet import (
    PLAN,
    SECRET,
    beat,
    hello,
    opened,
    posted,
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
    assert posted(run, b, seconds(opened(1, 5)), now).do == "stop"
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
    """Ticks for some seconds, in which only some agents post.

    Returns the time at their end.
    """
    for tick in range(seconds * 5):
        now = begin + tick / 5
        run.tick(now)
        for agent in posting:
            posted(run, agent, Post(), now)
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
    posted(run, late, ready(finished=True), run.start)

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


def joined(*states):
    """Returns agents of which each is a name and the fields of its state."""
    agents = Agents()
    for name, fields in states:
        agents.by_id[name] = AgentState(name, name, hello(name), seen=0.0, **fields)
    return agents


def test_an_agent_without_a_share_is_joined_ready_or_refused():
    agents = joined(
        ("a", {}), ("b", {"ready": True}), ("c", {"ready": True, "refusal": "no such host"})
    )

    assert [agent.status for agent in agents.by_id.values()] == ["joined", "ready", "refused"]


def test_the_cpu_of_an_agent_includes_its_workers():
    workers = (WorkerVitals(0, 0.5, 1 << 20), WorkerVitals(1, 1.5, 1 << 20))
    (agent,) = joined(("a", {"workers": workers, "agent_cpu_s": 0.25})).by_id.values()

    assert agent.cpu_s == 2.25


def test_an_agent_warns_of_the_resource_that_can_not_hold_its_share():
    limit = Limit("source_ports", 28_000, "28,000 ports", "give --source a range")
    fits, short = joined(
        ("a", {"planned": 10}), ("b", {"planned": 40_000, "limiting": limit})
    ).by_id.values()

    assert fits.warning == ""
    assert short.warning.startswith(
        "agent b: share 40,000, holds 28,000, limited by source_ports ("
    )
    assert short.warning.endswith("give --source a range")


@pytest.mark.parametrize(
    ("wanted", "states", "text"),
    [
        (
            3,
            [("a", {"ready": True}), ("b", {})],
            "1 of 3 agents were ready after 60 s (a); b fell silent or did not get ready;"
            " 1 never joined; start the missing agents, or ask for fewer with --agents",
        ),
        (
            2,
            [("a", {"refusal": "no such host"}), ("b", {"refusal": "no such host"})],
            "0 of 2 agents were ready after 60 s; a, b refuse: no such host; fix that",
        ),
    ],
)
def test_the_gathering_error_names_each_agent_that_is_not_ready(wanted, states, text):
    assert str(joined(*states).gathering_error(wanted, 60.0, 1.0)) == text


def test_the_gathering_error_counts_the_agents_that_were_forgotten():
    agents = joined(("a", {}), ("b", {"ready": True, "heard": True}))
    agents.forget_silent(LOST_AFTER + 1.0)

    assert str(agents.gathering_error(3, 60.0, LOST_AFTER)) == (
        "1 of 3 agents were ready after 60 s (b); 1 joined and fell silent; 1 never"
        " joined; start the missing agents, or ask for fewer with --agents"
    )


def test_an_agent_is_told_only_what_is_kept():
    agent = AgentState("k-0", "a", hello(), seen=0.0)
    for call, second in ((1, -1), (3, 0), (4, 0), (6, 1)):
        agent.note(call, second)

    told = []
    for calls in (1, 3, 5, 6):
        agent.keep(calls)
        told.append(agent.told.second)
    assert told == [-1, 0, 0, 1]
    assert agent.unkept == []


def test_only_an_agents_own_secret_speaks_for_it():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])

    assert run.agents.authentic(f"{agent}.{SECRET}") == agent
    for wrong in (agent, f"{agent}.", f"{agent}.other", f"nobody.{SECRET}"):
        assert run.agents.authentic(wrong) is None


def test_a_broken_connection_has_its_time_again_after_the_coordinators_own_pause():
    run = Run(PLAN, 2)
    a, b = started(run)
    beat(run, [a, b], run.start + 1.0, opened(0, 10))
    run.connection_broke(a, run.start + 1.5)
    run.tick(run.start + 31.0)
    beat(run, [a, b], run.start + 31.5)
    run.tick(run.start + 32.0)

    assert len(run.agents.active()) == 2


def test_agents_that_are_ready_and_heard_lately_can_be_reached():
    run = Run(PLAN, 5)
    a, b, c, d = [run.join(hello(name), 0.0).id for name in "abcd"]
    posted(run, c, ready(refusal="no such host"), 0.0)
    for agent in (a, b, d):
        posted(run, agent, ready(), 0.0)
    detector = FailureDetector(run.agents)

    assert names(detector.reachable(1.0)) == ["a", "b", "d"]
    run.connection_broke(b, 1.0)
    run.agents.by_id[d].lost = True
    assert names(detector.reachable(3.1)) == ["a"]
    assert detector.reachable(LOST_AFTER + 0.1) == []


def test_agents_that_join_and_are_never_heard_leave_their_places_and_names_to_others():
    run = Run(PLAN, 1)
    for _ in range(MAX_AGENTS):
        run.join(hello("a"), 0.0)
    for step in range(55):
        run.tick(step / 5)

    assert run.join(hello("a"), 11.0).name == "a"
    assert list(run.agents.by_id) == ["run-1000"]


def test_a_reserve_that_falls_silent_is_forgotten_later_than_one_that_was_never_heard():
    run = Run(PLAN, 1)
    started(run, ["a"])
    heard, dead = (run.join(hello(name), 0.0).id for name in ("heard", "dead"))
    posted(run, heard, ready(), 0.0)
    known = []
    for step in range(350):
        posted(run, "run-0", Post(), step / 5)
        run.tick(step / 5)
        known.append(set(run.agents.by_id) - {"run-0"})

    assert known[49] == {heard, dead}
    assert known[55] == {heard}
    assert known[-1] == set()


def test_the_addresses_of_an_agent_are_by_urls_without_secrets():
    urls = ("ws://a/?token=x", "ws://a/?token=y")
    run = Run(Plan(max=10, targets=tuple(Target(url=url) for url in urls)), 1)
    (agent,) = (run.join(hello("a"), 0.0).id,)
    said = dict.fromkeys((*urls, "ws://b/?jwt=z"), ("10.0.0.1",))
    posted(run, agent, ready(addresses=said), 0.0)

    found = run.agents.by_id[agent].shown_addresses(run.shown_urls)
    assert [*found] == ["ws://a/?token=…", "ws://a/?token=…2", "ws://b/?jwt=…"]
