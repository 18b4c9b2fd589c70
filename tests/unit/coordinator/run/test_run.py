"""One run, with the time and the posts of its agents made by hand."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from coordinator.run.agents import LOST_AFTER
from coordinator.run.run import (
    DRAIN_TIMEOUT,
    MAX_AGENTS,
    START_IN,
    STEERED_IN,
    STOP_BY_HAND_TIMEOUT,
    STOP_TIMEOUT,
    TRANSITIONS,
    BadPostError,
    RefusedError,
    Run,
    UnknownAgentError,
)
from coordinator.run.steering import Wish, WishError
from loadgen.errors import FleetError, PlanError
from loadgen.machine.host import HostState
from loadgen.machine.limits import Limit
from loadgen.plan.clients import AgentSpec
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan, Target
from loadgen.plan.publish import Publish
from loadgen.plan.sessions import Loop
from loadgen.plan.setup import SetupSpec
from loadgen.plan.shares import Share
from loadgen.plan.steer import PlanChange
from loadgen.stats.delivery import Delivered, News, Published, PublisherClock
from loadgen.stats.fanin import Second, Slice
from loadgen.stats.tally import Tally
from loadgen.version import VERSION
from loadgen.wire import ClockOffset, Errand, ErrandResult, Post
from tests.unit.coordinator.fleet import (
    FIX,
    PLAN,
    alive,
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

# Gathering.


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


def test_an_agent_that_has_not_checked_the_target_does_not_count():
    run = Run(PLAN, 1)
    run.join(hello(), 0.0)

    run.tick(0.0)

    assert run.state == "gathering"


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


def test_agents_that_are_missing_or_refuse_are_named_when_the_wait_is_over():
    run = Run(PLAN, 4)
    posted(run, run.join(hello("a"), 0.0).id, ready(), 0.0)
    posted(run, run.join(hello("b"), 0.0).id, ready(refusal="no such host"), 0.0)

    run.fail_gathering(60.0, 1.0)

    assert run.state == "done"
    assert isinstance(run.failure, FleetError)
    assert run.failure.exit_code == 3
    text = str(run.failure)
    assert "1 of 4 agents were ready after 60 s (a)" in text
    assert "b refuses: no such host" in text
    assert "2 never joined" in text


@pytest.mark.parametrize("on_loss", ["continue", "abort"])
def test_an_agent_that_joins_too_late_is_refused_where_nothing_is_reassigned(on_loss):
    run = Run(PLAN, 1, on_loss=on_loss)
    started(run, ["a"])

    with pytest.raises(RefusedError, match="the run has started"):
        run.join(hello("late"), 1.0)


def test_an_agent_that_was_not_ready_at_the_start_is_stopped_where_nothing_is_reassigned():
    run = Run(PLAN, 1, on_loss="continue")
    slow = run.join(hello("slow"), 0.0).id
    started(run, ["a"])

    assert posted(run, slow, ready(), 1.0).do == "stop"
    assert "slow was not ready" in warnings(run)[0]


# Shares.


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
    if run.failure is not None:
        assert isinstance(run.failure, PlanError)
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


def test_a_share_that_rounds_to_nothing_makes_the_plan_unusable():
    run = Run(Plan(max=2), 2)
    for name, holds in (("big", 64_000), ("tiny", 1)):
        posted(run, run.join(hello(name, holds=holds), 0.0).id, ready(), 0.0)

    run.tick(0.0)

    assert run.state == "done"
    assert isinstance(run.failure, PlanError)
    assert "tiny" in str(run.failure)


def test_an_agent_without_capacity_makes_the_plan_unusable():
    run = Run(PLAN, 1)
    posted(run, run.join(hello(holds=0), 0.0).id, ready(), 0.0)

    run.tick(0.0)

    assert isinstance(run.failure, PlanError)


def test_a_share_above_what_an_agent_holds_warns_and_runs():
    run = Run(PLAN, 2)
    started(run, holds=400)

    text = warnings(run)[0]

    assert text.startswith("agent a: share 500, holds 400, limited by max_connections (")
    assert text.endswith(FIX)


# Seconds.


def test_a_second_settles_when_every_agent_has_reported_and_is_acknowledged():
    run = Run(PLAN, 2)
    a, b = started(run)
    now = run.start + 1.0
    assert posted(run, a, seconds(opened(0, 50)), now).acknowledged == 0
    assert run.tick(now) == []
    posted(run, b, seconds(opened(0, 50)), now)

    (entry,) = run.tick(now)

    assert entry.row.fleet.ledger.open == 100
    assert entry.row.agents["a"].ledger.open == 50
    assert entry.row.invalid == []
    assert entry.row.fleet.histograms["handshake"].count == 100


def test_repeating_a_post_counts_nothing_twice():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    now = run.start + 2.0

    for _ in range(3):
        orders, _ = beat(run, [a], now, opened(1, 5, held=15), opened(0, 10))

    assert orders[0].acknowledged == 1
    assert run.ledger.opened == 15


def test_a_second_without_a_silent_agent_names_it_and_is_corrected_when_it_posts():
    run = Run(PLAN, 2)
    a, b = started(run)
    rows = []
    for number in range(4):
        now = run.start + number + 1.0
        posted(run, a, seconds(opened(number, 10, held=10 * (number + 1))), now)
        rows += [entry.row for entry in run.tick(now)]
    assert [(row.second, row.missing) for row in rows] == [(0, ["b"])]
    assert rows[0].invalid == ["no report from b"]
    assert run.timeline.invalid == {0: ["no report from b"]}

    late = [opened(number, 10, held=10 * (number + 1)) for number in range(4)]
    posted(run, b, seconds(*late), run.start + 4.5)
    rows = [entry.row for entry in run.tick(run.start + 4.5)]

    assert [(row.second, row.corrects, row.fleet.ledger.open) for row in rows] == [
        (0, True, 20),
        (1, False, 40),
        (2, False, 60),
        (3, False, 80),
    ]
    assert all(row.invalid == [] for row in rows)
    assert run.timeline.invalid == {}


def test_a_second_from_the_future_is_refused():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])

    with pytest.raises(BadPostError):
        posted(run, a, seconds(opened(1_000_000_000, 1)), run.start + 1.0)

    assert run.ledger.opened == 0


def test_an_unknown_agent_is_refused():
    with pytest.raises(UnknownAgentError):
        Run(PLAN, 1).post("other-0", ready(), 0.0)


def test_a_call_that_is_refused_is_not_recorded():
    """Strangers fill no journal with joins and posts that the run does not take."""
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    calls = []
    run.record = lambda method, _: calls.append(method)

    with pytest.raises(RefusedError):
        run.join(hello("old", wire=1), 1.0)
    with pytest.raises(UnknownAgentError):
        posted(run, "run-9", ready(), 1.0)
    with pytest.raises(BadPostError):
        posted(run, a, seconds(opened(36_000, 1)), run.start + 1.0)
    posted(run, a, seconds(opened(0, 1)), run.start + 1.0)

    assert calls == ["post"]


def test_a_ledger_that_differs_from_what_is_held_makes_the_second_invalid():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])

    _, (entry,) = beat(run, [a], run.start + 1.0, opened(0, 10, held=9))

    assert entry.row.invalid == ["the ledger does not add up: open is 10 but 9 are held"]


def test_a_stalled_generator_makes_the_second_invalid():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    second = opened(0, 10)
    second.delays.stalls[2] = 0.9

    _, (entry,) = beat(run, [a], run.start + 1.0, second)

    assert entry.row.invalid == ["worker 2 of agent a stood still for 0.9 s"]


def test_agents_on_one_host_are_one_host():
    run = Run(PLAN, 3)
    agents = []
    for name, boot in (("a", "one"), ("b", "one"), ("c", None)):
        machine = {"kernel.random.boot_id": boot} if boot else {}
        agents.append(run.join(replace(hello(name), machine=machine), 0.0).id)
    for agent in agents:
        posted(run, agent, ready(), 0.0)
    run.tick(0.0)
    full = opened(0, 10)
    full.host = HostState(busy=(100,))

    _, (entry,) = beat(run, agents, run.start + 1.0, full)

    assert entry.row.saturated == [
        "no core was idle on the host of a and 1 more",
        "no core was idle on the host of c",
    ]


def test_the_first_traceback_of_each_reason_is_a_notice_up_to_a_hundred_reasons():
    run = Run(PLAN, 2)
    a, b = started(run)
    posted(run, a, ready(tracebacks={"error_KeyError": "one"}), run.start)
    posted(run, b, ready(tracebacks={"error_KeyError": "two", "error\nOther": "three"}), run.start)

    assert [
        (notice.agent, notice.reason, notice.text) for notice in run.notices.take() if notice.reason
    ] == [
        ("a", "error_KeyError", "one"),
        ("b", "error Other", "three"),
    ]

    posted(run, a, ready(tracebacks={f"error_{number}": "" for number in range(500)}), run.start)
    assert len(run.notices.take()) == 98


def test_a_note_is_a_notice_of_its_agent_once():
    run = Run(PLAN, 1)
    agent = run.join(hello(), 0.0).id
    posted(run, agent, ready(notes=("worker 0\nis gone",)), 0.0)

    assert [(notice.agent, notice.text) for notice in run.notices.take()] == [
        ("host", "worker 0 is gone")
    ]
    assert run.notices.take() == []


# The end.


def test_the_hold_over_the_fleet_drains_and_the_run_is_done_when_all_have_finished():
    run = Run(PLAN, 2)
    agents = started(run)
    alive(run, agents, run.start, run.start + run.progress.drain_after)
    now = run.start + run.progress.drain_after
    orders, _ = beat(run, agents, now)
    orders, _ = beat(run, agents, now + 0.5)
    assert [order.do for order in orders] == ["drain", "drain"]
    assert run.state == "draining"

    orders, _ = beat(run, agents, now + 1.0, finished=True)

    assert [order.do for order in orders] == ["stop", "stop"]
    assert run.state == "done"
    assert run.end == now + 1.0


def test_a_fleet_that_finishes_early_ends_the_run_early():
    run = Run(PLAN, 2)
    agents = started(run)

    _, entries = beat(run, agents, run.start + 2.0, opened(0, 5), drained(1, 5), finished=True)

    assert run.state == "done"
    assert [entry.row.fleet.ledger.open for entry in entries] == [10, 0]
    assert not run.by_hand


def test_a_repeated_last_post_is_answered_like_the_first():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    post = seconds(opened(0, 5), drained(1, 5), finished=True)

    answers = [posted(run, a, post, run.start + 2.0) for _ in range(2)]

    assert answers[0] == answers[1]
    assert answers[1].acknowledged == 1
    assert run.ledger.closed == {"drained": 5}


def test_a_drain_that_takes_too_long_is_stopped_and_the_agent_is_lost():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    begin = run.start + 1.0
    run.drain(begin)
    alive(run, [a], begin, begin + DRAIN_TIMEOUT)
    beat(run, [a], begin + DRAIN_TIMEOUT)
    assert posted(run, a, ready(), begin + DRAIN_TIMEOUT).do == "stop"

    alive(run, [a], begin + DRAIN_TIMEOUT + 1, begin + DRAIN_TIMEOUT + STOP_TIMEOUT + 2)

    assert run.state == "done"
    assert run.agents.by_id[a].lost


def test_the_operator_drains_first_and_stops_second():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    begin = run.start + 1.0

    run.drain(begin)
    assert posted(run, a, ready(), begin).do == "drain"
    run.stop(begin + 1.0)
    assert posted(run, a, ready(), begin + 1.0).do == "stop"
    run.tick(begin + 1.0 + STOP_BY_HAND_TIMEOUT)

    assert run.state == "done"
    assert run.by_hand


def test_the_second_stop_does_not_wait_for_agents():
    run = Run(PLAN, 1)
    started(run, ["a"])
    for end in (run.drain, run.stop, run.stop):
        end(run.start)

    run.tick(run.start)

    assert run.state == "done"


def test_draining_before_the_start_ends_the_run_and_stops_the_agents():
    run = Run(PLAN, 2)
    agent = run.join(hello(), 0.0).id

    run.drain(1.0)

    assert run.state == "done"
    assert posted(run, agent, ready(), 1.5).do == "stop"
    assert not run.started


def test_an_agent_that_joins_a_run_that_is_over_is_refused():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    beat(run, [a], run.start + 1.0, opened(0, 1000), drained(1, 1000), finished=True)
    assert run.state == "done"

    with pytest.raises(RefusedError, match="the run is over; it can join the next one"):
        run.join(hello("a"), run.start + 2.0)


# The states.

TABLE = {(before, after) for before, states in TRANSITIONS.items() for after in states}


def test_a_run_makes_every_transition_of_the_table_and_no_other():
    made = set()

    class Observed(Run):
        def _enter(self, state):
            made.add((self.state, state))
            super()._enter(state)

    Observed(PLAN, 1).drain(0.0)
    finished_early = Observed(PLAN, 1)
    beat(finished_early, started(finished_early, ["a"]), finished_early.start, finished=True)
    drained_first = Observed(PLAN, 1)
    agents = started(drained_first, ["a"])
    drained_first.drain(drained_first.start)
    beat(drained_first, agents, drained_first.start, finished=True)

    assert made == TABLE


ACTIONS = {
    "tick": lambda run, now: run.tick(now),
    "pause": lambda run, now: run.pause(now),
    "resume": lambda run, now: run.resume(now),
    "drain": lambda run, now: run.drain(now),
    "stop": lambda run, now: run.stop(now),
    "lose": lambda run, now: run.lose_agent("a", "it was killed"),
    "post": lambda run, now: posted(run, next(iter(run.agents.by_id)), ready(), now),
    "finish": lambda run, now: posted(
        run, next(iter(run.agents.by_id)), seconds(finished=True), now
    ),
}


@given(
    on_loss=st.sampled_from(["continue", "redistribute", "abort"]),
    actions=st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), st.floats(0.0, 60.0))),
)
def test_no_order_of_events_makes_another_transition(on_loss, actions):
    run = Run(PLAN, 1, on_loss=on_loss)
    started(run, ["a"])
    now = run.start
    for action, passed in actions:
        now += passed
        before = run.state
        ACTIONS[action](run, now)
        assert before == run.state or (before, run.state) in TABLE


def test_a_run_that_is_done_enters_no_other_state():
    run = Run(PLAN, 1)
    run.drain(0.0)

    with pytest.raises(AssertionError, match="done → running"):
        run._enter("running")


# What else agents report.


def test_a_full_run_refuses_another_agent():
    run = Run(PLAN, 1)
    for _ in range(MAX_AGENTS):
        run.join(hello(), 0.0)

    with pytest.raises(RefusedError, match=r"1,000 agents have joined, which is the limit"):
        run.join(hello(), 0.0)


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


def test_an_agent_that_is_gone_before_the_start_is_forgotten():
    run = Run(PLAN, 2)
    agent = run.join(hello("a"), 0.0).id

    posted(run, agent, ready(finished=True), 1.0)

    assert run.agents.by_id == {}


def test_tracebacks_and_notes_of_agents_become_notices():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])

    posted(run, agent, ready(notes=("hot",), tracebacks={"error_KeyError": "Traceback"}), 1.0)

    told = [(notice.agent, notice.reason, notice.text) for notice in run.notices.take()]
    assert told == [("a", "", "hot"), ("a", "error_KeyError", "Traceback")]


def test_a_session_that_aborts_the_run_drains_it_once():
    run = Run(PLAN, 2)
    a, b = started(run)

    posted(run, a, ready(abort="the shop is closed"), run.start + 1.0)
    posted(run, b, ready(abort="so is mine"), run.start + 1.0)

    assert warnings(run) == ["a session on a ended the run: the shop is closed"]
    assert (run.state, run.aborted) == ("draining", "the shop is closed")


def test_a_run_that_can_not_pass_any_more_is_drained_once():
    run = Run(PLAN, 1)
    run.abort("too early", 0.0)
    started(run, ["a"])
    assert (run.state, run.aborted) == ("running", "")

    run.abort("failed>1%", run.start + 3.0)
    run.abort("failed>2%", run.start + 4.0)

    assert warnings(run) == ["the run is drained: failed>1%"]
    assert (run.state, run.aborted, run.aborted_at) == ("draining", "failed>1%", 3.0)


def test_the_seconds_of_a_run_are_added_to_the_parts_that_they_lie_in():
    run = Run(Plan(max=20, rate=10.0, hold=1.0), 1)
    (agent,) = started(run, ["a"])
    for number in range(3):
        now = run.start + number + 1.0
        posted(run, agent, seconds(opened(number, 10 if number < 2 else 0, held=20)), now)
        run.tick(now)
    posted(run, agent, seconds(drained(3, 20), finished=True), run.start + 4.0)
    run.tick(run.start + 4.0)

    spans = {name: (part.begin, part.end) for name, part in run.parts.figures().items()}
    assert spans == {
        "run": (0, 3),
        "plateau": (1, 2),
        "phase.arrivals": (0, 1),
        "phase.hold": (2, 2),
        "phase.drain": (3, 3),
    }


def test_a_run_that_is_done_has_nothing_to_do_and_no_phase():
    run = Run(PLAN, 1)
    run.drain(0.0)

    assert run.tick(1.0) == []
    assert run.phase(1.0) == ""
    assert (run.state, run.started, run.fleet()) == ("done", False, [])


def test_a_run_whose_loss_aborts_it_drains_and_says_so():
    run = Run(PLAN, 2, on_loss="abort")
    a, b = started(run)
    beat(run, [a, b], run.start + 1.0, opened(0, 10))

    run.lose_agent("b", "was killed by SIGKILL")
    run.tick(run.start + 1.2)

    assert (run.state, run.ended_by_loss) == ("draining", True)
    assert "something was lost, and --on-loss is abort: the run ends" in warnings(run)


def test_a_broken_connection_of_an_agent_that_is_unknown_changes_nothing():
    run = Run(PLAN, 1)

    run.connection_broke("nowhere", 1.0)

    assert warnings(run) == []


def test_the_fleet_is_all_agents_before_the_start_and_those_with_a_share_after_it():
    run = Run(PLAN, 1)
    run.join(hello("early"), 0.0)
    assert [agent.name for agent in run.fleet()] == ["early"]

    started(run, ["a"])

    assert [agent.name for agent in run.fleet()] == ["a"]
    early, _ = run.agents.by_id.values()
    assert run.total_of(early).launched == 0
    assert (run.age(run.start - 1.0), run.phase(run.start + 1.0)) == (0.0, "arrivals")
    assert [phase.name for phase in run.phase_progress()] == ["arrivals"]


def test_an_agent_that_falls_silent_is_lost():
    run = Run(PLAN, 2)
    a, _ = started(run)

    alive(run, [a], run.start + 1.0, run.start + 1.0 + LOST_AFTER + 2.0)

    assert any(text.startswith("agent b is lost (") for text in warnings(run))


def test_an_agent_whose_connection_breaks_is_lost_sooner_than_a_silent_one():
    run = Run(PLAN, 2)
    a, b = started(run)
    beat(run, [a, b], run.start + 1.0)

    run.connection_broke(b, run.start + 1.0)
    alive(run, [a], run.start + 1.5, run.start + LOST_AFTER)

    assert any(text.startswith("agent b is lost (") for text in warnings(run))


def test_a_gate_opens_when_all_agents_wait_at_it():
    plan = Plan(
        phases=(Phase(rate=10, duration=1.0, wait=True), Phase(rate=10, duration=1.0)), hold=1.0
    )
    run = Run(plan, 2)
    a, b = started(run)

    posted(run, a, ready(gate=1), run.start + 2.0)
    run.tick(run.start + 2.0)
    assert run.progress.gates == ()

    posted(run, b, ready(gate=1), run.start + 3.0)
    run.tick(run.start + 3.0)
    assert len(run.progress.gates) == 1


def test_a_second_session_that_aborts_a_drained_run_changes_nothing():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    run.drain(run.start + 1.0)

    posted(run, a, ready(abort="too late"), run.start + 2.0)

    assert (run.state, run.aborted) == ("draining", "too late")


# Publications.

PUBLISHING = Plan(max=1000, rate=100.0, hold=10.0, publish=Publish(grace=2.0))
SENT = Published("here-run.0", 0, 1_000_000)


def with_news(number, **news):
    """A second of an agent that has news about publications."""
    second = opened(number, 5)
    second.news = News(**news)
    return second


def test_every_agent_is_told_of_a_publication_until_it_has_counted_it():
    run = Run(PUBLISHING, 2)
    agents = started(run)
    run.published(SENT, run.start + 1.0, run.start + 1.0)

    for _ in range(2):
        orders, _ = beat(run, agents, run.start + 2.0)
        assert [(one.published, one.announced) for one in orders] == [((SENT,), 0)] * 2
    orders = [posted(run, agent, ready(announced=1), run.start + 3.0) for agent in agents]
    assert [(one.published, one.announced) for one in orders] == [((), 1)] * 2


@pytest.mark.parametrize(
    ("publish", "told"),
    [
        (Publish(by="http"), {"here": PublisherClock(5.0)}),
        (Publish(by="external"), {"here": PublisherClock(5.0), "there": PublisherClock(7.0, 0.1)}),
        (None, {}),
    ],
)
def test_agents_are_told_of_the_clocks_that_stamps_may_be_on(publish, told):
    """Both agents are on another host, and know its clock unequally."""
    run = Run(replace(PUBLISHING, publish=publish), 2)
    run.clock = {"here": PublisherClock(5.0)}
    agents = started(run)
    for agent, bound in zip(agents, (0.1, 0.2), strict=True):
        clock = ClockOffset("there", 7.0, bound)
        posted(run, agent, ready(clock=clock), run.start + 0.5)
    run.tick(run.start + 0.9)

    assert posted(run, agents[0], ready(), run.start + 1.0).clocks == told
    run.drain(run.start + 1.0)
    assert posted(run, agents[0], ready(), run.start + 1.5).clocks == told


def test_an_agent_that_drains_is_told_too():
    run = Run(PUBLISHING, 1)
    agents = started(run, ["a"])
    run.published(SENT, run.start + 1.0, run.start + 1.0)
    run.drain(run.start + 1.5)

    orders, _ = beat(run, agents, run.start + 2.0)

    assert (orders[0].do, orders[0].published) == ("drain", (SENT,))


def test_a_publication_settles_when_all_agents_have_reported_its_receipts():
    run = Run(PUBLISHING, 2)
    agents = started(run)
    run.published(SENT, run.start + 1.0, run.start + 1.0)
    receipts = {SENT.key: Delivered(expected=5, received=5)}
    for number in range(7):
        parts = {"delivered": receipts} if number == 4 else {}
        posted(run, agents[0], seconds(with_news(number, **parts)), run.start + number + 1)
        assert run.settle_publications() == []
    for number in range(7):
        posted(run, agents[1], seconds(with_news(number)), run.start + 7.0)

    (line,) = run.settle_publications()

    assert (line.expected, line.received) == (5, 5)


def test_news_are_counted_once_however_often_they_are_posted():
    run = Run(PUBLISHING, 1)
    agents = started(run, ["a"])
    run.published(SENT, run.start + 0.5, run.start + 0.5)
    second = with_news(0, delivered={SENT.key: Delivered(expected=5, received=4, missed=[3])})
    for _ in range(3):
        posted(run, agents[0], seconds(second), run.start + 1.0)
    posted(run, agents[0], seconds(finished=True), run.start + 2.0)

    (line,) = run.settle_publications()

    assert (line.expected, line.received) == (5, 4)
    assert [(one.agent, one.user) for one in line.missed] == [("a", 3)]


def test_what_sessions_publish_is_told_to_all_agents():
    run = Run(PUBLISHING, 2)
    agents = started(run)
    posted(run, agents[0], seconds(with_news(0, published={SENT.key: SENT})), run.start + 1.0)

    orders, _ = beat(run, agents, run.start + 1.5)

    assert [one.published for one in orders] == [(SENT,)] * 2


def test_messages_without_a_stamp_are_warned_of_once():
    run = Run(PUBLISHING, 1)
    agents = started(run, ["a"])
    for number in range(2):
        second = with_news(number, unstamped="plain")
        posted(run, agents[0], seconds(second), run.start + number + 1.0)

    (warning,) = warnings(run)
    assert warning.startswith("none of the messages that users of a receive has a stamp")
    assert "the first is 'plain'" in warning


def test_publications_that_fail_are_counted():
    run = Run(PUBLISHING, 1)
    started(run, ["a"])
    run.publication_failed("http_503", run.start + 1.0)

    assert run.publications.summary.failed == {"http_503": 1}


def test_publications_are_sent_from_the_first_open_connection_to_a_while_before_the_drain():
    run = Run(PUBLISHING, 1)
    agents = started(run, ["a"])
    assert not run.may_publish(run.start + 1.0)
    beat(run, agents, run.start + 1.0, opened(0, 5))
    assert run.may_publish(run.start + 1.0)
    assert run.may_publish(run.start + 20.0 - 4.1)
    assert not run.may_publish(run.start + 20.0 - 3.9)
    run.drain(run.start + 2.0)
    assert not run.may_publish(run.start + 2.0)


def test_publications_may_wait_for_the_plateau():
    publish = Publish(begin="plateau", grace=1.0)
    run = Run(Plan(max=1000, rate=100.0, hold=10.0, publish=publish), 1)
    agents = started(run, ["a"])
    beat(run, agents, run.start + 1.0, opened(0, 5))

    assert not run.may_publish(run.start + 9.9)
    assert run.may_publish(run.start + 10.1)


def test_a_run_without_a_publisher_never_publishes():
    run = Run(PLAN, 1)
    agents = started(run, ["a"])
    beat(run, agents, run.start + 1.0, opened(0, 5))

    assert not run.may_publish(run.start + 1.0)


@pytest.mark.parametrize(
    ("lie", "breach"),
    [
        (Tally(launched=6, opened=6, closed={"done": 6}), "agent a: not_started is -1"),
        (Tally(launched=2, opened=3, closed={"done": 3}), "agent a: connecting is -1"),
        (Tally(launched=3, opened=3, closed={"done": 4}), "agent a: open is -1"),
        (Tally(launched=3, opened=3, lost=4), "agent a: open is -1"),
        (
            Tally(launched=3, opened=3, accepted=4, closed={"done": 3}),
            "agent a: accepted is 4 but 3 opened",
        ),
        (Tally(launched=1, late=2, failed={"x": 1}), "agent a: late is 2 but 1 were launched"),
        (
            Tally(launched=1, relaunched=2, failed={"x": 1}),
            "agent a: relaunched is 2 but 1 were launched",
        ),
        (Tally(launched=3, opened=3), "agent a ended with 3 open"),
    ],
)
def test_what_an_agent_reports_beyond_its_share_is_a_breach_though_the_sums_add_up(lie, breach):
    run = Run(Plan(max=10, rate=10.0, hold=0.0), 2)
    liar, other = started(run)
    posted(run, liar, seconds(Second(0, lie), finished=True), run.start + 1.0)
    posted(run, other, seconds(Second(0), finished=True), run.start + 1.0)
    run.tick(run.start + 1.5)

    assert run.state == "done"
    assert [text for text in run.breaches() if text.startswith("agent")] == [breach]


def test_a_report_of_the_truth_has_no_breach():
    run = Run(Plan(max=10, rate=10.0, hold=0.0), 1)
    (agent,) = started(run, ["a"])
    posted(run, agent, seconds(opened(0, 10), drained(1, 10), finished=True), run.start + 2.0)
    run.tick(run.start + 2.5)

    assert run.breaches() == []


def test_the_addresses_of_an_agent_are_by_urls_without_secrets():
    urls = ("ws://a/?token=x", "ws://a/?token=y")
    run = Run(Plan(max=10, targets=tuple(Target(url=url) for url in urls)), 1)
    (agent,) = (run.join(hello("a"), 0.0).id,)
    said = dict.fromkeys((*urls, "ws://b/?jwt=z"), ("10.0.0.1",))
    posted(run, agent, ready(addresses=said), 0.0)

    found = run.addresses_of(run.agents.by_id[agent])
    assert [*found] == ["ws://a/?token=…", "ws://a/?token=…2", "ws://b/?jwt=…"]


# What the journal does not have yet.


class Shelf:
    """A journal that is written when a test says so."""

    def __init__(self, run: Run) -> None:
        self.kept = 0
        self._run = run
        run.record = lambda *_: None
        run.kept = lambda: self.kept

    def write(self) -> None:
        self.kept = self._run.calls


def test_an_agent_forgets_only_what_the_journal_has_and_repeats_nothing():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    shelf = Shelf(run)
    for number in range(3):
        orders = posted(run, a, seconds(opened(number, 1, held=number + 1)), run.start + number + 1)
        assert (orders.acknowledged, orders.taken) == (-1, number)

    shelf.kept = run.calls - 1
    assert run.orders(a, run.start + 3.0).acknowledged == 1
    shelf.write()
    assert run.orders(a, run.start + 3.0).acknowledged == 2


def test_an_agent_launches_only_what_the_journal_says_is_its_own():
    run = Run(PLAN, 2)
    ids = [run.join(hello(name), 0.0).id for name in ("a", "b")]
    shelf = Shelf(run)
    for agent in ids:
        posted(run, agent, ready(), 0.0)
    run.tick(0.0)
    assert run.state == "running"
    assert posted(run, ids[0], ready(), 0.1).do == "wait"

    shelf.write()
    orders = run.orders(ids[0], 0.2)
    assert orders.do == "run"
    assert orders.start is not None

    run.lose_agent("b", "was killed")
    run.tick(0.3)
    assert posted(run, ids[0], ready(), 0.4).reassignments == ()
    shelf.write()
    assert len(run.orders(ids[0], 0.5).reassignments) == 1


def test_an_order_to_drain_or_stop_does_not_wait_for_the_journal():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    Shelf(run)
    run.drain(run.start + 1.0)
    assert posted(run, a, ready(), run.start + 1.0).do == "drain"
    run.stop(run.start + 1.0)
    assert posted(run, a, ready(), run.start + 1.0).do == "stop"


def test_a_resumed_run_asks_for_the_seconds_that_only_the_first_one_had_taken():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    posted(run, a, seconds(opened(0, 1)), run.start + 1.0)
    ahead = replace(seconds(opened(5, 1), finished=True), after=4)
    assert posted(run, a, ahead, run.start + 6.0).taken == 0
    assert run.ledger.opened == 1
    assert run.agents.by_id[a].active

    missing = [opened(number, 1, held=number + 1) for number in range(1, 6)]
    assert posted(run, a, seconds(*missing), run.start + 6.0).acknowledged == 5
    assert run.ledger.opened == 6
    assert warnings(run) == []


def test_seconds_that_no_journal_has_are_reported_as_missing():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    posted(run, a, seconds(opened(0, 1)), run.start + 1.0)
    posted(run, a, seconds(opened(5, 1, held=6)), run.start + 6.0)

    (warning,) = warnings(run)
    assert warning.startswith("seconds 1 to 4 of agent a are missing")


# Clocks that jump, and what is told of a run.


def begun(run, apart, *items):
    """Returns a post of an agent whose second 0 began `apart` seconds late."""
    return replace(seconds(*items), began=run.start + apart)


def test_a_jump_of_the_clock_of_the_run_moves_its_start_and_marks_the_second():
    run = Run(PLAN, 2)
    agents = started(run)
    beat(run, agents, run.start + 1.0, opened(0, 10))
    start, now = run.start, run.start + 61.5
    for agent in agents:
        posted(run, agent, begun(run, start + 60.0 - run.start), now)
    settled = beat(run, agents, now + 1.0, opened(1, 10, held=20))[1]
    # After a long standstill agents are heard before they are judged by the time.
    for later in range(2, 6):
        settled += beat(run, agents, now + later)[1]

    assert run.start == start + 60.0
    assert "went apart by 60.0 s" in warnings(run)[0]
    (row,) = (entry.row for entry in settled if entry.row.second == 1)
    assert any("went apart by 60.0 s" in why for why in row.invalid)


def test_a_jump_of_one_agents_clock_marks_its_own_seconds():
    run = Run(PLAN, 3)
    a, b, c = started(run, "abc")
    now = run.start + 1.5
    for agent, apart in ((a, 0.0), (b, 0.0), (c, -20.0)):
        posted(run, agent, begun(run, apart, opened(0, 5)), now)
    (entry,) = run.tick(now)

    assert warnings(run) == []
    assert [why for why in entry.row.invalid if "20" in why]


def test_arrivals_pause_and_go_on():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    run.pause(run.start + 1.0)
    assert posted(run, agent, ready(), run.start + 1.5).do == "pause"
    run.resume(run.start + 3.0)
    assert not run.paused
    assert posted(run, agent, ready(), run.start + 3.5).do == "run"


def test_a_run_that_has_not_started_is_not_paused_and_is_stopped_at_once():
    run = Run(PLAN, 1)
    run.pause(0.0)
    run.resume(1.0)
    (agent,) = started(run, ["a"])
    never = Run(PLAN, 1)
    never.stop(1.0)

    order = posted(run, agent, ready(), run.start + 1.0)
    assert (order.do, order.delay) == ("run", 0.0)
    assert never.state == "done"


def test_a_reason_that_all_connections_share_is_told_once():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    for number in (0, 1):
        second = Second(number, Tally(launched=10, failed={"http_404": 10}))
        beat(run, [agent], run.start + number + 1.0, second)

    (said,) = warnings(run)
    assert said.startswith("all 10 connections so far ended as http_404: the server answered")


def test_users_that_were_not_launched_count_where_agents_had_places_for_them():
    run = Run(PLAN, 2)
    agents = started(run)
    beat(run, agents, run.start + 1.0, opened(0, 10))
    assert run.not_launched == 980

    small = Run(PLAN, 1)
    started(small, ["a"], holds=300)
    assert small.not_launched == 300


def test_a_wall_clock_that_was_set_is_told_unless_the_machine_stood_still():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    for wall, steps in ((100.0, 0), (105.0, 0), (120.0, 1)):
        clock = ClockOffset("a", 0.0, 0.001, wall=wall, steps=steps)
        posted(run, agent, replace(seconds(), clock=clock), run.start)

    assert warnings(run) == [
        "the wall clock of agent a was set by +5.0 s; the run goes by the monotonic clock"
    ]


def test_life_is_known_from_an_agents_newest_second_on():
    run = Run(PLAN, 1)
    run.join(hello("a"), 0.0)
    (joined,) = run.agents.by_id.values()
    assert run.alive_of(joined) is None
    posted(run, joined.id, ready(), 0.0)
    run.tick(0.0)
    beat(run, [joined.id], run.start + 1.0, opened(0, 10, alive=9))
    assert run.alive_of(joined) == 9


def test_an_agent_that_goes_on_breaks_no_law_by_what_it_holds():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    beat(run, [agent], run.start + 1.0, opened(0, 10))

    assert run.breaches() == []


def test_an_agent_that_is_lost_need_not_keep_its_seconds():
    run = Run(PLAN, 2)
    a, b = started(run)
    beat(run, [a, b], run.start + 1.0, opened(0, 10))
    run.lose_agent("b", "was killed")

    orders = posted(run, b, seconds(opened(1, 5), opened(2, 5)), run.start + 3.0)
    assert (orders.do, orders.acknowledged) == ("stop", 2)


# Steering.


def test_agents_get_a_change_until_they_have_it():
    run = Run(PLAN, 2)
    a, b = started(run)
    steer(run, 0.5, rate=50.0)
    change = PlanChange(0.5 + STEERED_IN, 200, rate=50.0)

    for _ in range(2):  # the first reply may be lost
        orders = posted(run, a, ready(), run.start + 1.0)
        assert (orders.changes, orders.steered) == ((change,), 0)
    steer(run, 1.0, max=500)
    orders = posted(run, a, ready(steered=1), run.start + 1.5)
    assert [one.max for one in orders.changes] == [500]
    assert orders.steered == 1
    assert posted(run, a, ready(steered=2), run.start + 2.0).changes == ()
    assert len(posted(run, b, ready(), run.start + 2.0).changes) == 2
    assert warnings(run) == [
        "the operator asked for rate 50/s from second 2, 1,000 planned",
        "the operator asked for max 500 from second 2, 500 planned",
    ]


def test_agents_get_no_change_that_a_resumed_run_would_not_know():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    run.record = lambda method, arguments: None
    kept = run.calls
    run.kept = lambda: kept
    steer(run, 0.5, rate=50.0)
    assert posted(run, a, ready(), run.start + 1.0).changes == ()

    kept = run.calls
    assert len(posted(run, a, ready(), run.start + 1.5).changes) == 1


def test_a_run_that_does_not_run_is_not_steered():
    run = Run(PLAN, 1)
    run.steer(Wish(rate=5.0), 0.0)
    assert run.asked() == []
    started(run, ["a"])
    run.drain(run.start + 1.0)
    run.steer(Wish(rate=5.0), run.start + 1.0)
    assert run.asked() == []


def test_a_plan_that_is_fixed_is_not_changed():
    run = Run(PLAN, 1)
    run.fixed = "a calibration keeps to its own plan"
    started(run, ["a"])

    with pytest.raises(WishError, match="own plan; pause, resume or drain"):
        steer(run, 1.0, rate=50.0)
    assert run.asked() == []


def test_a_run_that_is_repeated_has_the_same_changes():
    run, again = Run(PLAN, 1), Run(PLAN, 1)
    for one in (run, again):
        started(one, ["a"])
    steer(run, 1.0, rate=50.0)
    again.steer(msgspec.convert({"rate": 50.0}, Wish), again.start + 1.0)

    assert again.asked() == run.asked()
    assert again.progress.drain_after == run.progress.drain_after


def test_a_change_in_a_pause_holds_once_arrivals_go_on():
    run = Run(PLAN, 1)
    started(run, ["a"])
    run.pause(run.start + 2.0)
    steer(run, 4.0, rate=50.0)
    (asked,) = run.asked()
    assert (asked.second, asked.change.at) == (None, 2.0 + STEERED_IN)

    run.resume(run.start + 6.0)

    assert run.asked()[0].second == pytest.approx(6.0 + 1.5 + STEERED_IN)


# Setup and teardown.

PREPARED = replace(PLAN, setup=SetupSpec(file="prepare.py", teardown="teardown"))


def gathered(plan=PREPARED, wanted=2):
    """Returns a run whose agents are ready, and their ids; setup is under way."""
    run = Run(plan, wanted)
    ids = [run.join(hello(name), 0.0).id for name in ("a", "b")]
    for agent in ids:
        posted(run, agent, ready(), 0.0)
    run.tick(0.0)
    return run, ids


def waits(run, agents, start, end):
    """Posts that agents are ready, and ticks, twice a second from `start` to `end`."""
    for step in range(int(2 * start), int(2 * end)):
        for agent in agents:
            posted(run, agent, ready(), step / 2)
        run.tick(step / 2)


def prepared():
    """Returns a run that has started with data of its setup, and its agents' ids."""
    run, ids = gathered()
    posted(run, ids[0], ready(errand=ErrandResult(1, b"[1]")), 1.0)
    run.tick(1.0)
    assert run.state == "running"
    return run, ids


def test_one_agent_calls_setup_before_any_has_a_share_and_all_get_what_it_returned():
    run, (first, second) = gathered()

    orders = [posted(run, agent, ready(), 0.5) for agent in (first, second)]
    assert [(one.do, one.errand) for one in orders] == [
        ("wait", Errand(1, "setup")),
        ("wait", None),
    ]
    assert (run.state, run.errand) == ("gathering", "setup on a")
    posted(run, first, ready(errand=ErrandResult(1, b"[1]")), 1.0)
    run.tick(1.0)

    orders = [posted(run, agent, ready(), 1.2) for agent in (first, second)]
    assert [(one.do, one.data, one.stay) for one in orders] == [("run", b"[1]", True)] * 2
    assert (run.state, run.errand) == ("running", "")
    again = posted(run, first, ready(has_data=True), 2.0)
    assert (again.do, again.data, again.errand) == ("run", b"", None)
    assert warnings(run) == [
        "agent a calls setup (prepare.py)",
        "setup is over: 3 bytes of JSON for all users",
    ]


def test_another_agent_calls_setup_when_the_first_is_lost_and_the_run_waits_for_its_agents():
    run, (first, second) = gathered()
    run.connection_broke(first, 1.0)
    waits(run, [second], 1.0, 4.0)
    assert posted(run, second, ready(), 4.0).errand == Errand(2, "setup")

    waits(run, [second], 4.0, 12.0)
    posted(run, second, ready(errand=ErrandResult(2, b"5")), 12.0)
    run.tick(12.0)
    assert (run.state, run.setup.data) == ("gathering", b"5")
    posted(run, run.join(hello("c"), 12.5).id, ready(), 12.5)
    run.tick(12.5)

    assert run.state == "running"


def test_an_agent_that_falls_silent_in_its_setup_is_replaced_though_too_few_are_left():
    run, (_, second) = gathered()
    waits(run, [second], 0.5, 12.0)

    assert posted(run, second, ready(), 12.0).errand == Errand(2, "setup")


def test_a_setup_that_fails_ends_the_run_before_any_load():
    run, (first, second) = gathered()

    posted(run, first, ready(errand=ErrandResult(1, problem="prepare.py:2: KeyError: 'x'")), 1.0)
    run.tick(1.0)

    assert run.state == "done"
    assert isinstance(run.failure, PlanError)
    assert str(run.failure) == (
        "setup failed on agent a: prepare.py:2: KeyError: 'x'; nothing was loaded"
    )
    assert posted(run, second, ready(), 1.5).do == "stop"


def test_a_setup_without_an_end_fails_the_run():
    run, ids = gathered()
    waits(run, ids, 0.5, 100.0)

    assert "setup failed on agent a: the agent did not say" in str(run.failure)


def test_teardown_is_called_once_after_the_last_second_and_changes_nothing_measured():
    run, ids = prepared()
    beat(run, ids, run.start + 1.0, opened(0, 5))
    run.drain(run.start + 2.0)
    orders, _ = beat(run, ids, run.start + 3.0, drained(1, 5), finished=True)
    assert [(one.do, one.errand, one.stay) for one in orders] == [("wait", None, True)] * 2
    ended = run.end
    assert (run.state, run.by_hand) == ("draining", True)

    run.tick(run.start + 3.2)
    orders, _ = beat(run, ids, run.start + 3.5, finished=True)
    assert [one.errand for one in orders] == [Errand(2, "teardown", b"[1]"), None]
    assert run.errand == "teardown on a"
    posted(run, ids[0], Post(errand=ErrandResult(2)), run.start + 9.0)
    run.tick(run.start + 9.0)

    assert (run.state, run.end, run.age(run.start + 9.0)) == ("done", ended, ended - run.start)
    assert [posted(run, agent, Post(), run.start + 9.5).do for agent in ids] == ["stop"] * 2
    assert run.setup.teardown_problem == ""


def test_a_teardown_that_fails_is_told_and_the_run_is_done():
    run, ids = prepared()
    beat(run, ids, run.start + 1.0, opened(0, 5), finished=True)
    assert run.state == "draining"
    run.tick(run.start + 1.2)
    posted(run, ids[0], Post(errand=ErrandResult(2, problem="it broke")), run.start + 2.0)
    run.tick(run.start + 2.0)

    assert (run.state, run.failure) == ("done", None)
    assert warnings(run)[-1] == "teardown failed: it broke"


def test_the_agents_that_stop_at_once_stay_for_the_teardown():
    run, ids = prepared()
    beat(run, ids, run.start + 1.0, opened(0, 5))
    run.stop(run.start + 2.0)
    orders = [posted(run, agent, seconds(), run.start + 2.1) for agent in ids]

    assert [(one.do, one.stay) for one in orders] == [("stop", True)] * 2


def test_the_operator_ends_a_teardown_that_takes_long():
    run, ids = prepared()
    beat(run, ids, run.start + 1.0, opened(0, 5), finished=True)
    run.tick(run.start + 1.2)
    run.drain(run.start + 2.0)

    assert (run.state, run.by_hand) == ("done", False)
    assert warnings(run)[-1] == "teardown failed: the operator did not wait for it"


def test_a_run_that_never_started_is_torn_down_as_well():
    run, (first, _) = gathered()
    waits(run, [first], 0.5, 12.0)
    posted(run, first, ready(errand=ErrandResult(1, b"[1]")), 12.0)
    run.fail_gathering(60.0, 12.1)
    run.tick(12.2)

    orders = posted(run, first, ready(), 12.3)
    assert (run.state, orders.do, orders.errand) == (
        "gathering",
        "wait",
        Errand(2, "teardown", b"[1]"),
    )
    posted(run, first, ready(errand=ErrandResult(2)), 12.4)
    run.tick(12.5)
    assert run.state == "done"
    assert isinstance(run.failure, FleetError)


def test_a_resumed_run_has_what_setup_returned():
    calls = []
    run = Run(PREPARED, 1)
    run.record = lambda method, arguments: calls.append((method, arguments))
    agent = run.join(hello("a"), 0.0).id
    for now, post in enumerate((ready(), ready(errand=ErrandResult(1, b"[1]")), ready())):
        posted(run, agent, post, float(now))
        run.tick(float(now))
    again = Run(PREPARED, 1)
    for method, arguments in calls:
        getattr(again, method)(*arguments)

    assert (again.state, again.setup.data) == ("running", b"[1]")
    assert posted(again, agent, ready(), 4.0).data == b"[1]"


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


# Results by session and by target.


TWO_SESSIONS = Plan(
    max=1000, rate=100.0, hold=5.0, sessions=(Loop(name="chatter"), Loop(name="watcher"))
)


def by_session(second, chatter):
    """Splits a second: this number of its opened connections are chatters."""
    whole = second.tally.opened
    parts = {0: chatter, 1: whole - chatter}
    second.slices = {
        place: Slice(opened(0, count).tally) for place, count in parts.items() if count
    }
    return second


def test_what_an_agent_reports_by_session_has_to_be_its_total():
    run = Run(TWO_SESSIONS, 1)
    (agent,) = started(run, ["a"])
    posted(run, agent, seconds(by_session(opened(0, 10), 4)), run.start + 1.0)
    assert run.breaches() == []
    member = run.agents.active()[0]
    sessions = run.sessions_of(member)
    assert {name: one.tally.opened for name, one in sessions.items()} == {
        "chatter": 4,
        "watcher": 6,
    }

    posted(run, agent, seconds(opened(1, 5, held=15)), run.start + 2.0)

    assert "agent a: opened is 15 but 10 by session and target" in run.breaches()


def test_an_agent_without_a_share_reports_nothing_by_session():
    run = Run(TWO_SESSIONS, 2)
    run.join(hello("a"), 0.0)

    assert run.sessions_of(run.fleet()[0]) == {}
    assert run.breaches() == []


def test_a_run_says_what_it_does_not_split():
    sessions = tuple(Loop(name=f"s{number}") for number in range(65))
    run = Run(replace(TWO_SESSIONS, sessions=sessions), 1)
    started(run, ["a"])

    assert run.slices.parts == ()
    assert any("results are not split: 65 sessions" in text for text in warnings(run))
