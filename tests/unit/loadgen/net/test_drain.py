"""The pace of a drain: everyone once, in order, slower on a machine that does not keep up, and
always in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.net.drain import MAX_AT_ONCE, Drain

TURN, WITHIN = 0.02, 10.0


def taken(count: int, distances: list[float]) -> list[list[int]]:
    """What a drain of so many hands out in turns that come at these distances."""
    drain, now, found = Drain(range(count), 0.0, turn=TURN, within=WITHIN), 0.0, []
    for distance in distances:
        now += distance
        found.append(drain.take(now))
    return found


def test_everyone_is_taken_once_and_in_order():
    assert [item for turn in taken(1000, [TURN] * 200) for item in turn] == list(range(1000))


def test_a_machine_that_keeps_up_comes_to_the_highest_pace():
    assert len(taken(500, [TURN] * 40)[-1]) == MAX_AT_ONCE


def test_turns_that_come_late_halve_the_pace():
    sizes = [len(turn) for turn in taken(500, [TURN] * 40 + [5 * TURN] * 2)]
    assert sizes[-3:] == [MAX_AT_ONCE, MAX_AT_ONCE // 2, MAX_AT_ONCE // 4]


@given(st.integers(0, 50_000), st.lists(st.floats(TURN / 2, 1.0), min_size=1))
def test_it_always_ends_in_time(count, distances):
    """However late its turns come, the last one before the end finds nobody who was not asked
    for."""
    total, pattern = 0.0, []
    while total < WITHIN:
        pattern.append(distances[len(pattern) % len(distances)])
        total += pattern[-1]
    assert sum(map(len, taken(count, pattern))) == count


@pytest.mark.parametrize("count", [0, 1])
def test_who_is_put_off_comes_again_at_the_end(count):
    drain = Drain(range(count + 1), 0.0, turn=TURN, within=WITHIN)
    (first, *_) = drain.take(TURN)
    drain.put_off(first)
    assert drain.take(2 * TURN) == [first]
