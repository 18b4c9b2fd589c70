"""The rows of settled seconds, also of those that settle twice."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coordinator.run.timeline import Timeline
from loadgen.machine.host import HostState
from loadgen.plan.slices import Slices
from loadgen.stats.delays import Delays
from loadgen.stats.fanin import FanIn, Second, Slice
from loadgen.stats.ledger import Held
from loadgen.stats.peak import Peak
from loadgen.stats.tally import Tally
from tests.unit.coordinator.fleet import first_release, opened
from tests.unit.strategies import merged

NAMES = ("a", "b", "c")


def timeline():
    timeline = Timeline(1000)
    for name in NAMES:
        timeline.expect(name, 100)
    return timeline


@example([(name, number) for name in NAMES for number in range(5)])  # each settles twice
@given(st.permutations([(name, number) for name in NAMES for number in range(5)]))
def test_the_last_row_of_every_second_is_the_same_in_any_order_of_reports(order):
    """The seconds of each agent come in order.

    Those of several agents interleave in any way.
    """
    fanin = FanIn(patience=2)
    seen = timeline()
    for name in NAMES:
        fanin.expect(name)
    rows = {}
    fresh = 0
    reported = dict.fromkeys(NAMES, 0)
    for name, _ in order:
        number = reported[name]
        reported[name] += 1
        fanin.add(name, opened(number, 10, held=10 * (number + 1)))
        for settled in sorted(fanin.settle(), key=lambda settled: settled.second.number):
            entry = seen.add(settled)
            rows[entry.row.second] = entry.row
            fresh += entry.fresh.launched

    assert [rows[number].fleet.ledger.open for number in range(5)] == [30, 60, 90, 120, 150]
    assert [rows[number].fleet.rates.opened for number in range(5)] == [30] * 5
    assert [rows[number].agents["b"].ledger.open for number in range(5)] == [10, 20, 30, 40, 50]
    assert fresh == 150
    assert seen.invalid == {}
    assert seen.open == {number: 30 * (number + 1) for number in range(5)}


def test_the_seconds_of_a_lost_agent_are_not_waited_for():
    fanin = FanIn(patience=1)
    seen = timeline()
    for name in NAMES:
        fanin.expect(name)
    for number in range(3):
        for name in ("a", "b"):
            fanin.add(name, opened(number, 10, held=10 * (number + 1)))
    rows = [seen.add(settled).row for settled in fanin.settle()]
    assert [row.missing for row in rows] == [["c"], ["c"]]

    fanin.lose("c")
    seen.lose("c")
    rows = [seen.add(settled).row for settled in fanin.settle()]

    assert [row.invalid for row in rows] == [[]]
    assert rows[0].fleet.ledger.open == 60


def test_a_second_that_machines_bounded_is_saturated_and_stays_valid():
    seen = timeline()
    full = HostState(busy=(100, 99), retransmits=3)
    part = Second(0, delays=Delays(waited=True), host=full)

    row = seen.add(first_release(part, {"a": part}, [])).row

    expected = [
        "launches waited for a place among the handshakes in flight",
        "no core was idle on the host of a",
    ]
    assert (row.invalid, row.saturated) == ([], expected)
    assert (seen.invalid, seen.saturated) == ({}, {0: expected})
    assert row.agents["a"].host == full
    (host,) = seen.hosts.summaries()
    assert (host.agents, host.idlest, host.retransmits) == (["a"], 99, 3)


def test_an_agent_whose_share_changes_has_another_plan_from_then_on():
    seen = timeline()
    settled = Second(0, Tally(), Held())
    seen.set_share("a", 150)

    row = seen.add(first_release(settled, {"a": settled}, [])).row

    assert row.agents["a"].ledger.planned == 150


def test_a_lost_agent_is_waited_for_no_longer_where_others_are_still_missing():
    seen = timeline()
    partial = first_release(Second(0), {"a": opened(0, 10)}, ["b", "c"])
    seen.add(partial)

    seen.lose("b")
    seen.lose("c")
    seen.lose("c")

    assert 0 in seen.invalid


def test_a_second_that_lost_agents_or_workers_did_not_report_says_so():
    seen = timeline()
    part = Second(0, delays=Delays(unreported=(0, 3)))

    row = seen.add(first_release(Second(0), {"a": part}, [], ["b"])).row

    assert row.invalid == [
        "no report from b before the loss",
        "no report from worker 0 of agent a before it was gone",
        "no report from worker 3 of agent a before it was gone",
    ]


def test_a_second_that_is_marked_is_invalid_for_that_reason():
    seen = timeline()
    seen.mark(0, "a clock was set")
    first, other = Second(0), Second(1)

    assert "a clock was set" in seen.add(first_release(first, {"a": first}, [])).row.invalid
    assert "a clock was set" not in seen.add(first_release(other, {"a": other}, [])).row.invalid


# The peak within a second.


def busy(number, count, closed, peak, **fields):
    """A second in which connections opened and closed, with its agent's peak."""
    found = opened(number, count, held=count - closed)
    found.tally.closed = {"done": closed}
    found.held.peak = peak
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def peak_of(*parts, missing=(), lost=()):
    """Returns what a timeline knows of the peak in a second with these parts."""
    whole = Second(0)
    for part in parts:
        whole.merge(part)
    seen = timeline()
    seen.add(first_release(whole, dict(zip(NAMES, parts, strict=False)), missing, lost))
    return seen.peak


def test_a_run_within_one_second_has_the_peak_that_its_agents_had_at_the_same_time():
    assert timeline().peak == (0, 0)
    assert peak_of(busy(0, 10, 10, Peak(10, 0.2, 0.21))) == (10, 10)
    both = busy(0, 10, 10, Peak(10, 0.2, 0.8)), busy(0, 20, 20, Peak(20, 0.4, 0.9))
    assert peak_of(*both) == (30, 30)


def test_peaks_at_other_times_are_a_bound():
    """The highest one is the least, unless it is only a bound itself."""
    one = busy(0, 10, 10, Peak(10, 0.2, 0.4))
    assert peak_of(one, busy(0, 20, 18, Peak(20, 0.5, 0.9))) == (20, 30)
    # Their seconds may begin apart by more than they had theirs together.
    assert peak_of(one, busy(0, 20, 18, Peak(20, 0.38, 0.9))) == (20, 30)
    assert peak_of(one, busy(0, 20, 18, Peak(20, 0.9, 0.5))) == (10, 30)
    assert peak_of(busy(0, 20, 18, Peak(20, 0.9, 0.5))) == (2, 20)


def test_what_only_opens_or_only_closes_has_its_peak_at_an_end_of_the_second():
    """Whatever is known of the time between."""
    assert peak_of(busy(0, 10, 0, Peak(10, 0.9, 1.0)), opened(0, 5)) == (15, 15)

    seen = timeline()
    for number, part in enumerate((busy(0, 10, 0, Peak()), busy(1, 0, 10, Peak(known=False)))):
        seen.add(first_release(part, {"a": part}, []))
        assert seen.peaks[number] == (10, 10)


@pytest.mark.parametrize(
    "peak", [Peak(known=False), Peak(1, 0.1, 0.9), Peak(11, 0.1, 0.9), Peak(10**9)]
)
def test_a_peak_that_is_unknown_or_against_the_ledger_is_bounded_by_what_opened(peak):
    assert peak_of(busy(0, 10, 8, peak)) == (2, 10)


def test_the_peak_of_a_second_without_all_reports_is_unknown():
    whole = busy(0, 10, 8, Peak(10, 0.1, 0.9))

    assert peak_of(whole, missing=["b"]) == (2, None)
    assert peak_of(whole, lost=["b"]) == (2, None)
    assert peak_of(busy(0, 10, 8, Peak(10, 0.1, 0.9), span=2)) == (2, None)
    gone = busy(0, 10, 8, Peak(10, 0.1, 0.9), delays=Delays(unreported=(1,)))
    assert peak_of(gone) == (2, None)


SLICES = Slices(("chatter", "watcher"), ("ws://a/", "ws://b/"))


def split(number, *slices, held=None):
    """Returns a second of slices, whose tally is their sum."""
    whole = merged(one.tally for one in slices)
    whole.launched -= sum(one.moved for one in slices)
    return Second(number, whole, held or Held(), slices=dict(enumerate(slices)))


def test_a_row_has_the_figures_of_each_session_and_each_target():
    fanin, seen = FanIn(), Timeline(100, SLICES)
    for name in ("a", "b"):
        fanin.expect(name)
        seen.expect(name, 50)
    fast = Slice(Tally(launched=4, opened=3, failed={"refused": 1}), alive=2)
    fast.tally.ping_rtt.record(2000)
    moved = Slice(Tally(launched=2, opened=1, closed={"done": 1}), alive=0, moved=1)
    other = Slice(Tally(launched=2, opened=2, lost=1), alive=1)
    for name in ("a", "b"):
        fanin.add(name, split(0, fast, moved, Slice(), other, held=Held(0, 5, alive=3)))

    (entry,) = map(seen.add, fanin.settle())

    assert list(entry.row.parts) == [*SLICES.parts]
    chatter, watcher, first, second = entry.row.parts.values()
    assert chatter.counts == {"launched": 10, "opened": 8}
    assert (chatter.open, chatter.alive, chatter.before) == (6, 4, 0)
    assert (chatter.failed, chatter.closed) == ({"refused": 2}, {"done": 2})
    assert chatter.histograms["ping_rtt"].count == 2
    assert (watcher.counts, watcher.open) == ({"launched": 4, "opened": 4, "lost": 2}, 2)
    assert (first.open, second.open) == (6, 2)
    assert first.counts == {"launched": 8, "opened": 6}
    assert second.counts == {"launched": 6, "opened": 6, "lost": 2}
    assert sum(one.counts["launched"] for one in (chatter, watcher)) == entry.fresh.launched
    assert sum(one.counts["launched"] for one in (first, second)) == entry.fresh.launched
    assert entry.parts["session.watcher"].launched == 4


def test_the_open_connections_of_a_session_are_corrected_as_those_of_the_run():
    fanin, seen = FanIn(patience=1), Timeline(100, Slices(("chatter", "watcher"), ()))
    for name in ("a", "b"):
        fanin.expect(name)
        seen.expect(name, 50)
    rows, fresh = {}, 0

    def settle():
        nonlocal fresh
        for settled in sorted(fanin.settle(), key=lambda settled: settled.second.number):
            entry = seen.add(settled)
            rows[entry.row.second] = entry.row.parts["session.watcher"]
            fresh += entry.parts["session.watcher"].opened

    for number in range(4):
        fanin.add("a", split(number, Slice(), Slice(Tally(launched=5, opened=5))))
        settle()
    assert [rows[number].open for number in range(3)] == [5, 10, 15]
    assert [rows[number].alive for number in range(3)] == [None] * 3

    for number in range(4):
        fanin.add("b", split(number, Slice(), Slice(Tally(launched=1, opened=1))))
        settle()

    assert [rows[number].open for number in range(4)] == [6, 12, 18, 24]
    assert [rows[number].counts["opened"] for number in range(4)] == [6] * 4
    assert [rows[number].before for number in range(4)] == [0, 6, 12, 18]
    assert fresh == 24


def test_a_run_that_is_not_split_has_no_parts():
    seen = timeline()
    entry = seen.add(first_release(opened(0, 1), {"a": opened(0, 1)}, []))

    assert (entry.row.parts, entry.parts) == ({}, {})


@pytest.mark.parametrize(("takes_turns", "counts"), [(True, [50, 50, 50]), (False, [100] * 3)])
def test_the_agents_of_a_large_fleet_take_turns_in_the_rows(takes_turns, counts):
    seen = Timeline(1000)
    seen.takes_turns = takes_turns
    names = [f"agent-{number}" for number in range(100)]
    for name in names:
        seen.expect(name, 10)

    rows = []
    for number in range(3):
        whole, parts = Second(number), {name: opened(number, 1) for name in names}
        for part in parts.values():
            whole.merge(part)
        rows.append(seen.add(first_release(whole, parts, [])).row)

    assert [len(row.agents) for row in rows] == counts
    assert {*rows[0].agents, *rows[1].agents} == {*names}
    assert [row.reported for row in rows] == [100] * 3
    assert [row.fleet.rates.opened for row in rows] == [100] * 3
    assert seen.latest["agent-0"].counts["opened"] in (3, 2)
