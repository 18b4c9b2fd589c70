"""The clock of a run that jumps, beside the clocks of its agents."""

import pytest
from msgspec.structs import replace

from coordinator.run.clocks import APART, HEARING, MAX_JUMP, MAX_JUMPS, jump_of
from coordinator.run.run import Run
from loadgen.wire import ClockOffset
from tests.unit.coordinator.fleet import (
    PLAN,
    beat,
    begun,
    drained,
    opened,
    posted,
    ready,
    seconds,
    started,
    warnings,
)


@pytest.mark.parametrize(
    ("apart", "agents", "jump"),
    [
        ([], 2, 0.0),
        ([0.0, 0.1], 2, 0.0),
        ([20.0, 0.0], 2, 0.0),  # one agent's own clock
        ([20.0], 2, 0.0),  # what the other says is unknown
        ([20.0], 1, 20.0),
        ([20.0, 20.2], 2, 20.2),
        ([-8.0, -8.0, 0.0], 3, -8.0),
        ([-8.0, 8.0, 0.0], 3, 0.0),
        ([APART, APART], 2, 0.0),
        ([2 * MAX_JUMP, 2 * MAX_JUMP], 2, 0.0),
    ],
)
def test_the_clock_of_the_run_jumped_where_most_agents_say_so(apart, agents, jump):
    assert jump_of(apart, agents) == jump


def told(run, agents, now, apart, *items):
    """Posts from each agent, by whose clock second 0 began `apart` from the start."""
    for agent in agents:
        post = seconds(*items)
        post.began = run.start + apart
        posted(run, agent, post, now)


def test_a_run_whose_clock_jumps_ahead_goes_on_by_its_agents_seconds():
    run = Run(PLAN, 2)
    agents = started(run)
    begin = run.start
    beat(run, agents, begin + 1.0, opened(0, 10))
    assert run.tick(begin + 122.0) == [], "the agents are heard first"
    assert run.state == "running"
    told(run, agents[:1], begin + 122.1, 120.0, opened(1, 0, held=10))
    assert run.start == begin
    told(run, agents[1:], begin + 122.2, 120.0, opened(1, 0, held=10))

    told(run, agents, begin + 123.0, 0.0, opened(2, 0, held=10))
    entries = run.tick(begin + 122.0 + HEARING)

    assert run.start == begin + 120.0
    assert not any(agent.lost for agent in run.fleet())
    assert [entry.row.second for entry in entries] == [1, 2]
    told_operator = warnings(run)
    assert told_operator[0].startswith("the coordinator stood still for 121 s, or its clock jumped")
    assert "went apart by 120.0 s" in told_operator[1]
    assert "went apart by 120.0 s" in entries[1].row.invalid[-1]


def test_a_coordinator_that_stood_still_with_its_clock_takes_what_its_agents_did_meanwhile():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    begin = run.start
    told(run, [agent], begin + 1.0, 0.0, opened(0, 10))
    told(run, [agent], begin + 2.0, -12.0, *(opened(number, 1) for number in range(1, 14)))

    assert run.start == begin - 12.0
    assert run.ledger.opened == 23


def test_an_agent_whose_own_clock_is_ahead_is_not_lost_and_its_seconds_are_taken_in_their_time():
    run = Run(PLAN, 2)
    a, b = started(run)
    begin = run.start
    ahead = [opened(number, 1, held=number + 1) for number in range(20)]
    taken = []
    for age in range(1, 21):
        told(run, [b], begin + age, 0.0, opened(age - 1, 0))
        told(run, [a], begin + age, -20.0, *ahead)
        run.tick(begin + age)
        taken.append(run.fanin.sources["a"].total.opened)

    assert run.start == begin
    assert taken == [*range(2, 21), 20]
    assert set(run.timeline.invalid) >= set(range(1, 16))
    assert run.timeline.invalid[1] == ["the clock of a and that of the run went apart by 20.0 s"]
    last = seconds(*ahead, drained(40, 20), finished=True)
    posted(run, a, last, begin + 21.0)
    assert not run.agents.by_id[a].finished, "its last second has not come"
    posted(run, a, last, begin + 41.0)
    assert run.agents.by_id[a].finished


def test_a_run_follows_a_bounded_number_of_jumps():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    for _ in range(MAX_JUMPS + 1):
        told(run, [agent], run.start, -2.0)
    start = run.start

    told(run, [agent], run.start, -2.0)

    assert run.start == start


def test_a_step_of_the_monotonic_clock_is_not_taken_for_a_wall_clock_that_was_set():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    for steps, wall in ((0, 0.0), (1, -20.0), (1, -10.0)):
        clock = ClockOffset("host", 0.0, 0.001, wall=wall, steps=steps)
        posted(run, agent, ready(clock=clock), run.start)

    assert [text for text in warnings(run) if "wall clock" in text] == [
        "the wall clock of agent a was set by +10.0 s; the run goes by the monotonic clock"
    ]


def test_a_jump_of_one_agents_clock_marks_its_own_seconds():
    run = Run(PLAN, 3)
    a, b, c = started(run, "abc")
    now = run.start + 1.5
    for agent, apart in ((a, 0.0), (b, 0.0), (c, -20.0)):
        posted(run, agent, begun(run, apart, opened(0, 5)), now)
    (entry,) = run.tick(now)

    assert warnings(run) == []
    assert [why for why in entry.row.invalid if "20" in why]


def test_a_wall_clock_that_was_set_is_told_unless_the_machine_stood_still():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    for wall, steps in ((100.0, 0), (105.0, 0), (120.0, 1)):
        clock = ClockOffset("a", 0.0, 0.001, wall=wall, steps=steps)
        posted(run, agent, replace(seconds(), clock=clock), run.start)

    assert warnings(run) == [
        "the wall clock of agent a was set by +5.0 s; the run goes by the monotonic clock"
    ]
