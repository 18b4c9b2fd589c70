"""The filter of clock offsets: offset and drift with their bounds, and steps."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.agent.clock import (
    APART,
    FOLLOW_AFTER,
    KNOWN,
    MAX_DRIFT,
    SPAN,
    ClockFilter,
    Exchange,
    SecondZero,
)
from loadgen.stats.delivery import PublisherClock

OFFSET = 3.7
delays = st.floats(0.0, 0.5)


def exchange(
    at: float,
    there: float = 0.001,
    back: float = 0.001,
    *,
    offset: float = OFFSET,
    work: float = 0.0,
) -> Exchange:
    """An exchange that begins at a time, with the delays of both ways."""
    received = at + there + offset
    return Exchange(at, received, received + work, at + there + work + back)


def filled(*exchanges: Exchange) -> ClockFilter:
    clock = ClockFilter("own")
    for one in exchanges:
        clock.add(one)
    return clock


def test_nothing_is_known_before_the_first_exchange():
    clock = ClockFilter("own")

    assert clock.reading(1.0, 2.0) is None
    assert clock.to_own(1.0, 2.0) is None


@given(st.floats(-1e6, 1e6), delays, delays, st.floats(0.0, 0.2))
def test_the_offset_is_wrong_by_its_bound_at_most(offset, there, back, work):
    one = exchange(100.0, there, back, offset=offset, work=work)

    assert abs(one.offset - offset) <= one.bound + 1e-6


def test_clocks_of_publishers_are_told_beside_the_agents_own():
    clocks = {"own": PublisherClock(OFFSET), "there": PublisherClock(10.0, 0.5)}
    found = filled(exchange(0.0)).publishers(clocks, now=0.002)

    assert ClockFilter("own").publishers(clocks, now=0.0) == {}
    assert list(found) == ["there"]
    assert found["there"].offset == pytest.approx(10.0 - OFFSET)
    assert found["there"].bound == pytest.approx(0.501)


@pytest.mark.parametrize(
    ("other", "name"),
    [({"own": 3.7005}, "own"), ({"own": 0.0}, "own.2"), ({"there": 0.0}, "own"), ({}, "own")],
)
def test_a_clock_that_shares_its_name_with_another_one_takes_a_new_name(other, name):
    clock = filled(exchange(0.0))
    clocks = {known: PublisherClock(offset) for known, offset in other.items()}

    clock.distinguish(clocks, now=0.002, own_name="own.2")

    assert clock.name == name


def test_a_clock_that_was_never_compared_keeps_its_name():
    clock = ClockFilter("own")

    clock.distinguish({"own": PublisherClock(9.0)}, now=0.0, own_name="own.2")

    assert clock.name == "own"


def test_the_exchange_with_the_least_delay_counts():
    clock = filled(exchange(0.0, 0.3, 0.0), exchange(1.0), exchange(2.0, 0.0, 0.4))
    known = clock.reading(2.0, wall=1000.0)

    assert known is not None
    assert known.offset == pytest.approx(OFFSET)
    assert 0.001 <= known.bound <= 0.001 + 2.5 * MAX_DRIFT
    assert known.wall == pytest.approx(1000.0 - (2.0 + OFFSET))
    assert clock.to_own(10.0, now=2.0) == pytest.approx(10.0 - OFFSET)


def test_an_old_exchange_gives_way_when_it_may_have_drifted_further_than_a_new_one():
    clock = filled(exchange(0.0, 0.0001, 0.0001), exchange(300.0, 0.002, 0.0))
    known = clock.reading(300.0, wall=0.0)

    assert known is not None
    assert known.offset == pytest.approx(OFFSET + 0.001)


@given(st.floats(-90.0, 90.0), st.integers(0, 1000))
def test_the_drift_is_found_within_its_bound(ppm, seed):
    chance = random.Random(seed)
    clock = ClockFilter("own")
    for second in range(300):
        offset = OFFSET + second * ppm / 1e6
        assert (
            clock.add(exchange(second, chance.random() / 50, chance.random() / 50, offset=offset))
            == 0
        )
    known = clock.reading(300.0, wall=0.0)

    assert known is not None
    assert known.drift_ppm is not None
    assert known.drift_bound_ppm is not None
    assert abs(known.drift_ppm - ppm) <= known.drift_bound_ppm + 1
    assert abs(known.offset - (OFFSET + 300 * ppm / 1e6)) <= known.bound
    assert known.steps == 0


def test_no_drift_is_known_in_the_first_seconds():
    known = filled(exchange(0.0), exchange(SPAN / 2)).reading(6.0, wall=0.0)

    assert known is not None
    assert known.drift_ppm is known.drift_bound_ppm is None


def test_a_clock_that_stood_still_begins_anew():
    clock = filled(*(exchange(float(second)) for second in range(30)))
    step = clock.add(exchange(30.0, offset=OFFSET + 60.0))
    known = clock.reading(31.0, wall=0.0)

    assert step == pytest.approx(60.0)
    assert known is not None
    assert known.offset == pytest.approx(OFFSET + 60.0)
    assert known.steps == 1


@pytest.mark.parametrize(
    "impossible",
    [
        Exchange(sent=1.0, received=5.0, replied=9.0, returned=2.0),
        Exchange(sent=1.0, received=1e9, replied=5.0, returned=2.0),
    ],
    ids=["the work took longer than the exchange", "it replied before it received"],
)
def test_times_that_contradict_themselves_are_left_out(impossible):
    assert filled(impossible).reading(2.0, wall=0.0) is None


def test_an_offset_that_is_not_known_well_shows_no_jump():
    slow = exchange(10.0, there=2.1 * KNOWN, back=0.0)

    assert filled().offset(10.0) is None
    assert filled(slow).offset(11.1) is None
    assert filled(slow, exchange(12.0)).offset(12.1) == pytest.approx(OFFSET)


def test_second_0_follows_a_clock_that_jumped_after_a_while():
    zero = SecondZero(100.0)

    moves = [zero.follow(120.0, at) for at in (105.0, 106.0, 105.0 + FOLLOW_AFTER, 111.0)]

    assert moves == [0.0, 0.0, 20.0, 0.0]
    assert zero.begin == 120.0


def test_second_0_stays_where_clocks_drift_or_the_clock_of_the_run_comes_back():
    zero = SecondZero(100.0)
    for at in range(100):
        assert zero.follow(100.0 - APART, float(at)) == 0.0
    assert zero.follow(80.0, 100.0) == 0.0
    assert zero.follow(100.0, 101.0) == 0.0

    assert zero.follow(80.0, 100.0 + FOLLOW_AFTER) == 0.0
    assert zero.begin == 100.0
