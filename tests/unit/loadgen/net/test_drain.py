"""The pace of a drain: every item once, in order and in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.net.drain import MAX_AT_ONCE, Drain

TURN = 0.02
WITHIN = 10.0


def taken(count: int, distances: list[float]) -> list[list[int]]:
    """Returns the items of each turn, for turns at these distances in seconds."""
    drain = Drain(range(count), 0.0, turn=TURN, within=WITHIN)
    now = 0.0
    found = []
    for distance in distances:
        now += distance
        found.append(drain.take(now))
    return found


def test_every_item_is_taken_once_and_in_order():
    assert [item for turn in taken(1000, [TURN] * 200) for item in turn] == list(range(1000))


def test_a_machine_that_keeps_up_reaches_the_highest_pace():
    assert len(taken(3000, [TURN] * 40)[-1]) == MAX_AT_ONCE


def test_turns_that_come_late_halve_the_pace():
    sizes = [len(turn) for turn in taken(3000, [TURN] * 40 + [5 * TURN] * 2)]
    assert sizes[-3:] == [MAX_AT_ONCE, MAX_AT_ONCE // 2, MAX_AT_ONCE // 4]


@given(st.integers(0, 50_000), st.lists(st.floats(TURN / 2, 1.0), min_size=1))
def test_it_always_ends_in_time(count, distances):
    """However late its turns come, all items are taken before the end."""
    total = 0.0
    pattern = []
    while total < WITHIN:
        pattern.append(distances[len(pattern) % len(distances)])
        total += pattern[-1]
    assert sum(map(len, taken(count, pattern))) == count


@pytest.mark.parametrize("count", [0, 1])
def test_an_item_that_is_put_off_comes_again_at_the_end(count):
    drain = Drain(range(count + 1), 0.0, turn=TURN, within=WITHIN)
    (first, *_) = drain.take(TURN)
    drain.put_off(first)
    assert drain.take(2 * TURN) == [first]
