"""The rows of settled seconds, also of those that settle twice."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.run.timeline import Timeline
from loadgen.stats.fanin import FanIn
from tests.unit.coordinator.fleet import opened

NAMES = ("a", "b", "c")


def timeline():
    timeline = Timeline(1000)
    for name in NAMES:
        timeline.expect(name, 100)
    return timeline


@given(st.permutations([(name, number) for name in NAMES for number in range(5)]))
def test_the_last_row_of_every_second_is_the_same_in_any_order_of_reports(order):
    """The seconds of each agent come in order; those of several interleave in any way."""
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
