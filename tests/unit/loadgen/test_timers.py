"""Wheel and deadlines: when items are due, and in which order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.timers import TICK, Deadlines, Wheel
from loadgen.timers import ticks as turns_of

ticks = st.integers(1, 60)


def wheel_of(*places: tuple[str, int]) -> Wheel:
    wheel = Wheel()
    for item, tick in places:
        wheel.put(item, tick)
    return wheel


def test_an_item_is_due_at_its_tick_not_before_and_not_again():
    wheel = wheel_of(("item", 3))

    assert list(wheel.turn(2)) == []
    assert list(wheel.turn(3)) == [(3, ["item"])]
    assert list(wheel.turn(4)) == []


def test_a_late_turn_yields_all_items_oldest_first_with_their_own_ticks():
    wheel = wheel_of(("c", 7), ("a", 2), ("b", 5), ("later", 11))

    assert list(wheel.turn(10)) == [(2, ["a"]), (5, ["b"]), (7, ["c"])]
    assert list(wheel.turn(11)) == [(11, ["later"])]


def test_items_of_one_tick_keep_their_order():
    assert list(wheel_of(("a", 4), ("b", 4), ("c", 4)).turn(4)) == [(4, ["a", "b", "c"])]


def test_an_item_put_at_a_past_tick_is_due_at_the_next_turn():
    wheel = Wheel()
    list(wheel.turn(10))
    wheel.put("past", 3)
    wheel.put("present", 10)

    assert list(wheel.turn(11)) == [(11, ["past", "present"])]


def test_a_turn_back_yields_nothing_and_loses_nothing():
    wheel = Wheel()
    list(wheel.turn(10))
    wheel.put("item", 12)

    assert list(wheel.turn(5)) == []
    assert wheel.now == 10
    assert list(wheel.turn(12)) == [(12, ["item"])]


def test_an_item_put_during_a_turn_is_due_in_it_if_its_tick_is():
    wheel = wheel_of(("first", 1))
    seen = []
    for tick, items in wheel.turn(10):
        seen += [(tick, item) for item in items]
        if tick < 10:
            wheel.put("again", tick + 4)

    assert seen == [(1, "first"), (5, "again"), (9, "again")]
    assert list(wheel.turn(13)) == [(13, ["again"])]


def test_a_turn_ends_though_every_item_is_put_in_the_past():
    wheel = wheel_of(("item", 1))
    seen = []
    for tick, items in wheel.turn(5):
        seen.append(tick)
        for item in items:
            wheel.put(item, 0)

    assert seen == [1, 2, 3, 4, 5]
    assert len(wheel) == 1


def test_the_length_is_the_number_of_items_to_come():
    wheel = wheel_of(("a", 1), ("b", 1), ("c", 2))
    assert len(wheel) == 3

    list(wheel.turn(1))
    assert len(wheel) == 1


@given(st.lists(ticks, max_size=40), st.lists(ticks, max_size=6).map(sorted))
def test_every_item_comes_out_once_and_at_its_tick(due, turns):
    wheel = Wheel()
    for item, tick in enumerate(due):
        wheel.put(item, tick)
    found = [
        (tick, item) for turn in [*turns, 60] for tick, items in wheel.turn(turn) for item in items
    ]

    assert found == sorted((tick, item) for item, tick in enumerate(due))
    assert len(wheel) == 0


def test_the_next_tick_with_an_item_is_known_up_to_a_limit():
    wheel: Wheel[str] = Wheel()
    assert wheel.next(5) == 5
    wheel.put("a", 3)
    assert wheel.next(5) == 3
    assert list(wheel.turn(3)) == [(3, ["a"])]
    wheel.put("b", 9)
    assert (wheel.next(8), wheel.next(20)) == (8, 9)


@pytest.fixture
def deadlines():
    """Three items, begun a second apart, with ten seconds each."""
    filled = Deadlines(10.0)
    for number, item in enumerate("abc"):
        filled.add(item, 100.0 + number)
    return filled


def test_nothing_expires_before_its_time(deadlines):
    assert list(deadlines.expired(109.9)) == []
    assert len(deadlines) == 3


def test_what_is_over_its_time_is_handed_over_oldest_first_and_once(deadlines):
    assert list(deadlines.expired(111.0)) == ["a", "b"]
    assert list(deadlines.expired(111.0)) == []
    assert ("a" in deadlines, "c" in deadlines, len(deadlines)) == (False, True, 1)
    assert list(deadlines.expired(112.0)) == ["c"]


def test_who_finished_does_not_expire(deadlines):
    deadlines.remove("a")
    deadlines.remove("a")
    deadlines.remove("nobody")
    assert list(deadlines.expired(200.0)) == ["b", "c"]


def test_who_is_told_of_its_expiry_may_take_others_out_and_put_them_in(deadlines):
    handed = []
    for item in deadlines.expired(111.5):
        handed.append(item)
        deadlines.remove("b")
        deadlines.add("d", 111.5)
    assert handed == ["a"]
    assert list(deadlines.expired(200.0)) == ["c", "d"]


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans())), st.integers(0, 40))
def test_each_item_expires_once_or_is_taken_out(steps, until):
    """Those that began early enough expire, in that order; the rest remains.

    This holds for any items that are added and removed.
    """
    deadlines, expected = Deadlines(5.0), {}
    begun = sorted(begin for begin, _ in steps)
    for item, (begin, (_, stays)) in enumerate(zip(begun, steps, strict=True)):
        deadlines.add(item, float(begin))
        if stays:
            expected[item] = begin + 5
        else:
            deadlines.remove(item)
    assert list(deadlines.expired(float(until))) == [
        item for item, deadline in expected.items() if deadline <= until
    ]
    assert len(deadlines) == sum(deadline > until for deadline in expected.values())


def test_a_duration_is_at_least_one_turn_of_the_wheel():
    assert [turns_of(seconds) for seconds in (0, TICK, 1.0)] == [1, 1, 50]


def test_items_of_one_tick_are_placed_together():
    wheel = wheel_of(("a", 4))
    list(wheel.turn(3))
    wheel.put_all(["b", "c"], 4)
    wheel.put_all(["late", "later"], 2)
    wheel.put_all(["d"], 6)
    wheel.put_all([], 5)

    assert len(wheel) == 6
    assert list(wheel.turn(6)) == [(4, ["a", "b", "c", "late", "later"]), (6, ["d"])]


@given(st.floats(0, 1000), st.floats(0, 1000), st.integers(0, 20_000))
def test_an_item_put_at_a_time_is_due_at_the_first_tick_not_before_it(start, after, turned):
    wheel = Wheel(start)
    list(wheel.turn(turned))
    due = wheel.put_at("item", start + after)

    tick = wheel.tick_at(due + TICK / 2)
    assert due == wheel.due(tick)
    assert due >= start + after - 1e-9
    assert tick == turned + 1 or due - TICK < start + after + 1e-9
    assert list(wheel.turn(tick))[-1] == (tick, ["item"])
