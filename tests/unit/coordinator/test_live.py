"""The run as viewers are told of it."""

from coordinator.live import bars
from loadgen.histogram import Histogram
from tests.unit.strategies import histogram_of


def test_bars_hold_every_value_from_the_first_that_is_filled_to_the_last():
    found = bars({"handshake": histogram_of([12, 1400, 1600, 1600, 10**9]), "delivery": Histogram()})

    assert list(found) == ["handshake"]
    heights = found["handshake"]
    assert (heights[0], heights[-1]) == ((0.015, 1), (70_000.0, 1))
    assert sum(number for _, number in heights) == 5
    assert dict(heights)[2.0] == 2
