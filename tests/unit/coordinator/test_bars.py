"""Histograms as bars."""

from hypothesis import given

from coordinator.bars import bars, values_of
from tests.unit.strategies import histogram_of, histograms


def test_bars_go_from_the_first_that_is_filled_to_the_last():
    heights = bars(values_of(histogram_of([12, 1400, 1600, 1600, 10**9])))

    assert (heights[0], heights[-1]) == ((0.015, 1), (70_000.0, 1))
    assert dict(heights)[2.0] == 2


@given(histograms)
def test_every_value_is_in_one_bar(histogram):
    assert sum(number for _, number in bars(values_of(histogram))) == histogram.total
