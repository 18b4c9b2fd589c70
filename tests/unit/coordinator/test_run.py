"""One run, with the time and the agents' words put in by hand."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.member import SILENT_AFTER
from coordinator.roster import LOST_AFTER
from coordinator.run import (
    DRAIN_BOUND,
    GATE_IN,
    HAND_BOUND,
    START_IN,
    STOP_BOUND,
    BadPostError,
    RefusedError,
    Run,
    UnknownAgentError,
)
from coordinator.sharing import TAKEN_UP_IN
from loadgen.arrivals import Share
from loadgen.capacity import Limit
from loadgen.client import Client
from loadgen.errors import FleetError, PlanError
from loadgen.fanin import Second
from loadgen.phases import Phase
from loadgen.plan import Plan
from loadgen.tally import Held, Tally
from loadgen.version import VERSION
from loadgen.wire import Post
from tests.unit.coordinator.fleet import MEND, PLAN, drained, hello, opened, ready, seconds, started


def warnings(run):
    return [news.text for news in run.take_news() if not news.agent]


def beat(run, agents, now, *items, **fields):
    """Each of the agents posts the same seconds; then time passes."""
    orders = [run.post(agent, seconds(*items, **fields), now) for agent in agents]
    return orders, run.tick(now)


def alive(run, agents, start, end):
    """Agents that say nothing new every second from start to end."""
    now = start
    while now < end:
        beat(run, agents, now)
        now += 1.0


# Gathering.


def test_the_welcome_tells_an_agent_who_it_is_and_what_is_planned():
    run = Run(PLAN, 2, key="k")

    first, second = run.join(hello("host"), 0.0), run.join(hello("host"), 0.0)

    assert (first.name, second.name) == ("host", "host-2")
    assert (first.index, second.index, first.agents) == (0, 1, 2)
    assert first.id != second.id
    assert first.id.startswith("k")
    assert first.plan == PLAN


def test_a_name_from_elsewhere_can_not_reach_a_path_or_the_terminal():
    assert Run(PLAN, 1).join(hello("../\x1b[31mx"), 0.0).name == "31mx"


def test_another_wire_version_is_refused_with_both_versions_and_the_mend():
    with pytest.raises(RefusedError) as refusal:
        Run(PLAN, 1).join(hello(wire=99), 0.0)

    assert "99" in str(refusal.value)
    assert VERSION in str(refusal.value)
    assert "install the same" in str(refusal.value)


def test_agents_wait_until_the_fleet_is_complete_and_then_start_at_one_moment():
    run = Run(PLAN, 2)
    first = run.join(hello("a"), 0.0).id
    assert run.post(first, ready(), 0.0).do == "wait"
    run.tick(0.0)
    second = run.join(hello("b"), 1.0).id
    assert run.post(second, ready(), 1.0).do == "wait"

    run.tick(1.0)

    orders = [run.post(first, ready(), 1.2), run.post(second, ready(), 2.0), run.post(first, ready(), 4.0)]
    assert [order.do for order in orders] == ["run"] * 3
    assert [order.start.after for order in orders] == pytest.approx([START_IN - 0.2, START_IN - 1.0, START_IN - 3.0])
    assert orders[0].start.share == orders[2].start.share


def test_joining_is_not_enough_an_agent_must_have_looked_at_the_target():
    run = Run(PLAN, 1)
    run.join(hello(), 0.0)

    run.tick(0.0)

    assert run.state == "gathering"


def test_an_agent_that_refuses_is_told_of_once_and_does_not_count():
    run = Run(PLAN, 1)
    agent = run.join(hello(), 0.0).id
    for now in (0.0, 1.0):
        run.post(agent, ready(refusal="10.0.0.1 is outside --allow-target"), now)
        run.tick(now)

    assert run.state == "gathering"
    assert warnings(run) == ["agent host refuses: 10.0.0.1 is outside --allow-target"]


def test_a_ready_agent_that_fell_silent_does_not_start_a_run():
    run = Run(PLAN, 2)
    run.post(run.join(hello("a"), 0.0).id, ready(), 0.0)
    second = run.join(hello("b"), 0.0).id
    for step in range(30):
        run.tick(step / 2)
    run.post(second, ready(), 15.0)

    run.tick(15.0)

    assert run.state == "gathering"
    assert [member.name for member in run.ready(15.0)] == ["b"]


def test_who_is_missing_or_refuses_is_named_when_the_wait_is_over():
    run = Run(PLAN, 4)
    run.post(run.join(hello("a"), 0.0).id, ready(), 0.0)
    run.post(run.join(hello("b"), 0.0).id, ready(refusal="no such host"), 0.0)

    run.give_up_gathering(60.0, 1.0)

    assert run.state == "done"
    assert isinstance(run.failure, FleetError)
    assert run.failure.exit_code == 3
    text = str(run.failure)
    assert "1 of 4 agents were ready after 60 s (a)" in text
    assert "b refuses: no such host" in text
    assert "2 never joined" in text


@pytest.mark.parametrize("on_loss", ["continue", "abort"])
def test_an_agent_that_comes_too_late_is_refused_where_nothing_lost_is_taken_up(on_loss):
    run = Run(PLAN, 1, on_loss=on_loss)
    started(run, ["a"])

    with pytest.raises(RefusedError, match="the run has started"):
        run.join(hello("late"), 1.0)


def test_an_agent_that_was_not_ready_at_the_start_is_told_to_leave_where_nothing_lost_is_taken_up():
    run = Run(PLAN, 1, on_loss="continue")
    slow = run.join(hello("slow"), 0.0).id
    started(run, ["a"])

    assert run.post(slow, ready(), 1.0).do == "stop"
    assert "slow was not ready" in warnings(run)[0]


# Shares.


@given(
    weights=st.lists(st.integers(1, 100_000), min_size=1, max_size=20),
    total=st.integers(1, 5000),
)
def test_every_number_of_the_plan_belongs_to_exactly_one_agent(weights, total):
    run = Run(Plan(max=total), len(weights))
    for number, weight in enumerate(weights):
        run.post(run.join(hello(f"h{number}", holds=weight), 0.0).id, ready(), 0.0)
    run.tick(0.0)
    shares = [member.share for member in run.members.values()]
    if run.failure is not None:
        assert isinstance(run.failure, PlanError)
        assert any(share.count(total) == 0 for share in Share().split(weights))
        return

    numbers = [number for share in shares for number in share.numbers(total)]

    assert sorted(numbers) == list(range(total))
    assert sum(member.planned for member in run.members.values()) == total


def test_clients_of_the_plan_get_shares_by_their_weights():
    """Others count by what they hold: 64,000 connections like a weight of 1."""
    run = Run(Plan(max=700, clients=(Client(name="big", weight=4.0), Client(name="small", weight=0.5))), 4)
    for name, holds in (("big", 1), ("small", 64_000), ("small", 64_000), ("other", 128_000)):
        run.post(run.join(hello(name, holds=holds), 0.0).id, ready(), 0.0)

    run.tick(0.0)

    assert {member.name: member.planned for member in run.members.values()} == {
        "big": 400, "small": 50, "small-2": 50, "other": 200,
    }  # fmt: skip


def test_what_an_agent_holds_by_the_plans_word_goes_before_its_hello():
    run = Run(Plan(max=300), 2)
    raised = Limit("max_connections", 200, "", "")
    for name in ("a", "b"):
        agent = run.join(hello(name, holds=100), 0.0).id
        run.post(agent, ready(max_connections=200, limits=(raised,)) if name == "b" else ready(), 0.0)

    run.tick(0.0)

    assert [member.planned for member in run.members.values()] == [100, 200]
    assert warnings(run) == []


def test_a_share_that_rounds_to_nothing_makes_the_plan_unusable():
    run = Run(Plan(max=2), 2)
    for name, holds in (("big", 64_000), ("tiny", 1)):
        run.post(run.join(hello(name, holds=holds), 0.0).id, ready(), 0.0)

    run.tick(0.0)

    assert run.state == "done"
    assert isinstance(run.failure, PlanError)
    assert "tiny" in str(run.failure)


def test_an_agent_without_capacity_makes_the_plan_unusable():
    run = Run(PLAN, 1)
    run.post(run.join(hello(holds=0), 0.0).id, ready(), 0.0)

    run.tick(0.0)

    assert isinstance(run.failure, PlanError)


def test_a_share_above_what_an_agent_holds_warns_and_runs():
    run = Run(PLAN, 2)
    started(run, holds=400)

    text = warnings(run)[0]

    assert text.startswith("agent a: share 500, holds 400: max_connections gives out first")
    assert text.endswith(MEND)


# Seconds.


def test_a_second_settles_when_every_agent_has_reported_and_is_acknowledged():
    run = Run(PLAN, 2)
    a, b = started(run)
    now = run.start + 1.0
    assert run.post(a, seconds(opened(0, 50)), now).acknowledged == 0
    assert run.tick(now) == []
    run.post(b, seconds(opened(0, 50)), now)

    (entry,) = run.tick(now)

    assert entry.row.fleet.ledger.open == 100
    assert entry.row.agents["a"].ledger.open == 50
    assert entry.row.invalid == []
    assert entry.row.fleet.histograms["handshake"]["count"] == 100


def test_repeating_a_post_counts_nothing_twice():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    now = run.start + 2.0

    for _ in range(3):
        orders, _ = beat(run, [a], now, opened(1, 5, held=15), opened(0, 10))

    assert orders[0].acknowledged == 1
    assert run.ledger.opened == 15


def test_a_silent_agent_is_named_and_corrected_when_it_speaks():
    run = Run(PLAN, 2)
    a, b = started(run)
    rows = []
    for number in range(4):
        now = run.start + number + 1.0
        run.post(a, seconds(opened(number, 10, held=10 * (number + 1))), now)
        rows += [entry.row for entry in run.tick(now)]
    assert [(row.second, row.missing) for row in rows] == [(0, ["b"])]
    assert rows[0].invalid == ["no report from b"]
    assert run.timeline.invalid == {0: ["no report from b"]}

    late = [opened(number, 10, held=10 * (number + 1)) for number in range(4)]
    run.post(b, seconds(*late), run.start + 4.5)
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
        run.post(a, seconds(opened(1_000_000_000, 1)), run.start + 1.0)

    assert run.ledger.opened == 0


def test_an_unknown_agent_is_told_so():
    with pytest.raises(UnknownAgentError):
        Run(PLAN, 1).post("other-0", ready(), 0.0)


def test_a_ledger_that_disagrees_with_what_is_held_makes_the_second_invalid():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])

    _, (entry,) = beat(run, [a], run.start + 1.0, opened(0, 10, held=9))

    assert entry.row.invalid == ["the ledger does not add up: open is 10 but 9 are held"]


def test_a_stalled_generator_makes_the_second_invalid():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    second = opened(0, 10)
    second.tally.loop_lag.record(250_000)

    _, (entry,) = beat(run, [a], run.start + 1.0, second)

    assert "event loop stalled" in entry.row.invalid[0]


def test_of_each_reason_the_first_traceback_comes_out_and_no_more_than_a_hundred():
    run = Run(PLAN, 2)
    a, b = started(run)
    run.post(a, ready(tracebacks={"error_KeyError": "one"}), run.start)
    run.post(b, ready(tracebacks={"error_KeyError": "two", "error\nOther": "three"}), run.start)

    assert [(news.agent, news.reason, news.text) for news in run.take_news() if news.reason] == [
        ("a", "error_KeyError", "one"),
        ("b", "error Other", "three"),
    ]

    run.post(a, ready(tracebacks={f"error_{number}": "" for number in range(500)}), run.start)
    assert len(run.take_news()) == 98


def test_notes_come_out_once_with_their_agent():
    run = Run(PLAN, 1)
    agent = run.join(hello(), 0.0).id
    run.post(agent, ready(notes=("worker 0\nis gone",)), 0.0)

    assert [(news.agent, news.text) for news in run.take_news()] == [("host", "worker 0 is gone")]
    assert run.take_news() == []


# The end.


def test_the_hold_over_the_fleet_drains_and_the_run_is_done_when_all_have_finished():
    run = Run(PLAN, 2)
    agents = started(run)
    alive(run, agents, run.start, run.start + run.drain_after)
    now = run.start + run.drain_after
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

    answers = [run.post(a, post, run.start + 2.0) for _ in range(2)]

    assert answers[0] == answers[1]
    assert answers[1].acknowledged == 1
    assert run.ledger.closed == {"drained": 5}


def test_a_silent_agent_is_lost_with_what_it_held_and_told_to_stop_if_it_returns():
    run = Run(PLAN, 2)
    a, b = started(run)
    beat(run, [a, b], run.start + 1.0, opened(0, 50))
    now = run.start + 1.0
    while run.members[b].active:
        now += 0.5
        beat(run, [a], now)

    assert now - run.members[b].seen == pytest.approx(LOST_AFTER + 0.5)
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

    assert run.members
    assert not any(member.finished for member in run.fleet())


def test_a_dead_agent_is_buried_without_waiting():
    run = Run(PLAN, 2)
    a, b = started(run)
    beat(run, [a, b], run.start + 1.0, opened(0, 50))

    run.bury("b", "was killed by signal 9")

    assert run.ledger.lost == 50
    assert [member.name for member in run.active()] == ["a"]


def test_a_coordinator_that_was_stopped_itself_blames_no_agent():
    run = Run(PLAN, 1)
    started(run, ["a"])

    run.tick(run.start + 3600.0)

    assert [member.name for member in run.active()] == ["a"]


def silence(run, begin, seconds, *speaking):
    """Lets time pass in which only some agents speak."""
    for tick in range(seconds * 5):
        now = begin + tick / 5
        run.tick(now)
        for agent in speaking:
            run.post(agent, Post(), now)
    return begin + seconds


def test_a_coordinator_that_hears_none_of_its_agents_takes_the_silence_for_its_own():
    run = Run(PLAN, 2)
    first, second = started(run, ["a", "b"])

    now = silence(run, run.start, 5, first, second)
    now = silence(run, now, 40)
    assert [member.status_at(now) for member in run.active()] == ["silent", "silent"]

    now = silence(run, now, 5, first)
    assert [member.name for member in run.active()] == ["a", "b"], "b has as long to come back as ever"
    silence(run, now, 5, first)
    assert [member.name for member in run.active()] == ["a"]


def test_a_fleet_that_never_speaks_again_is_lost():
    run = Run(PLAN, 2)
    first, second = started(run, ["a", "b"])

    silence(run, silence(run, run.start, 5, first, second), 80)

    assert run.state == "done"
    assert [member.status for member in run.members.values()] == ["lost", "lost"]


def test_a_drain_that_takes_too_long_is_stopped_and_then_given_up():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    begin = run.start + 1.0
    run.drain(begin)
    alive(run, [a], begin, begin + DRAIN_BOUND)
    beat(run, [a], begin + DRAIN_BOUND)
    assert run.post(a, ready(), begin + DRAIN_BOUND).do == "stop"

    alive(run, [a], begin + DRAIN_BOUND + 1, begin + DRAIN_BOUND + STOP_BOUND + 2)

    assert run.state == "done"
    assert run.members[a].lost


def test_the_operator_drains_first_and_stops_second():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    begin = run.start + 1.0

    run.drain(begin)
    assert run.post(a, ready(), begin).do == "drain"
    run.stop(begin + 1.0)
    assert run.post(a, ready(), begin + 1.0).do == "stop"
    run.tick(begin + 1.0 + HAND_BOUND)

    assert run.state == "done"
    assert run.by_hand


def test_the_third_word_of_the_operator_waits_for_nobody():
    run = Run(PLAN, 1)
    started(run, ["a"])
    for say in (run.drain, run.stop, run.stop):
        say(run.start)

    run.tick(run.start)

    assert run.state == "done"


def test_draining_before_the_start_ends_the_run_and_dismisses_the_agents():
    run = Run(PLAN, 2)
    agent = run.join(hello(), 0.0).id

    run.drain(1.0)

    assert run.state == "done"
    assert run.post(agent, ready(), 1.5).do == "stop"
    assert not run.started


# Gates.


GATED = Plan(phases=(Phase(rate=10, max=20, wait=True), Phase(rate=10, max=20)), hold=5.0)


def waits(run, agents, now, gate=1):
    """Each of the agents says that it waits at a gate; then time passes."""
    for agent in agents:
        run.post(agent, ready(gate=gate), now)
    run.tick(now)


def test_a_gate_opens_once_every_agent_waits_at_it():
    run = Run(GATED, 2)
    a, b = started(run)
    waits(run, [a], run.start + 7.0)
    assert run.post(a, ready(gate=1), run.start + 7.0).gates == ()
    assert run.drain_after == inf

    waits(run, [b], run.start + 8.0)

    assert run.post(a, ready(gate=1), run.start + 8.1).gates == pytest.approx((8.0 + GATE_IN,))
    assert run.drain_after == pytest.approx(8.0 + GATE_IN + 2.0 + 5.0)


def test_the_phase_that_runs_is_known_by_name():
    run = Run(Plan(phases=(Phase(name="in", rate=10, max=20, wait=True), Phase(rate=10, max=20)), hold=5.0), 1)
    assert run.phase(0.0) == ""
    agents = started(run, ["a"])
    assert run.phase(run.start) == "in"
    assert run.phase(run.start + 4.0) == "waiting for sessions to end"

    waits(run, agents, run.start + 8.0)

    (opening,) = run.gates
    assert run.phase(run.start + opening) == "phase 2"
    assert run.phase(run.start + opening + 3.0) == "hold"
    run.drain(run.start + opening + 4.0)
    assert run.phase(run.start + opening + 4.0) == ""


def test_a_gate_opens_once_and_for_all():
    run = Run(GATED, 1)
    agents = started(run, ["a"])
    waits(run, agents, run.start + 8.0)
    opened = run.gates

    waits(run, agents, run.start + 9.0)

    assert run.gates == opened


def test_a_phase_that_waits_lasts_its_time_though_its_sessions_are_over():
    run = Run(Plan(phases=(Phase(rate=10, duration=30.0, wait=True), Phase(rate=10, max=20))), 1)
    agents = started(run, ["a"])

    waits(run, agents, run.start + 8.0)

    assert run.gates == (30.0,)


def test_a_gate_waits_for_no_one_who_is_lost():
    run = Run(GATED, 2, on_loss="continue")
    a, _ = started(run)
    waits(run, [a], run.start + 8.0)

    run.bury("b", "was killed by signal 9")
    run.tick(run.start + 8.0)

    assert len(run.gates) == 1


def test_a_gate_waits_for_what_others_take_up_of_the_lost():
    run = Run(GATED, 2)
    a, _ = started(run)
    waits(run, [a], run.start + 8.0)
    run.bury("b", "was killed by signal 9")
    waits(run, [a], run.start + 8.0)
    assert run.gates == ()

    run.post(a, ready(gate=1, adopted=1), run.start + 11.0)
    run.tick(run.start + 11.0)

    assert len(run.gates) == 1


def test_a_meeting_is_over_once_the_whole_fleet_has_as_many_users_there():
    run = Run(PLAN, 2)
    ids = started(run)
    now = run.start + 1.5

    def came(agent, count):
        return run.post(agent, ready(seconds=(Second(0, Tally(counters={"meet_7": count}), Held()),)), now).met

    assert came(ids[0], 4) == ()
    assert came(ids[1], 3) == (7,)


# Pauses.


def test_a_pause_is_told_with_every_reply_and_puts_off_what_is_still_to_come():
    run = Run(PLAN, 2)  # arrivals for 10 s, held for 5
    agents = started(run)
    run.pause(run.start + 2.0)

    orders, _ = beat(run, agents, run.start + 2.5)
    assert [(one.do, one.delay) for one in orders] == [("pause", 0.0)] * 2
    assert run.rate_asked(run.start + 3.0) == 0.0

    alive(run, agents, run.start + 3.0, run.start + 30.0)
    assert run.state == "running", "what would have been its end is put off"
    run.resume(run.start + 30.0)

    orders, _ = beat(run, agents, run.start + 30.1)
    delay = 28.0 + START_IN
    assert [(one.do, one.delay) for one in orders] == [("run", delay)] * 2
    assert run.rate_asked(run.start + 32.0) == PLAN.rate
    assert run.drain_after == pytest.approx(PLAN.drain_at() + delay)


def test_a_paused_run_can_be_drained():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    run.pause(run.start + 2.0)
    run.drain(run.start + 4.0)

    assert run.post(agent, seconds(), run.start + 4.1).do == "drain"
    assert run.pauses.spans() == [(2.0, 4.0)]
    run.resume(run.start + 5.0)
    assert run.state == "draining"


def test_only_a_run_that_runs_can_be_paused():
    run = Run(PLAN, 1)
    run.pause(0.0)

    assert not run.paused


# What is lost.


def fleet_of(run, names, **fields):
    """A fleet that has launched 100 connections each, 10 of which have ended, by its second second."""
    agents = started(run, names, **fields)
    beat(run, agents, run.start + 2.0, opened(0, 100, held=100), ended(1, 10, held=90))
    run.take_news()
    return agents


def ended(number, count, *, held):
    return Second(number, Tally(closed={"done": count}, sessions_done=count), Held(0, held))


def taken_up(run, agent, now):
    """What an agent is told to take up: launched again, and for the first time."""
    adoptions = run.post(agent, ready(), now).adoptions
    total = run.plan.total
    return (
        sum(adoption.remains.again() for adoption in adoptions),
        sum(adoption.remains.fresh(total) for adoption in adoptions),
    )


def test_what_an_agent_held_is_launched_again_by_the_others_and_the_rest_of_its_share_too():
    run = Run(Plan(max=999, rate=100.0), 3)
    a, b, c = fleet_of(run, ["a", "b", "c"])
    now = run.start + 3.0

    run.bury("c", "was killed by signal 9")
    beat(run, [a, b], now)

    assert [taken_up(run, one, now) for one in (a, b)] == [(45, 117), (45, 116)]
    assert [member.planned for member in run.members.values()] == [450, 449, 100]
    assert run.members[c].lost
    assert run.ledger.lost == 90
    assert warnings(run)[0] == "agent c is lost (was killed by signal 9): 90 open connections count as lost"


def test_what_is_launched_again_comes_at_the_plans_rate():
    run = Run(Plan(max=999, rate=100.0), 3)
    a, b, _ = fleet_of(run, ["a", "b", "c"])
    run.bury("c", "was killed by signal 9")
    now = run.start + 3.0
    beat(run, [a, b], now)

    times = [at for agent in (a, b) for one in run.post(agent, ready(), now).adoptions for at, _ in one.again()]

    assert max(times) - min(times) == pytest.approx(90 / 100.0, rel=0.05)
    assert min(times) == pytest.approx(3.0 + TAKEN_UP_IN, abs=0.1)


def test_an_adoption_is_repeated_until_the_agent_says_that_it_has_it():
    run = Run(Plan(max=999, rate=100.0), 3)
    a, b, _ = fleet_of(run, ["a", "b", "c"])
    run.bury("c", "was killed by signal 9")
    beat(run, [a, b], run.start + 3.0)

    first, again = (run.post(a, ready(), run.start + 3.0) for _ in range(2))
    after = run.post(a, ready(adopted=1), run.start + 3.5)

    assert first.adoptions == again.adoptions != ()
    assert (first.adopted, after.adopted, after.adoptions) == (0, 1, ())


def test_who_is_lost_in_its_turn_hands_on_what_it_took_up():
    run = Run(Plan(max=999, rate=100.0), 3)
    a, _, _ = fleet_of(run, ["a", "b", "c"])
    run.bury("c", "was killed by signal 9")
    beat(run, [a], run.start + 3.0)

    run.bury("b", "was killed by signal 9")
    beat(run, [a], run.start + 3.5)

    assert taken_up(run, a, run.start + 3.5) == (180, 466)
    assert [member.planned for member in run.members.values()] == [799, 100, 100]


def test_what_nobody_has_room_for_waits_for_an_agent_that_joins():
    run = Run(Plan(max=600, rate=100.0), 2)
    a, b = fleet_of(run, ["a", "b"], holds=350)
    run.bury("b", "was killed by signal 9")
    now = run.start + 3.0
    beat(run, [a], now)
    again, fresh = taken_up(run, a, now)
    assert 50 <= again + fresh <= 60, "the room it has: its share is 300, and 10 have ended"
    assert sum(member.planned for member in run.members.values()) == 600

    late = run.join(hello("b", holds=350), now + 5.0)
    assert late.name == "b-2"
    assert run.post(late.id, Post(), now + 5.0).do == "wait"
    run.post(late.id, ready(), now + 6.0)
    beat(run, [a], now + 6.0)
    orders = run.post(late.id, ready(), now + 6.0)

    assert orders.do == "run"
    assert orders.start.share.count(600) == 0
    assert orders.start.first >= 9
    assert sum(adoption.remains.wanted(600) for adoption in orders.adoptions) == 290 - again - fresh
    assert sum(member.planned for member in run.members.values()) == 600
    assert run.members[b].planned == 100


def test_an_agent_that_joins_late_is_held_in_reserve_and_ends_with_the_run():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    late = run.join(hello("late"), run.start).id
    run.post(late, ready(), run.start)
    beat(run, [a], run.start + 1.0, opened(0, 1000), drained(1, 1000), finished=True)

    assert run.state == "done"
    assert run.post(late, ready(), run.start + 1.0).do == "stop"
    assert [member.name for member in run.fleet()] == ["a"]


def test_the_seconds_of_who_came_late_count_from_its_first_one():
    run = Run(Plan(max=999, rate=100.0), 2)
    a, _ = fleet_of(run, ["a", "b"], holds=500)
    late = run.join(hello("late"), run.start + 2.0).id
    run.post(late, ready(), run.start + 2.0)
    run.bury("b", "was killed by signal 9")
    beat(run, [a], run.start + 3.0)
    first = run.post(late, ready(), run.start + 3.0).start.first

    for number in range(2, first + 1):
        second = Second(number, Tally(), Held(0, 90))
        newest = [opened(first, 20, held=20)] if number == first else []
        run.post(late, ready(seconds=tuple(newest), adopted=1), run.start + number + 1.0)
        _, entries = beat(run, [a], run.start + number + 1.0, second)

    assert [(entry.row.second, entry.row.missing, entry.row.invalid) for entry in entries] == [(first, [], [])]
    assert entries[0].row.agents["late"].ledger.open == 20
    assert entries[0].row.fleet.ledger.open == 110


def test_an_agent_that_leaves_of_its_own_hands_on_what_it_has_not_launched():
    run = Run(PLAN, 2)
    a, b = fleet_of(run, ["a", "b"])
    run.post(b, seconds(drained(2, 90), finished=True), run.start + 3.0)
    beat(run, [a], run.start + 3.0)

    assert taken_up(run, a, run.start + 3.0) == (0, 400)
    assert run.ledger.lost == 0


def test_continue_leaves_what_is_lost_as_it_is():
    run = Run(PLAN, 2, on_loss="continue")
    a, _ = fleet_of(run, ["a", "b"])
    run.bury("b", "was killed by signal 9")
    beat(run, [a], run.start + 3.0)

    orders = run.post(a, ready(), run.start + 3.0)
    assert (orders.do, orders.adoptions, orders.start.again) == ("run", (), 0.0)
    assert [member.planned for member in run.members.values()] == [500, 500]


@pytest.mark.parametrize("tally", [Tally(lost=1, sessions_done=1), Tally(failed={"lost": 1}, sessions_done=1)])
def test_abort_ends_the_run_when_a_worker_is_lost(tally):
    run = Run(PLAN, 2, on_loss="abort")
    a, b = fleet_of(run, ["a", "b"])
    run.post(b, seconds(Second(2, tally, Held(0, 89))), run.start + 3.0)
    beat(run, [a], run.start + 3.0)

    assert run.state == "draining"
    assert run.given_up
    assert "--on-loss is abort" in warnings(run)[0]


def test_abort_ends_the_run_when_an_agent_is_lost():
    run = Run(PLAN, 2, on_loss="abort")
    a, _ = fleet_of(run, ["a", "b"])
    run.bury("b", "was killed by signal 9")
    orders, _ = beat(run, [a], run.start + 3.0)
    orders, _ = beat(run, [a], run.start + 3.5)

    assert orders[0].do == "drain"
    assert run.given_up


def test_an_agent_whose_connection_broke_is_lost_unless_it_comes_back_at_once():
    run = Run(PLAN, 2)
    a, b = started(run)
    beat(run, [a, b], run.start)
    run.hang_up(a, run.start)
    run.hang_up(b, run.start)

    for step in range(1, 10):
        beat(run, [a], run.start + step / 4)

    assert not run.members[a].lost
    assert run.members[b].lost
    assert "agent b is lost (its connection broke" in warnings(run)[0]


def test_one_that_left_its_reserve_may_hang_up():
    run = Run(PLAN, 1)
    started(run, ["a"])
    late = run.join(hello("late"), run.start).id
    run.post(late, ready(finished=True), run.start)

    run.hang_up(late, run.start + 1.0)

    assert late not in run.members


def test_an_agent_that_says_nothing_is_silent_before_it_is_lost():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    member = run.members[a]

    states = [member.status_at(member.seen + after) for after in (0.0, SILENT_AFTER, SILENT_AFTER + 1.0)]

    assert states == ["running", "running", "silent"]
