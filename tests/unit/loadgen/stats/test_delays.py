"""The seconds to which a worker's standstills and late launches are charged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.stats.delays import SLOW, STALL, Delays, Stalls

TICK = 0.02


def stalls_of(*stops: tuple[float, float], end=12.0):
    """Returns the seconds of a worker that stands still in these spans only."""
    stalls = Stalls()
    last, stops = 0.0, list(stops)
    while last < end:
        planned = last + TICK
        now = planned
        if stops and stops[0][0] <= planned:
            now = max(planned, stops.pop(0)[1])
        stalls.tick(last, planned, now)
        last = now
    charged = {number: round(stalls.take(number), 2) for number in range(int(last) + 2)}
    return {number: still for number, still in charged.items() if still}


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        ((8.1, 8.99), {8: 0.91, 9: 0.01}),
        ((8.5, 11.0), {8: 0.5, 9: 1.0, 10: 1.0, 11: 0.02}),
        ((7.9, 8.15), {7: 0.1, 8: 0.17}),
        ((8.5, 8.6), {}),
    ],
)
def test_a_standstill_is_charged_to_the_seconds_that_it_covers_and_no_other(stop, expected):
    """The turn after it, in which the worker catches up, is charged too."""
    charged = stalls_of(stop)

    assert charged.keys() == expected.keys()
    assert charged == pytest.approx(expected, abs=2 * TICK)


def test_slow_ticks_count_once_their_sum_is_a_stall():
    slow = SLOW + TICK
    one = stalls_of((3.1, 3.1 + slow))
    several = stalls_of((3.1, 3.1 + slow), (3.5, 3.5 + slow), (3.8, 3.8 + slow))

    assert one == {}
    assert several.keys() == {3}
    assert several[3] >= STALL


@given(st.floats(0.1, 5), st.floats(STALL + 0.05, 4))
def test_what_is_charged_adds_up_to_the_standstill(begin, length):
    charged = stalls_of((begin, begin + length))

    assert sum(charged.values()) == pytest.approx(length, abs=4 * TICK)
    assert sorted(charged) == list(range(min(charged), max(charged) + 1))
    assert all(still <= 1.0 for still in charged.values())


def test_a_second_is_taken_once():
    stalls = Stalls()
    stalls.tick(3.0, 3.02, 3.52)

    assert (stalls.take(3), stalls.take(3)) == (pytest.approx(0.52), 0.0)


def test_late_launches_are_counted_with_the_longest_delay():
    delays = Delays()
    for by in (0.2, 1.3, 0.4):
        delays.launched_late(by)

    assert delays == Delays(late=3, late_by=1.3)


def test_delays_merge():
    delays = Delays(stalls={0: 0.5}, late=1, late_by=0.3)
    more = Delays({0: 0.25, 2: 1.0}, late=2, late_by=0.2, stepped=8.0, waited=True)
    more.unreported = (1,)
    delays.merge(more)
    delays.merge(Delays())

    assert delays == Delays(
        {0: 0.75, 2: 1.0}, late=3, late_by=0.3, stepped=8.0, unreported=(1,), waited=True
    )
