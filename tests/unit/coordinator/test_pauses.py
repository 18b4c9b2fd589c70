"""The plan's own time, which stands still while arrivals are paused."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.pauses import Pauses


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=8), st.floats(0, 100))
def test_real_and_paced_time_are_each_others_inverse(gaps, paced):
    pauses, age = Pauses(), 0.0
    for begin, end in zip(gaps[::2], gaps[1::2], strict=False):
        pauses.begin(age + begin)
        pauses.end(age + begin + end)
        age += begin + end

    assert pauses.paced(pauses.real(paced)) == pytest.approx(paced, abs=1e-6)


def test_an_open_pause_has_no_end_yet():
    pauses = Pauses()
    pauses.begin(3.0)
    pauses.begin(4.0)

    assert pauses.open
    assert (pauses.paced(2.0), pauses.paced(9.0), pauses.real(3.5), pauses.total) == (2.0, 3.0, inf, 0.0)
    assert pauses.spans() == [(3.0, None)]
    pauses.end(5.0)
    assert (pauses.paced(9.0), pauses.real(3.5), pauses.total) == (7.0, 5.5, 2.0)
    assert pauses.spans() == [(3.0, 5.0)]


def test_a_pause_right_after_another_begins_where_that_one_ends():
    pauses = Pauses([(1.0, 5.0)])
    pauses.begin(4.0)
    pauses.end(6.0)

    assert pauses.total == 5.0
