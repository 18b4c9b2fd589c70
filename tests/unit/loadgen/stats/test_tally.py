"""Tallies and their merges, and the ledger that follows from them."""

from collections import Counter
from copy import deepcopy

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.stats.peak import Peak
from loadgen.stats.tally import (
    COUNTS,
    HISTOGRAMS,
    MAX_BY,
    MAX_NAMES,
    CheckCounts,
    Held,
    Ledger,
    Tally,
    name_of,
)
from tests.unit.strategies import histogram_of, merged, tallies

STATES = (
    "not_started",
    "connecting",
    "failed refused",
    "failed http_503",
    "open",
    "closed done",
    "closed reset",
    "lost",
)
histories = st.lists(st.sampled_from(STATES), max_size=60)
"""The last state of each planned connection."""


def seconds_of(history: list[str], length: int) -> list[Tally]:
    """Returns the tallies of the connections, in this number of seconds.

    Connection k is launched in second k, opens one later, and ends two later.
    """
    seconds = [Tally() for _ in range(length)]
    for number, state in enumerate(history):
        launch, opening, ending = (seconds[(number + later) % length] for later in range(3))
        kind, _, reason = state.partition(" ")
        launch.launched += kind != "not_started"
        opening.opened += kind in ("open", "closed", "lost")
        ending.lost += kind == "lost"
        if reason:
            ends = getattr(ending, kind)
            ends[reason] = ends.get(reason, 0) + 1
    return seconds


def ends(history: list[str], kind: str) -> dict[str, int]:
    """Returns how many connections ended for each reason of a kind."""
    return dict(Counter(state.split()[1] for state in history if state.startswith(f"{kind} ")))


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


@given(histories, st.integers(1, 9))
def test_the_ledger_has_every_connection_in_its_state(history, length):
    ledger = Ledger.of(len(history), merged(seconds_of(history, length)))

    assert ledger.not_started == history.count("not_started")
    assert ledger.connecting == history.count("connecting")
    assert ledger.open == history.count("open")
    assert ledger.lost == history.count("lost")
    assert ledger.failed == ends(history, "failed")
    assert ledger.closed == ends(history, "closed")
    assert ledger.breaches(Held(history.count("connecting"), history.count("open"))) == []


@given(histories, st.integers(1, 9))
def test_the_laws_of_the_ledger_hold(history, length):
    ledger = Ledger.of(len(history), merged(seconds_of(history, length)))

    assert ledger.planned == ledger.not_started + ledger.launched
    assert ledger.launched == ledger.connecting + sum(ledger.failed.values()) + ledger.opened
    assert ledger.opened == ledger.open + sum(ledger.closed.values()) + ledger.lost


def test_connections_launched_beyond_the_plan_count_as_planned():
    ledger = Ledger.of(10, Tally(launched=13, relaunched=4, opened=13))

    assert (ledger.planned, ledger.not_started, ledger.breaches()) == (14, 1, [])


def test_where_the_plan_is_unknown_relaunched_connections_change_nothing():
    assert Ledger.of(None, Tally(launched=13, relaunched=4)).planned == 0


@pytest.mark.parametrize(
    ("total", "breach"),
    [
        (Tally(launched=11), "not_started is -1"),
        (Tally(launched=1, opened=2), "connecting is -1"),
        (Tally(launched=1, failed={"refused": 3}), "connecting is -2"),
        (Tally(launched=2, opened=2, closed={"done": 2}, lost=1), "open is -1"),
        (Tally(launched=2, opened=2, accepted=3), "accepted is 3 but 2 opened"),
        (Tally(launched=2, late=3), "late is 3 but 2 were launched"),
    ],
)
def test_a_law_that_does_not_hold_is_named(total, breach):
    assert Ledger.of(10, total).breaches() == [breach]


def test_held_connections_must_agree_with_the_counts():
    ledger = Ledger.of(10, Tally(launched=5, opened=3))

    assert ledger.breaches(Held(connecting=2, open=3, alive=3)) == []
    assert ledger.breaches(Held(connecting=2, open=3, alive=4)) == ["4 are alive but 3 are held"]
    assert ledger.breaches(Held(connecting=1, open=4)) == [
        "connecting is 2 but 1 are held",
        "open is 3 but 4 are held",
    ]


def test_the_peaks_of_what_is_held_add_up():
    held = Held(open=2, peak=Peak(3, 0.1, 0.9))
    held.merge(Held(open=1, peak=Peak(2, 0.5, 1.0)))

    assert (held.open, held.peak) == (3, Peak(5, 0.5, 0.9))


def test_held_adds_up():
    held = Held(connecting=1, open=2)
    held.merge(Held(connecting=10, open=20))

    assert held == Held(connecting=11, open=22)


def test_the_living_add_up_where_they_are_known():
    held = Held()
    for other in (Held(alive=2), Held(), Held(alive=3)):
        held.merge(other)

    assert held.alive == 5


def test_the_ledger_as_json_has_the_names_of_the_contract():
    total = Tally(
        launched=7,
        opened=4,
        accepted=3,
        lost=1,
        late=2,
        failed={"timeout": 1, "refused": 1},
        closed={"done": 1},
    )

    assert Ledger.of(10, total).to_json() == {
        "planned": 10,
        "not_started": 3,
        "launched": 7,
        "connecting": 1,
        "failed": {"refused": 1, "timeout": 1},
        "opened": 4,
        "accepted": 3,
        "open": 2,
        "closed": {"done": 1},
        "lost": 1,
        "late": 2,
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
