"""The own figures of sessions, second by second."""

import pytest

from coordinator.report.own import (
    MAX_DRAWN,
    STATISTICS,
    Drawn,
    OwnFigures,
    OwnSeconds,
    drawn_of,
    most_frequent,
    share_of,
)
from coordinator.run.parts import RECENT
from coordinator.run.row import Figures, Rates
from loadgen.stats.ledger import Ledger
from loadgen.stats.tally import CheckCounts, Tally
from tests.unit.coordinator.report.summaries import percentiles, summary


def figures(counters=(), checks=(), timings=()):
    """The fleet's figures at the end of a second.

    Checks are pairs of passed and failed.
    """
    return Figures(
        Ledger.of(0, Tally()),
        Rates(),
        {},
        {},
        0.0,
        0,
        counters=dict(counters),
        checks={name: CheckCounts(*both) for name, both in dict(checks).items()},
        timings=dict(timings),
    )


def test_counters_and_checks_are_those_of_the_second_alone():
    seconds = OwnSeconds()

    first = seconds.take(0, figures({"logins": 3}, {"ok": (2, 1)}))
    second = seconds.take(1, figures({"logins": 10, "errors": 1}, {"ok": (2, 1), "new": (0, 4)}))
    third = seconds.take(2, figures({"logins": 10, "errors": 1}, {"ok": (4, 1), "new": (0, 4)}))

    assert (first.counters, first.checks) == ({"logins": 3}, {"ok": (2, 1)})
    assert (second.counters, second.checks) == ({"logins": 7, "errors": 1}, {"new": (0, 4)})
    assert (third.counters, third.checks) == ({"logins": 0, "errors": 0}, {"ok": (2, 0)})


def test_what_names_beyond_the_most_had_before_is_not_counted_again():
    seconds = OwnSeconds()
    seconds.take(0, figures({"a": 3, "z": 50}))

    second = seconds.take(1, figures({"a": 4, "b": 1, "other": 52}))
    third = seconds.take(2, figures({"a": 4, "b": 1, "other": 53}))

    assert second.counters == {"a": 1, "b": 1, "other": 2}
    assert third.counters == {"a": 0, "b": 0, "other": 1}


def test_timings_have_their_number_and_statistics():
    times = percentiles(count=4, p50=1.0, p90=2.0, p95=3.0, p99=4.0, max=5.0)

    own = OwnSeconds().take(0, figures(timings={"tr_login": times}))

    assert own.timings == {"tr_login": [4, 1.0, 2.0, 3.0, 4.0, 5.0]}
    assert len(STATISTICS) == 5


def test_a_corrected_second_and_the_next_ones_are_taken_anew():
    seconds = OwnSeconds()
    for second, logins in enumerate((5, 6, 7)):
        seconds.take(second, figures({"logins": logins}))

    again = [seconds.take(at, figures({"logins": n})) for at, n in ((1, 16), (2, 27))]

    assert [own.counters["logins"] for own in again] == [11, 11]


def test_after_a_second_without_a_row_it_is_unknown_what_was_counted():
    seconds = OwnSeconds()
    seconds.take(0, figures({"logins": 5}, {"ok": (1, 0)}))

    assert seconds.take(2, figures({"logins": 9}, {"ok": (5, 0)})) == OwnFigures()
    assert seconds.take(3, figures({"logins": 10})).counters == {"logins": 1}


def test_old_seconds_are_forgotten():
    seconds = OwnSeconds()
    for second in range(RECENT + 3):
        seconds.take(second, figures({"logins": second}))

    assert seconds.take(1, figures({"logins": 9})).counters == {}, "no second is corrected so late"


def test_the_first_names_are_kept_and_of_one_second_the_most_frequent():
    seconds = OwnSeconds(2)

    first = seconds.take(0, figures({"b": 1}))
    second = seconds.take(1, figures({"a": 3, "b": 1, "c": 9}))
    third = seconds.take(2, figures({"a": 99, "b": 1, "c": 9, "d": 99}))

    assert [list(own.counters) for own in (first, second, third)] == [["b"], ["b", "c"], ["b", "c"]]


def test_the_kinds_do_not_share_their_room():
    own = OwnSeconds(1).take(
        0, figures({"a": 1}, {"b": (0, 1), "c": (1, 1)}, {"d": percentiles(), "e": percentiles()})
    )

    assert (list(own.counters), list(own.checks), list(own.timings)) == (["a"], ["c"], ["d"])


def test_charts_of_runs_that_are_over_have_their_most_frequent_names():
    counters = {f"counter {at:02}": at for at in range(MAX_DRAWN + 2)}
    one = summary(counters=counters, checks={"ok": CheckCounts(1, 2), "even": CheckCounts(2, 0)})
    other = summary(
        counters={"counter 00": 100}, timings={"rare": percentiles(count=1), "often": percentiles()}
    )

    drawn = drawn_of([one, other])

    assert drawn.counters[:2] == ["counter 00", f"counter {MAX_DRAWN + 1}"]
    assert len(drawn.counters) == MAX_DRAWN
    assert (drawn.checks, drawn.timings, drawn.beyond) == (["ok", "even"], ["often", "rare"], 2)
    assert drawn_of([summary()]) == Drawn([], [], [], 0)


def test_the_most_frequent_are_in_the_order_of_their_names_where_equal():
    assert most_frequent({"b": 1, "a": 1, "c": 2}, 2) == ["c", "a"]


@pytest.mark.parametrize(("both", "share"), [((3, 1), 75.0), ((0, 2), 0.0), ((0, 0), 0.0)])
def test_the_share_of_a_check_is_of_what_passed(both, share):
    assert share_of(both) == share
