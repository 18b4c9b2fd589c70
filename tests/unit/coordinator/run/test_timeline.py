"""The rows of settled seconds, also of those that settle twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.run.timeline import Timeline
from loadgen.stats.fanin import FanIn, Second, Settled
from loadgen.stats.tally import Held, Tally
from tests.unit.coordinator.fleet import opened

NAMES = ("a", "b", "c")


def timeline():
    timeline = Timeline(1000)
    for name in NAMES:
        timeline.expect(name, 100)
    return timeline


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


def second(tally, span=1):
    return Second(0, tally, Held(), span=span)


def lag(microseconds):
    tally = Tally()
    tally.loop_lag.record(microseconds)
    return tally


@pytest.mark.parametrize(
    ("settled", "reasons"),
    [
        (second(Tally(), span=3), ["a reported the counts of several seconds as one"]),
        (
            second(Tally(launched=2, opened=2, lost=2)),
            ["2 open connections were lost with their agent or worker"],
        ),
        (
            second(lag(250_000)),
            [
                "the generator's event loop stalled: its lag's p99 was 251 ms"
            ],  # the end of its bucket
        ),
        (
            second(lag(2_000_000)),
            [
                "the generator's event loop stalled: its lag's p99 was 2007 ms",
                "a worker of the generator stood still for 2.0 s",
            ],
        ),
    ],
)
def test_a_second_whose_numbers_prove_nothing_has_the_reasons(settled, reasons):
    seen = timeline()

    row = seen.add(Settled(settled, {"a": settled}, [])).row

    assert row.invalid == reasons
    assert seen.invalid == {0: reasons}


def test_an_agent_whose_share_changes_has_another_plan_from_then_on():
    seen = timeline()
    settled = second(Tally())
    seen.set_share("a", 150)

    row = seen.add(Settled(settled, {"a": settled}, [])).row

    assert row.agents["a"].ledger.planned == 150


def test_a_lost_agent_is_waited_for_no_longer_where_others_are_still_missing():
    seen = timeline()
    partial = Settled(Second(0), {"a": opened(0, 10)}, ["b", "c"])
    seen.add(partial)

    seen.lose("b")
    seen.lose("c")
    seen.lose("c")

    assert 0 in seen.invalid
