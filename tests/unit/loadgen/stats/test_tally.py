"""Tallies and their merges."""

from copy import deepcopy

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.stats.tally import (
    COUNTS,
    HISTOGRAMS,
    MAX_BY,
    MAX_NAMES,
    CheckCounts,
    Tally,
    name_of,
    worker_wide,
)
from tests.unit.strategies import histogram_of, merged, tallies


@given(tallies, tallies, tallies)
def test_order_and_grouping_of_merges_do_not_matter(a, b, c):
    assert merged([a, b]) == merged([b, a])
    assert merged([merged([a, b]), c]) == merged([a, merged([b, c])])


@given(tallies)
def test_merging_nothing_changes_nothing(tally):
    assert merged([tally, Tally()]) == tally


@given(tallies)
def test_merging_leaves_the_other_as_it_was(tally):
    before = deepcopy(tally)
    whole = merged([tally])
    whole.merge(tally)

    assert tally == before


def test_merging_adds_every_field():
    """A new field of a tally must be merged too."""
    one = Tally(
        **dict.fromkeys(COUNTS, 1),
        failed={"refused": 1},
        closed={"done": 1},
        compression={"none": 1},
        **{name: histogram_of([100]) for name in HISTOGRAMS},
        http_replies={"200": 1},
        http_failed={"timeout": 1},
        counters={"logins": 1},
        timings={"tr_login": histogram_of([100])},
        checks={"token": CheckCounts(passed=1, failed=2)},
    )
    two = Tally(
        **dict.fromkeys(COUNTS, 2),
        failed={"refused": 2},
        closed={"done": 2},
        compression={"none": 2},
        **{name: histogram_of([100, 100]) for name in HISTOGRAMS},
        http_replies={"200": 2},
        http_failed={"timeout": 2},
        counters={"logins": 2},
        timings={"tr_login": histogram_of([100, 100])},
        checks={"token": CheckCounts(passed=2, failed=4)},
    )

    assert {
        field: getattr(one, field) for field in Tally.__struct_fields__ if not getattr(one, field)
    } == {}
    assert merged([one, one]) == two


def test_counts_and_histograms_have_their_names():
    tally = Tally(launched=3, pongs=2, lag=histogram_of([5]))

    assert tally.counts() == {**dict.fromkeys(COUNTS, 0), "launched": 3, "pongs": 2}
    assert list(tally.histograms()) == list(HISTOGRAMS)
    assert tally.histograms()["lag"] is tally.lag


def test_sessions_count_and_time_by_name():
    tally = Tally()
    tally.count("logins")
    tally.count("logins", 2)
    tally.time("tr_login", 100)
    tally.time("tr_login", 300)

    assert tally == Tally(counters={"logins": 3}, timings={"tr_login": histogram_of([100, 300])})


def test_a_check_is_counted_by_its_result():
    tally = Tally()
    for passed in (True, False, True, True):
        tally.check("token", passed=passed)

    assert tally.checks == {"token": CheckCounts(passed=3, failed=1)}
    assert (tally.checks_passed, tally.checks_failed, tally.checks_made) == (3, 1, 4)
    assert tally.checks["token"].share == 75.0
    assert CheckCounts().share == 0.0


def test_a_check_beyond_the_limit_keeps_its_failures_beside_what_passed():
    tally = Tally()
    for number in range(MAX_NAMES):
        tally.check(f"n{number}", passed=True)
    tally.check("late", passed=True)
    tally.check("late", passed=False)
    whole = merged([Tally(checks={"zz": CheckCounts(passed=2, failed=3)}), tally])

    assert tally.checks["other"] == CheckCounts(passed=1, failed=1)
    assert whole.checks["other"] == CheckCounts(passed=3, failed=4)
    assert len(whole.checks) == MAX_NAMES + 1


@pytest.mark.parametrize(
    ("given", "counted"),
    [
        ("a b", "a b"),
        ("é", "é"),
        ("a\nb\0", "a_b_"),
        ("\ud800", "_"),
        ("x" * 99, "x" * 80),
        ("", "other"),
        (7, "7"),
    ],
)
def test_a_name_is_made_printable_and_short(given, counted):
    tally = Tally()
    tally.count(given)
    tally.count(given)
    tally.time(given, 1)

    assert tally.counters == {counted: 2}
    assert list(tally.timings) == [counted]
    assert msgspec.json.decode(msgspec.json.encode(tally), type=Tally) == tally


@pytest.mark.parametrize(
    ("by", "error"), [(0.5, TypeError), (-1, ValueError), (MAX_BY + 1, ValueError)]
)
def test_a_counter_takes_only_whole_numbers_that_the_wire_carries(by, error):
    tally = Tally()
    with pytest.raises(error):
        tally.count("logins", by)

    assert tally == Tally()


def test_names_beyond_the_limit_are_counted_together():
    tally = Tally()
    for number in range(1000):
        tally.count(f"n{number}")
        tally.time(f"n{number}", number)

    assert len(tally.counters) == len(tally.timings) == MAX_NAMES + 1
    assert tally.counters["other"] == tally.timings["other"].total == 1000 - MAX_NAMES


@given(st.lists(st.sets(st.integers(0, 999), max_size=300), min_size=3, max_size=3))
def test_the_order_of_merges_does_not_matter_for_many_names_either(sets):
    a, b, c = (
        Tally(
            counters={f"n{n}": 1 for n in names},
            timings={f"n{n}": histogram_of([n]) for n in names},
        )
        for names in sets
    )

    assert merged([merged([a, b]), c]) == merged([a, merged([b, c])]) == merged([c, b, a])
    whole = merged([a, b, c])
    assert sum(whole.counters.values()) == sum(map(len, sets))
    assert sum(histogram.total for histogram in whole.timings.values()) == sum(map(len, sets))
    assert len(whole.counters) <= MAX_NAMES + 1
    assert len(whole.timings) <= MAX_NAMES + 1


@given(tallies)
def test_json_gives_back_the_same_tally(tally):
    assert msgspec.json.decode(msgspec.json.encode(tally), type=Tally) == tally


def test_counts_and_reasons_of_zero_are_not_on_the_wire():
    """Empty histograms are, as `[{}]`: msgspec omits only a list, a dict or a set."""
    sent = msgspec.to_builtins(Tally(launched=2, failed={"refused": 1}))

    assert {name: value for name, value in sent.items() if name not in HISTOGRAMS} == {
        "launched": 2,
        "failed": {"refused": 1},
    }


@pytest.mark.parametrize("names", [("b", "a"), ("a", "b")])
def test_surplus_names_are_merged_into_one_whatever_came_first(names):
    """Of two that are one too many together, the last is counted as another.

    The last is the one that sorts last.
    """
    full = {f"0{number:04}": 1 for number in range(MAX_NAMES - 1)}
    timings = {name: histogram_of([1]) for name in full}
    whole = Tally(counters={**full}, timings=timings)
    for name in names:
        whole.merge(Tally(counters={name: 3}, timings={name: histogram_of([7])}))

    assert (whole.counters["a"], whole.counters["other"], "b" in whole.counters) == (3, 3, False)
    assert whole.timings["a"] == whole.timings["other"] == histogram_of([7])


def test_reach_is_a_part_of_what_was_expected():
    assert Tally().reach is None
    assert Tally(delivery_expected=8, delivery_received=6).reach == 75.0


def test_a_session_runs_until_it_is_done_or_has_failed():
    assert Tally(sessions_started=9, sessions_done=4, sessions_failed=2).sessions_running == 3


@pytest.mark.parametrize(
    ("given", "name"), [("done", "done"), ("\ud800\n", "__"), ("", "other"), ("x" * 500, "x" * 80)]
)
def test_a_reason_of_a_session_is_made_printable_and_short(given, name):
    assert name_of(given) == name


def test_what_is_not_split_are_deliveries_and_the_lag_of_the_loop():
    total = Tally(
        launched=5, delivery_lost=2, delivery=histogram_of([4]), loop_lag=histogram_of([1])
    )
    total.connect.record(7)

    assert worker_wide(total) == Tally(
        delivery_lost=2, delivery=histogram_of([4]), loop_lag=histogram_of([1])
    )
