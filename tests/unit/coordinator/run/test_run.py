"""One run, with the time and the posts of its agents made by hand."""

import msgspec
import pytest
from msgspec.structs import replace

from coordinator.run.agents import (
    LOST_AFTER,
)
from coordinator.run.ending import DRAIN_TIMEOUT, STOP_BY_HAND_TIMEOUT, STOP_TIMEOUT
from coordinator.run.gathering import RefusedError
from coordinator.run.run import BadPostError, Run, UnknownAgentError
from coordinator.run.steering import (
    Wish,
)
from loadgen.errors import FleetError, PlanError
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.plan.sessions import Loop
from loadgen.stats.delivery import Delivered
from loadgen.wire import Errand, ErrandResult, Orders, Post
from tests.unit.coordinator.fleet import (
    PLAN,
    PUBLISHING,
    SENT,
    alive,
    beat,
    begun,
    drained,
    gathered,
    hello,
    opened,
    posted,
    prepared,
    ready,
    seconds,
    started,
    steer,
    waits,
    warnings,
    with_news,
)

# What agents send.


def test_agents_that_are_missing_or_refuse_are_named_when_the_wait_is_over():
    run = Run(PLAN, 4)
    posted(run, run.join(hello("a"), 0.0).id, ready(), 0.0)
    posted(run, run.join(hello("b"), 0.0).id, ready(refusal="no such host"), 0.0)

    run.fail_gathering(60.0, 1.0)

    assert run.state == "done"
    assert isinstance(run.ending.failure, FleetError)
    assert run.ending.failure.exit_code == 3
    text = str(run.ending.failure)
    assert "1 of 4 agents were ready after 60 s (a)" in text
    assert "b refuses: no such host" in text
    assert "2 never joined" in text


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


@pytest.mark.parametrize("on_loss", ["continue", "abort"])
def test_an_agent_that_joins_too_late_is_refused_where_nothing_is_reassigned(on_loss):
    run = Run(PLAN, 1, on_loss=on_loss)
    started(run, ["a"])

    with pytest.raises(RefusedError, match="the run has started"):
        run.join(hello("late"), 1.0)


def test_a_share_that_rounds_to_nothing_makes_the_plan_unusable():
    run = Run(Plan(max=2), 2)
    for name, holds in (("big", 64_000), ("tiny", 1)):
        posted(run, run.join(hello(name, holds=holds), 0.0).id, ready(), 0.0)

    run.tick(0.0)

    assert run.state == "done"
    assert isinstance(run.ending.failure, PlanError)
    assert "tiny" in str(run.ending.failure)


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
    assert not run.ending.by_hand


def test_a_repeated_last_post_is_answered_like_the_first():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    post = seconds(opened(0, 5), drained(1, 5), finished=True)

    answers = [posted(run, a, post, run.start + 2.0) for _ in range(2)]

    assert answers[0] == answers[1]
    assert answers[1].acknowledged == 1
    assert run.ledger.closed == {"drained": 5}


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
    assert run.ending.by_hand


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


def test_a_session_that_aborts_the_run_drains_it_once():
    run = Run(PLAN, 2)
    a, b = started(run)

    posted(run, a, ready(abort="the shop is closed"), run.start + 1.0)
    posted(run, b, ready(abort="so is mine"), run.start + 1.0)

    assert warnings(run) == ["a session on a ended the run: the shop is closed"]
    assert (run.state, run.ending.aborted) == ("draining", "the shop is closed")


def test_a_run_that_can_not_pass_any_more_is_drained_once():
    run = Run(PLAN, 1)
    run.abort("too early", 0.0)
    started(run, ["a"])
    assert (run.state, run.ending.aborted) == ("running", "")

    run.abort("failed>1%", run.start + 3.0)
    run.abort("failed>2%", run.start + 4.0)

    assert warnings(run) == ["the run is drained: failed>1%"]
    assert (run.state, run.ending.aborted, run.ending.aborted_at) == ("draining", "failed>1%", 3.0)


def test_a_second_session_that_aborts_a_drained_run_changes_nothing():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    run.drain(run.start + 1.0)

    posted(run, a, ready(abort="too late"), run.start + 2.0)

    assert (run.state, run.ending.aborted) == ("draining", "too late")


# What is lost.


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


def test_a_run_whose_loss_aborts_it_drains_and_says_so():
    run = Run(PLAN, 2, on_loss="abort")
    a, b = started(run)
    beat(run, [a, b], run.start + 1.0, opened(0, 10))

    run.lose_agent("b", "was killed by SIGKILL")
    run.tick(run.start + 1.2)

    assert (run.state, run.ending.by_loss) == ("draining", True)
    assert "something was lost, and --on-loss is abort: the run ends" in warnings(run)


def test_a_broken_connection_of_an_agent_that_is_unknown_changes_nothing():
    run = Run(PLAN, 1)

    run.connection_broke("nowhere", 1.0)

    assert warnings(run) == []


def test_an_agent_that_is_lost_need_not_keep_its_seconds():
    run = Run(PLAN, 2)
    a, b = started(run)
    beat(run, [a, b], run.start + 1.0, opened(0, 10))
    run.lose_agent("b", "was killed")

    orders = posted(run, b, seconds(opened(1, 5), opened(2, 5)), run.start + 3.0)
    assert (orders.do, orders.acknowledged) == ("stop", 2)


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


# What the journal does not have yet.


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


# Gates and clocks.


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


# Publications.


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


# Steering.


def test_a_run_that_does_not_run_is_not_steered():
    run = Run(PLAN, 1)
    run.steer(Wish(rate=5.0), 0.0)
    assert run.steering.asked() == []
    started(run, ["a"])
    run.drain(run.start + 1.0)
    run.steer(Wish(rate=5.0), run.start + 1.0)
    assert run.steering.asked() == []


def test_a_run_that_is_repeated_has_the_same_changes():
    run, again = Run(PLAN, 1), Run(PLAN, 1)
    for one in (run, again):
        started(one, ["a"])
    steer(run, 1.0, rate=50.0)
    again.steer(msgspec.convert({"rate": 50.0}, Wish), again.start + 1.0)

    assert again.steering.asked() == run.steering.asked()
    assert again.progress.drain_after == run.progress.drain_after


# Setup and teardown.


def test_teardown_is_called_once_after_the_last_second_and_changes_nothing_measured():
    run, ids = prepared()
    beat(run, ids, run.start + 1.0, opened(0, 5))
    run.drain(run.start + 2.0)
    orders, _ = beat(run, ids, run.start + 3.0, drained(1, 5), finished=True)
    assert [(one.do, one.errand, one.stay) for one in orders] == [("wait", None, True)] * 2
    ended = run.end
    assert (run.state, run.ending.by_hand) == ("draining", True)

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

    assert (run.state, run.ending.failure) == ("done", None)
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

    assert (run.state, run.ending.by_hand) == ("done", False)
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
    assert isinstance(run.ending.failure, FleetError)


def test_a_setup_that_fails_ends_the_run_before_any_load():
    run, (first, second) = gathered()

    posted(run, first, ready(errand=ErrandResult(1, problem="prepare.py:2: KeyError: 'x'")), 1.0)
    run.tick(1.0)

    assert run.state == "done"
    assert isinstance(run.ending.failure, PlanError)
    assert str(run.ending.failure) == (
        "setup failed on agent a: prepare.py:2: KeyError: 'x'; nothing was loaded"
    )
    assert posted(run, second, ready(), 1.5).do == "stop"


# What is known.


def test_a_run_that_is_done_has_nothing_to_do_and_no_phase():
    run = Run(PLAN, 1)
    run.drain(0.0)

    assert run.tick(1.0) == []
    assert run.phase(1.0) == ""
    assert (run.state, run.started, run.fleet()) == ("done", False, [])


def test_the_fleet_is_all_agents_before_the_start_and_those_with_a_share_after_it():
    run = Run(PLAN, 1)
    run.join(hello("early"), 0.0)
    assert [agent.name for agent in run.fleet()] == ["early"]

    started(run, ["a"])

    assert [agent.name for agent in run.fleet()] == ["a"]
    early, _ = run.agents.by_id.values()
    assert run.reports.total_of(early).launched == 0
    assert (run.age(run.start - 1.0), run.phase(run.start + 1.0)) == (0.0, "arrivals")
    assert [phase.name for phase in run.phase_progress()] == ["arrivals"]


def test_a_run_says_what_it_does_not_split():
    sessions = tuple(Loop(name=f"s{number}") for number in range(65))
    run = Run(replace(PLAN, sessions=sessions), 1)
    started(run, ["a"])

    assert run.slices.parts == ()
    assert any("results are not split: 65 sessions" in text for text in warnings(run))


def test_a_report_of_the_truth_has_no_breach():
    run = Run(Plan(max=10, rate=10.0, hold=0.0), 1)
    (agent,) = started(run, ["a"])
    posted(run, agent, seconds(opened(0, 10), drained(1, 10), finished=True), run.start + 2.0)
    run.tick(run.start + 2.5)

    assert run.breaches() == []
    assert (run.total.opened, run.total.closed) == (10, {"drained": 10})


def test_an_agent_that_is_gone_has_nothing_to_do_and_nothing_to_forget():
    assert Run(PLAN, 1).orders("run-0", 0.0) == Orders(-1)


def test_an_agent_that_has_not_checked_the_target_does_not_count():
    run = Run(PLAN, 1)
    run.join(hello(), 0.0)

    run.tick(0.0)

    assert run.state == "gathering"
