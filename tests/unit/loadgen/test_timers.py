"""Wheel and deadlines: when items are due, and in which order."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.timers import TICK, Alarm, Deadlines, TurnQueue, Wheel

ticks = st.integers(1, 60)


def wheel_of(*places: tuple[str, int]) -> Wheel:
    wheel = Wheel()
    for item, tick in places:
        wheel.put(item, tick)
    return wheel


def at(tick: int) -> float:
    """A time in the middle of a tick."""
    return (tick + 0.5) * TICK


def turned(wheel: Wheel, tick: int) -> list[tuple[int, list]]:
    """The ticks of a turn with their items."""
    return [(round(due / TICK), items) for due, items in wheel.turn(at(tick))]


def test_an_item_is_due_at_its_tick_not_before_and_not_again():
    wheel = wheel_of(("item", 3))

    assert turned(wheel, 2) == []
    assert turned(wheel, 3) == [(3, ["item"])]
    assert turned(wheel, 4) == []


def test_a_late_turn_yields_all_items_oldest_first_with_the_times_they_were_due():
    wheel = wheel_of(("c", 7), ("a", 2), ("b", 5), ("later", 11))

    assert turned(wheel, 10) == [(2, ["a"]), (5, ["b"]), (7, ["c"])]
    assert turned(wheel, 11) == [(11, ["later"])]


def test_items_of_one_tick_keep_their_order():
    assert turned(wheel_of(("a", 4), ("b", 4), ("c", 4)), 4) == [(4, ["a", "b", "c"])]


def test_an_item_put_at_a_past_tick_is_due_at_the_next_turn():
    wheel = wheel_of()
    turned(wheel, 10)
    wheel.put("past", 3)
    wheel.put("present", 10)

    assert turned(wheel, 11) == [(11, ["past", "present"])]


def test_a_turn_back_yields_nothing_and_loses_nothing():
    wheel = wheel_of()
    turned(wheel, 10)
    wheel.put("item", 12)

    assert turned(wheel, 5) == []
    assert wheel.now == 10
    assert turned(wheel, 12) == [(12, ["item"])]


def test_an_item_put_during_a_turn_is_due_in_it_if_its_tick_is():
    wheel = wheel_of(("first", 1))
    seen = []
    for due, items in wheel.turn(at(10)):
        tick = round(due / TICK)
        seen += [(tick, item) for item in items]
        if tick < 10:
            wheel.put("again", tick + 4)

    assert seen == [(1, "first"), (5, "again"), (9, "again")]
    assert turned(wheel, 13) == [(13, ["again"])]


def test_a_turn_ends_though_every_item_is_put_in_the_past():
    wheel = wheel_of(("item", 1))
    seen = []
    for due, items in wheel.turn(at(5)):
        seen.append(round(due / TICK))
        for item in items:
            wheel.put(item, 0)

    assert seen == [1, 2, 3, 4, 5]
    assert len(wheel) == 1


def test_the_length_is_the_number_of_items_to_come():
    wheel = wheel_of(("a", 1), ("b", 1), ("c", 2))
    assert len(wheel) == 3

    turned(wheel, 1)
    assert len(wheel) == 1


@given(st.lists(ticks, max_size=40), st.lists(ticks, max_size=6).map(sorted))
def test_every_item_comes_out_once_and_at_its_tick(due, turns):
    wheel = Wheel()
    for item, tick in enumerate(due):
        wheel.put(item, tick)
    found = [
        (tick, item)
        for turn in [*turns, 60]
        for tick, items in turned(wheel, turn)
        for item in items
    ]

    assert found == sorted((tick, item) for item, tick in enumerate(due))
    assert len(wheel) == 0


def test_the_time_of_the_next_item_is_known_up_to_a_limit():
    wheel = wheel_of()
    assert wheel.next(at(5)) == at(5)
    wheel.put("a", 3)
    assert wheel.next(at(5)) == pytest.approx(3 * TICK)
    assert turned(wheel, 3) == [(3, ["a"])]
    wheel.put("b", 9)
    assert (wheel.next(at(8)), wheel.next(at(20))) == (at(8), pytest.approx(9 * TICK))


class Waiting:
    """An item of a queue; it has gone when it has no due time."""

    def __init__(self, due: float | None) -> None:
        self.due = due


def queue_of(*dues: float | None) -> tuple[TurnQueue[Waiting], list[Waiting]]:
    queue: TurnQueue[Waiting] = TurnQueue(lambda item: item.due)
    items = [Waiting(due) for due in dues]
    for item in items:
        queue.put(item)
    return queue, items


def test_a_queue_yields_what_is_due_first_one_first_and_skips_what_has_gone():
    queue, (gone, first, second, later) = queue_of(None, 1.0, 2.0, 3.0)

    assert queue.next() == 1.0
    assert len(queue) == 3
    assert list(queue.take(2.5)) == [(first, 1.0), (second, 2.0)]
    assert gone.due is None
    later.due = None
    assert queue.next() == inf
    assert list(queue.take(99.0)) == []


def test_items_that_are_put_back_late_keep_the_order_of_their_turns():
    queue, (first, second) = queue_of(1.0, 2.0)
    again = [item for item, _ in queue.take(99.0)]
    first.due, second.due = 101.0, 160.0
    young, gone = Waiting(140.0), Waiting(None)
    queue.put(young)
    queue.put(gone)
    queue.put_back(again)

    assert list(queue.take(200.0)) == [(first, 101.0), (young, 140.0), (second, 160.0)]
    queue.put_back([])
    assert (len(queue), queue.next()) == (0, inf)


@given(
    st.lists(st.floats(0, 50), max_size=20),
    st.lists(st.sampled_from(["turn", "late turn", "put", "go"]), max_size=60),
)
def test_a_queue_stays_in_order_however_late_its_turns_are(dues, steps):
    """Whatever is put, taken or gone meanwhile: the next one is the earliest."""
    think = 50.0
    queue, items = queue_of(*sorted(dues))
    now = 50.0
    for step in steps:
        now += 40.0 if step == "late turn" else 1.0
        if step == "put":
            items.append(Waiting(now + think))
            queue.put(items[-1])
        elif step == "go" and items:
            items[len(items) // 2].due = None
        else:
            again = []
            for item, due in queue.take(now):
                item.due = due + think
                again.append(item)
            queue.put_back(again)
        left = [item.due for item in items if item.due is not None]
        assert queue.next() == min(left, default=inf)


def test_an_alarm_is_only_ever_moved_forward():
    moved: list[float] = []
    alarm = Alarm(moved.append)
    alarm.no_later_than(5.0)  # the loop is awake
    alarm.set(10.0)
    for time in (12.0, 10.0, 7.0, 8.0, 6.0):
        alarm.no_later_than(time)

    assert moved == [7.0, 6.0]


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


def test_the_earliest_deadline_is_known(deadlines):
    assert deadlines.next == 110.0
    deadlines.remove("a")
    assert deadlines.next == 111.0
    assert Deadlines[str](10.0).next == inf


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


def test_an_item_put_at_a_time_that_has_passed_is_due_at_the_next_tick():
    wheel = wheel_of()
    turned(wheel, 3)

    assert wheel.put_at("later", 10.5 * TICK) == wheel.due(11)
    assert wheel.put_at("past", TICK) == wheel.due(4)
    assert turned(wheel, 11) == [(4, ["past"]), (11, ["later"])]


@given(st.floats(0, 1000), st.floats(0, 100), st.integers(0, 20_000))
def test_an_item_put_at_a_time_is_due_at_the_first_tick_not_before_it(start, after, turned_to):
    wheel = Wheel(start)
    list(wheel.turn(start + at(turned_to)))
    due = wheel.put_at("item", start + after)

    assert due >= start + after - 1e-9
    assert due == wheel.due(turned_to + 1) or due - TICK < start + after + 1e-9
    assert list(wheel.turn(due + TICK / 2))[-1] == (due, ["item"])
