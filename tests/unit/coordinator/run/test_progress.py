"""The phases of a run: gates that wait for its sessions, meetings, and pauses."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.run.progress import (
    GATE_IN,
    START_IN,
    Pauses,
    PhaseProgress,
    Progress,
    mean_rate,
    phase_at,
    phase_progress_of,
    rate_at,
)
from coordinator.run.run import Run
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from tests.unit.coordinator.fleet import (
    PLAN,
    alive,
    beat,
    opened,
    posted,
    ready,
    seconds,
    started,
    steer,
)

# Gates.


GATED = Plan(phases=(Phase(rate=10, max=20, wait=True), Phase(rate=10, max=20)), hold=5.0)


def waits(run, agents, now, gate=1):
    """Ticks until then, and posts from each agent that it waits at a gate."""
    for second in range(int(now)):
        run.tick(float(second))
    for agent in agents:
        posted(run, agent, ready(gate=gate), now)
    run.tick(now)


def test_a_gate_opens_once_every_agent_waits_at_it():
    run = Run(GATED, 2)
    a, b = started(run)
    waits(run, [a], run.start + 7.0)
    assert posted(run, a, ready(gate=1), run.start + 7.0).gates == ()
    assert run.progress.drain_after == inf

    waits(run, [b], run.start + 8.0)

    assert posted(run, a, ready(gate=1), run.start + 8.1).gates == pytest.approx((8.0 + GATE_IN,))
    assert run.progress.drain_after == pytest.approx(8.0 + GATE_IN + 2.0 + 5.0)


def test_the_phase_that_runs_is_known_by_name():
    run = Run(
        Plan(
            phases=(Phase(name="in", rate=10, max=20, wait=True), Phase(rate=10, max=20)), hold=5.0
        ),
        1,
    )
    assert run.phase(0.0) == ""
    agents = started(run, ["a"])
    assert run.phase(run.start) == "in"
    assert run.phase(run.start + 4.0) == "waiting for sessions to end"

    waits(run, agents, run.start + 8.0)

    (opening,) = run.progress.gates
    assert run.phase(run.start + opening) == "phase 2"
    assert run.phase(run.start + opening + 3.0) == "hold"
    run.drain(run.start + opening + 4.0)
    assert run.phase(run.start + opening + 4.0) == ""


def test_a_gate_opens_once_and_for_all():
    run = Run(GATED, 1)
    agents = started(run, ["a"])
    waits(run, agents, run.start + 8.0)
    opened = run.progress.gates

    waits(run, agents, run.start + 9.0)

    assert run.progress.gates == opened


def test_a_phase_that_waits_lasts_its_time_though_its_sessions_are_over():
    run = Run(Plan(phases=(Phase(rate=10, duration=30.0, wait=True), Phase(rate=10, max=20))), 1)
    agents = started(run, ["a"])

    waits(run, agents, run.start + 8.0)

    assert run.progress.gates == (30.0,)


def test_a_gate_does_not_wait_for_a_lost_agent():
    run = Run(GATED, 2, on_loss="continue")
    a, _ = started(run)
    waits(run, [a], run.start + 8.0)

    run.lose_agent("b", "was killed by SIGKILL")
    run.tick(run.start + 8.0)

    assert len(run.progress.gates) == 1


def test_a_gate_waits_for_what_is_reassigned():
    run = Run(GATED, 2)
    a, _ = started(run)
    waits(run, [a], run.start + 8.0)
    run.lose_agent("b", "was killed by SIGKILL")
    waits(run, [a], run.start + 8.0)
    assert run.progress.gates == ()

    posted(run, a, ready(gate=1, reassigned=1), run.start + 11.0)
    run.tick(run.start + 11.0)

    assert len(run.progress.gates) == 1


def test_a_meeting_is_over_once_as_many_users_of_the_fleet_came_as_it_waits_for():
    run = Run(PLAN, 2)
    ids = started(run)
    now = run.start + 1.5

    def came(agent, count):
        return posted(
            run, agent, ready(seconds=(Second(0, Tally(counters={"meet_7": count}), Held()),)), now
        ).met

    assert came(ids[0], 4) == ()
    assert came(ids[1], 3) == (7,)


# Pauses.


def test_a_pause_is_in_every_reply_and_puts_off_what_is_still_to_come():
    run = Run(PLAN, 2)  # arrivals for 10 s, held for 5
    agents = started(run)
    run.pause(run.start + 2.0)

    orders, _ = beat(run, agents, run.start + 2.5)
    assert [(order.do, order.delay) for order in orders] == [("pause", 0.0)] * 2
    assert run.progress.rate_asked(3.0) == 0.0

    alive(run, agents, run.start + 3.0, run.start + 30.0)
    assert run.state == "running", "what would have been its end is put off"
    run.resume(run.start + 30.0)

    orders, _ = beat(run, agents, run.start + 30.1)
    delay = 28.0 + START_IN
    assert [(order.do, order.delay) for order in orders] == [("run", delay)] * 2
    assert run.progress.rate_asked(32.0) == PLAN.rate
    assert run.progress.drain_after == pytest.approx(PLAN.drain_at() + delay)


def test_a_paused_run_can_be_drained():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    run.pause(run.start + 2.0)
    run.drain(run.start + 4.0)

    assert posted(run, agent, seconds(), run.start + 4.1).do == "drain"
    assert run.progress.pauses.spans() == [(2.0, 4.0)]
    run.resume(run.start + 5.0)
    assert run.state == "draining"


def test_only_a_run_that_runs_can_be_paused():
    run = Run(PLAN, 1)
    run.pause(0.0)

    assert not run.paused


def test_pauses_put_off_phases_gates_and_the_drain():
    """Two phases of 2 seconds, a gate between them, and a hold of 5."""
    progress = Progress(GATED)
    progress.pause(1.0)
    progress.resume(4.0)
    assert (progress.rate_asked(2.0), progress.rate_asked(4.5)) == (0.0, 10.0)
    assert (progress.phase(4.9), progress.phase(5.1)) == ("phase 1", "waiting for sessions to end")

    progress.open_gate(4.5)  # all wait there, but the first phase is not over before 5.0
    assert (progress.gates, progress.drain_after) == ((5.0,), 12.0)

    progress.pause(6.0)
    progress.resume(8.0)
    assert progress.drain_after == 14.0
    assert [(phase.begin, phase.end) for phase in progress.phases({})] == [(0.0, 5.0), (5.0, 9.0)]


PHASED = Plan(
    phases=(
        Phase(name="ramp", rate=0, rate_to=10, duration=10.0),
        Phase(duration=5.0, wait=True),
        Phase(name="again", rate=4, max=8),
    )
)
ARRIVALS = PHASED.schedule.arrivals


def test_a_phase_after_a_closed_gate_has_no_times_yet():
    assert phase_progress_of(PHASED, ARRIVALS, (), {}) == [
        PhaseProgress("ramp", 0.0, 10.0, 50),
        PhaseProgress("phase 2", 10.0, None, 0),
        PhaseProgress("again", None, None, 8),
    ]


def test_a_phase_that_waits_lasts_until_the_gate_opens():
    assert phase_progress_of(PHASED, ARRIVALS, (100.0,), {}) == [
        PhaseProgress("ramp", 0.0, 10.0, 50),
        PhaseProgress("phase 2", 10.0, 100.0, 0),
        PhaseProgress("again", 100.0, 102.0, 8),
    ]


def test_the_launches_of_a_second_belong_to_its_phase():
    launched = {0: 1, 9: 2, 10: 4, 99: 8, 100: 16, 101: 32, 102: 64}

    assert [
        phase.launched for phase in phase_progress_of(PHASED, ARRIVALS, (100.0,), launched)
    ] == [
        3,
        12,
        112,
    ]


def test_phases_share_a_second_in_proportion_to_what_is_due_in_each():
    """100 are due in the last half second of the first phase.

    300 are due in the first half second of the second phase.
    """
    plan = Plan(
        phases=(Phase(rate=200, duration=1.5), Phase(rate=600, duration=1.0), Phase(duration=9.0))
    )
    arrivals = plan.schedule.arrivals

    assert [
        phase.launched for phase in phase_progress_of(plan, arrivals, (), {0: 200, 1: 400, 2: 300})
    ] == [300, 600, 0]
    assert [phase.launched for phase in phase_progress_of(plan, arrivals, (), {1: 41})] == [
        10,
        31,
        0,
    ]
    assert [phase.launched for phase in phase_progress_of(plan, arrivals, (), {7: 5, 99: 1})] == [
        0,
        0,
        6,
    ]


def test_a_plan_without_phases_has_one():
    plan = Plan(rate=10, max=20)

    assert phase_progress_of(plan, plan.schedule.arrivals, (), {0: 10, 1: 10}) == [
        PhaseProgress("arrivals", 0.0, 1.9, 20, 20)
    ]
    assert [phase_at(plan, plan.schedule.arrivals, (), age) for age in (-1.0, 0.0, 1.8, 1.9)] == [
        "arrivals"
    ] * 3 + ["hold"]


@pytest.mark.parametrize(
    ("age", "name", "rate"),
    [
        (-0.5, "ramp", 0.0),
        (0.0, "ramp", 0.0),
        (5.0, "ramp", 5.0),
        (10.0, "phase 2", 0.0),
        (15.0, "waiting for sessions to end", 0.0),
        (99.0, "waiting for sessions to end", 0.0),
        (100.0, "again", 4.0),
        (101.9, "again", 4.0),
        (102.0, "hold", 0.0),
    ],
)
def test_the_phase_and_its_rate_follow_from_the_age(age, name, rate):
    assert phase_at(PHASED, ARRIVALS, (100.0,), age) == name
    assert rate_at(ARRIVALS, (100.0,), age) == pytest.approx(rate)


def test_the_mean_rate_is_that_of_the_time_with_arrivals():
    assert mean_rate(ARRIVALS) == pytest.approx(58 / 12)
    assert mean_rate(Plan(rate=7.0).schedule.arrivals) == 7.0


def test_arrivals_are_asked_from_the_first_phase_with_any_to_the_end_of_the_last():
    progress = Progress(Plan(max=100, rate=200.0))
    assert [progress.arrival_seconds(age) for age in (0.2, 0.5, 3.0)] == pytest.approx(
        [0.2, 0.5, 0.5]
    )
    assert progress.last_arrival == pytest.approx(0.5)

    late = Progress(Plan(phases=(Phase(duration=3.0), Phase(rate=5, duration=2.0))))
    assert [late.arrival_seconds(age) for age in (1.0, 4.0, 9.0)] == [0.0, 1.0, 2.0]
    assert late.last_arrival == 5.0


def test_the_waits_at_gates_and_the_pauses_are_no_time_of_arrivals():
    progress = Progress(GATED)  # twice 2 s
    progress.pause(1.0)
    progress.resume(4.0)
    assert progress.last_arrival == inf
    assert [progress.arrival_seconds(age) for age in (2.0, 4.5, 9.0)] == [1.0, 1.5, 2.0]

    progress.open_gate(8.0)
    assert progress.last_arrival == 10.0
    assert [progress.arrival_seconds(age) for age in (8.0, 9.0, 20.0)] == [2.0, 3.0, 4.0]
    assert len(progress.arrivals) == 2


def test_the_mean_rate_of_rare_arrivals_is_not_0():
    """It is the pace at which lost connections are launched again."""
    rare = Plan(phases=(Phase(rate=0.01, max=3),))

    assert mean_rate(rare.schedule.arrivals) == pytest.approx(0.01)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=8), st.floats(0, 100))
def test_real_and_paced_time_are_each_others_inverse(gaps, paced):
    pauses, age = Pauses(), 0.0
    for begin, end in zip(gaps[::2], gaps[1::2], strict=False):
        pauses.begin(age + begin)
        pauses.end(age + begin + end)
        age += begin + end

    assert pauses.paced(pauses.real(paced)) == pytest.approx(paced, abs=1e-6)


def test_an_open_pause_has_no_end_yet():
    pauses = Pauses()
    pauses.begin(3.0)
    pauses.begin(4.0)

    assert pauses.open
    assert (pauses.paced(2.0), pauses.paced(9.0), pauses.real(3.5), pauses.total) == (
        2.0,
        3.0,
        inf,
        0.0,
    )
    assert pauses.spans() == [(3.0, None)]
    pauses.end(5.0)
    assert (pauses.paced(9.0), pauses.real(3.5), pauses.total) == (7.0, 5.5, 2.0)
    assert pauses.spans() == [(3.0, 5.0)]


def test_a_pause_right_after_another_begins_where_that_one_ends():
    pauses = Pauses([(1.0, 5.0)])
    pauses.begin(4.0)
    pauses.end(6.0)

    assert pauses.total == 5.0


def test_pauses_are_truthy_once_there_is_one():
    assert not Pauses()
    assert Pauses([(1.0, None)])


def test_launches_are_counted_in_the_phase_of_their_paced_second():
    progress = Progress(Plan(phases=(Phase(rate=2, duration=2.0), Phase(rate=4, duration=2.0))))
    progress.pause(1.0)
    progress.resume(5.0)

    first, second = progress.phases({0: 2, 5: 2, 6: 4})

    assert (first.begin, first.end, first.launched) == (0.0, 6.0, 4)
    assert (second.begin, second.launched) == (6.0, 4)
    assert progress.place(0.5) == (1, 2)
    assert progress.place(6.5) == (2, 2)


# Changes of the plan.


THREE = Plan(
    phases=(
        Phase(name="warm", rate=10, duration=10.0),
        Phase(name="peak", rate=100, duration=10.0),
        Phase(rate=10, max=50),
    )
)


def test_a_change_moves_the_end_of_the_hold_and_what_is_asked():
    run = Run(PLAN, 1)
    started(run, ["a"])
    assert run.progress.drain_after == pytest.approx(9.99 + 5.0)
    steer(run, 0.5, rate=50.0)

    assert run.progress.drain_after == pytest.approx(2.0 + 799 / 50 + 5.0)
    assert [run.progress.rate_asked(age) for age in (1.0, 2.5)] == [100.0, 50.0]
    assert run.progress.mean_rate == pytest.approx(1000 / 18)
    assert run.phase_progress()[0].planned == 1000
    run.pause(run.start + 3.0)
    run.resume(run.start + 4.0)
    assert run.progress.drain_after == pytest.approx(2.0 + 799 / 50 + 5.0 + 2.5)
    steer(run, 6.0, max=900)
    assert run.progress.drain_after == pytest.approx(2.0 + 699 / 50 + 5.0 + 2.5)


def test_a_phase_that_is_left_out_has_no_times():
    run = Run(THREE, 1)
    started(run, ["a"])
    steer(run, 0.5, phase="phase 3")
    warm, peak, third = run.phase_progress()

    assert (warm.begin, warm.end, warm.planned) == (0.0, 2.0, 20)
    assert (peak.begin, peak.end, peak.planned) == (None, None, 0)
    assert (third.begin, third.end, third.planned) == (2.0, 7.0, 50)
    assert [run.phase(run.start + age) for age in (1.9, 2.1, 7.1)] == ["warm", "phase 3", "hold"]
    assert run.progress.place(3.0) == (3, 3)
    assert run.ledger.planned == 70


def test_a_rate_divides_a_phase_but_not_its_figures():
    run = Run(THREE, 1)
    (a,) = started(run, ["a"])
    steer(run, 3.5, rate=100.0)
    posted(run, a, seconds(opened(4, 10), Second(5, Tally(), Held(0, 10))), run.start + 6.0)
    run.tick(run.start + 9.0)
    warm = run.phase_progress()[0]

    assert (warm.begin, warm.end, warm.planned) == (0.0, 10.0, 550)
    assert run.progress.drain_after < inf


def test_the_mean_rate_of_a_plan_without_arrivals_is_0():
    assert mean_rate(()) == 0.0
