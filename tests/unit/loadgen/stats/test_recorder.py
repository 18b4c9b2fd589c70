"""Deadlines, and the tallies of a worker's recorder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.stats.recorder import Recorder, microseconds
from loadgen.stats.tally import Tally
from loadgen.timers import Deadlines


@pytest.fixture
def deadlines():
    """Returns three items that began a second apart, with ten seconds each."""
    filled = Deadlines(10.0)
    for number, item in enumerate("abc"):
        filled.add(item, 100.0 + number)
    return filled


def test_nothing_expires_before_its_time(deadlines):
    assert list(deadlines.expired(109.9)) == []
    assert len(deadlines) == 3


def test_expired_items_are_yielded_once_and_oldest_first(deadlines):
    assert list(deadlines.expired(111.0)) == ["a", "b"]
    assert list(deadlines.expired(111.0)) == []
    assert ("a" in deadlines, "c" in deadlines, len(deadlines)) == (False, True, 1)
    assert list(deadlines.expired(112.0)) == ["c"]


def test_an_item_that_finished_does_not_expire(deadlines):
    deadlines.remove("a")
    deadlines.remove("a")
    deadlines.remove("unknown")
    assert list(deadlines.expired(200.0)) == ["b", "c"]


def test_items_may_be_removed_and_added_while_others_expire(deadlines):
    handed = []
    for item in deadlines.expired(111.5):
        handed.append(item)
        deadlines.remove("b")
        deadlines.add("d", 111.5)
    assert handed == ["a"]
    assert list(deadlines.expired(200.0)) == ["c", "d"]


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans())), st.integers(0, 40))
def test_each_item_expires_once_or_is_removed(steps, until):
    """Items that began early enough expire in order, and the others remain."""
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


def test_a_swapped_tally_is_complete_and_the_next_one_empty():
    recorder = Recorder(seed=1, close_within=5.0)
    recorder.tally.launched += 3
    recorder.tally.failed["refused"] = 1
    recorder.tally.handshake.record(1500)
    tally = recorder.swap()
    assert (tally.launched, tally.failed, tally.handshake.total) == (3, {"refused": 1}, 1)
    assert recorder.tally == Tally()
    recorder.tally.failed["reset"] = 1
    recorder.tally.handshake.record(2500)
    assert (tally.failed, tally.handshake.total) == ({"refused": 1}, 1)
    assert recorder.swap().failed == {"reset": 1}


def test_masks_repeat_with_their_seed_and_differ_without():
    first, again, other = (
        [recorder.bits(32) for _ in range(8)]
        for recorder in (Recorder(seed, 5.0) for seed in (1, 1, 2))
    )
    assert first == again != other
    assert len(set(first)) == 8


def test_durations_are_recorded_in_whole_microseconds():
    assert [microseconds(seconds) for seconds in (0.0, 0.000_000_9, 0.25, 30.0)] == [
        0,
        0,
        250_000,
        30_000_000,
    ]
