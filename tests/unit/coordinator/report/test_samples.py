"""Samples: a settled second as charts show it."""

from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

from coordinator.report.own import STATISTICS
from coordinator.report.samples import (
    AGENT_SERIES,
    Sampler,
    arrivals_asked,
    bars,
    samples_of,
    values_of,
)
from coordinator.run.progress import Pauses, PhaseProgress
from coordinator.run.run import Run
from loadgen.machine.host import HostState
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import Loop
from loadgen.plan.steer import PlanChange
from loadgen.stats.fanin import Second, Slice
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from tests.unit.coordinator.fleet import opened, posted, seconds, started
from tests.unit.strategies import histogram_of, histograms


def samples(plan, *items):
    """Yields the samples of a run of one agent, a second after the other."""
    run = Run(plan, 1)
    sampler = Sampler(plan)
    (agent,) = started(run, ["a"])
    for item in items:
        now = run.start + item.number + 1.0
        posted(run, agent, seconds(item), now)
        yield from (sampler.take(entry.row) for entry in run.tick(now))


def test_a_sample_has_the_figures_of_the_fleet_and_of_each_agent():
    (sample,) = samples(Plan(max=1000, rate=10.0, think=1.0), opened(0, 10))

    assert (
        sample.fleet["open"]
        == sample.fleet["opened"]
        == sample.fleet["launched"]
        == sample.fleet["asked"]
        == 10
    )
    assert sample.latencies["handshake"] == pytest.approx([3.0] * len(STATISTICS), rel=0.01)
    agent = dict(zip(AGENT_SERIES, sample.agents["a"], strict=True))
    assert (agent["open"], agent["rss"], agent["lag"]) == (10, 1 << 20, None)
    assert agent["ping_rtt"] == pytest.approx(4.0, rel=0.01)


def test_a_sample_has_the_host_of_each_agent_and_how_machines_bounded_it():
    second = opened(0, 10)
    second.host = HostState(busy=(98, 100), steal=(0, 3), retransmits=5)
    full, unknown = samples(Plan(max=1000, rate=10.0, think=1.0), second, opened(1, 0, held=10))

    figures = dict(zip(AGENT_SERIES, full.agents["a"], strict=True))
    assert (figures["host_busy"], figures["host_steal"], figures["host_retransmits"]) == (99, 2, 5)
    assert full.saturated == ["no core was idle on the host of a"]
    assert dict(zip(AGENT_SERIES, unknown.agents["a"], strict=True))["host_busy"] is None
    assert unknown.saturated == []


def test_the_connections_that_are_alive_are_those_of_the_row():
    items = [opened(at, 10, held=10 * (at + 1), alive=9 * (at + 1)) for at in range(3)]

    found = [sample.fleet["alive"] for sample in samples(Plan(max=1000, rate=10.0), *items)]

    assert found == [9, 18, 27]


def test_life_that_is_not_verified_is_unknown():
    (sample,) = samples(Plan(max=1000, rate=10.0, ping="none"), opened(0, 10))

    assert sample.fleet["alive"] is None


def test_a_sample_has_what_sessions_counted_checked_and_timed_in_its_second():
    first, second = opened(0, 10), opened(1, 0, held=10)
    for tally in (first.tally, second.tally):
        tally.count("logins", 3)
        tally.check("ok", passed=True)
        tally.time("tr_login", 20_000)

    _, sample = samples(Plan(max=1000, rate=10.0), first, second)

    assert (sample.own.counters, sample.own.checks) == ({"logins": 3}, {"ok": (1, 0)})
    assert sample.own.timings["tr_login"] == pytest.approx([1, 20, 20, 20, 20, 20], rel=0.01)


def test_the_arrivals_of_all_seconds_are_those_of_the_plan():
    plan = Plan(max=1001, rate=300.0)

    found = [arrivals_asked(plan.schedule.arrivals, (), Pauses(), second) for second in range(6)]

    assert found == [300, 300, 300, pytest.approx(101), 0, 0]


def test_arrivals_follow_the_phases_and_wait_at_gates():
    phases = (
        Phase(rate=10.0, duration=2.0, wait=True),
        Phase(rate=100.0, rate_to=200.0, duration=2.0),
    )
    plan = Plan(phases=phases)
    arrivals = plan.schedule.arrivals

    before = [arrivals_asked(arrivals, (), Pauses(), second) for second in range(4)]
    after = [arrivals_asked(arrivals, (5.0,), Pauses(), second) for second in range(4, 8)]

    assert before == [10, 10, 0, 0]
    assert after == [0, 125, 175, 0]


def test_no_arrivals_are_asked_for_in_a_pause_and_all_of_them_after_it():
    plan = Plan(max=300, rate=100.0)
    pauses = Pauses([(1.5, 4.5)])

    found = [arrivals_asked(plan.schedule.arrivals, (), pauses, second) for second in range(7)]

    assert found == [100, 50, 0, 0, 50, 100, 0]


def test_the_ends_of_a_second_have_their_reason_and_whose_fault_it_was():
    tally = Tally(
        launched=9,
        opened=5,
        lost=1,
        failed={"reset": 3, "no_fd": 1},
        closed={"reset": 2, "drained": 1},
    )

    (sample,) = samples(Plan(max=1000), Second(0, tally, Held(0, 1)))

    assert sample.ends == {
        "server: failed reset": 3,
        "generator: failed no_fd": 1,
        "server: closed reset": 2,
        "nobody: closed drained": 1,
        "generator: lost": 1,
    }


def test_an_older_run_directory_has_no_reasons():
    run = Run(Plan(max=1000), 1)
    (agent,) = started(run, ["a"])
    posted(
        run,
        agent,
        seconds(Second(0, Tally(launched=3, failed={"reset": 3}), Held())),
        run.start + 1.0,
    )
    (entry,) = run.tick(run.start + 1.0)
    entry.row.fleet.failed = {}

    assert Sampler(run.plan).take(entry.row).ends == {"unknown: failed": 3}


def test_bars_go_from_the_first_filled_bar_to_the_last():
    heights = bars(values_of(histogram_of([12, 1400, 1600, 1600, 10**9])))

    assert (heights[0], heights[-1]) == ((0.015, 1), (70_000.0, 1))
    assert dict(heights)[2.0] == 2
    assert bars([]) == []


@given(histograms)
def test_every_value_is_in_one_bar(histogram):
    assert sum(number for _, number in bars(values_of(histogram))) == histogram.total


def test_ends_are_named_by_their_fault_and_kind():
    ends = Tally(launched=3, opened=2, failed={"refused": 1}, closed={"done": 1}, lost=1)

    (sample,) = samples(Plan(max=1000, rate=10.0), Second(0, ends, Held()))

    assert sample.ends == {
        "server: failed refused": 1,
        "nobody: closed done": 1,
        "generator: lost": 1,
    }


def test_the_rows_of_an_older_run_have_ends_without_reasons():
    (entry,) = list(rows_of(Second(0, Tally(launched=2, failed={"refused": 2}), Held())))
    row = msgspec.structs.replace(entry, fleet=msgspec.structs.replace(entry.fleet, failed={}))

    assert Sampler(Plan()).take(row).ends == {"unknown: failed": 2}


def rows_of(*items):
    """The rows of a run of one agent."""
    run = Run(Plan(max=1000, rate=10.0), 1)
    (agent,) = started(run, ["a"])
    for item in items:
        now = run.start + item.number + 1.0
        posted(run, agent, seconds(item), now)
        yield from (entry.row for entry in run.tick(now))


def test_a_record_has_the_sample_of_each_row_by_the_gates_that_opened():
    plan = Plan(
        phases=(Phase(rate=10, duration=2.0, wait=True), Phase(name="late", rate=5, duration=2.0))
    )
    rows = list(rows_of(opened(0, 10), opened(1, 10)))
    phases = [PhaseProgress("phase 1", 0.0, 7.0, 20), PhaseProgress("late", 7.0, None, 10)]
    record = SimpleNamespace(
        plan=plan,
        summary=SimpleNamespace(phases=phases, pauses=[(9.0, 10.0)], changes=[]),
        seconds=rows,
    )

    found = samples_of(record)

    assert [sample.second for sample in found] == [0, 1]
    assert [sample.fleet["asked"] for sample in found] == [10.0, 10.0]


def test_a_paused_second_of_phases_asks_for_no_arrivals():
    plan = Plan(phases=(Phase(rate=10, duration=5.0),))

    asked = arrivals_asked(plan.schedule.arrivals, (), Pauses([(1.0, 3.0)]), 1)

    assert asked == 0.0


def test_a_sample_has_what_each_session_did():
    plan = Plan(max=1000, rate=10.0, sessions=(Loop(name="chatter"), Loop(name="watcher")))
    second = opened(0, 10, held=10, alive=9)
    chatter, watcher = opened(0, 4).tally, opened(0, 6).tally
    watcher.failed = {"refused": 2}
    second.tally.failed = {"refused": 2}
    second.slices = {0: Slice(chatter, alive=3), 1: Slice(watcher, alive=6)}

    (sample,) = samples(plan, second)

    assert list(sample.parts) == ["session.chatter", "session.watcher"]
    one = sample.parts["session.watcher"]
    assert (one["open"], one["alive"], one["opened"], one["failed"], one["closed"]) == (
        6, 6, 6, 2, 0,
    )  # fmt: skip
    assert one["handshake_p99_ms"] == pytest.approx(3.0, rel=0.01)
    assert "pongs_missing" not in one, "nothing of it happened"


def test_a_change_of_the_plan_changes_what_is_asked_from_its_time_on():
    plan = Plan(max=1000, rate=10.0, think=1.0)
    (row,) = rows_of(opened(0, 10))
    sampler = Sampler(plan)
    changes = [PlanChange(2.5, 25, rate=100.0), PlanChange(4.0, 175, max=200)]

    before = sampler.take(row).fleet["asked"]
    asked = [
        sampler.take(replace(row, second=second), changes=changes).fleet["asked"]
        for second in range(6)
    ]

    assert before == 10.0
    assert asked == pytest.approx([10.0, 10.0, 55.0, 100.0, 25.0, 0.0])
