"""The grain of a worker follows its launches and pings."""

import pytest

from loadgen.grain import COARSE, EXACT, FINE, grain_at


@pytest.mark.parametrize(
    ("launches", "pings", "loops", "grain"),
    [
        (500.0, 500.0, True, FINE),
        (501.0, 0.0, True, EXACT),
        (0.0, 501.0, True, EXACT),
        (1.0, 0.0, False, EXACT),
        (4999.0, 1999.0, True, EXACT),
        (5000.0, 0.0, True, COARSE),
        (0.0, 2000.0, False, COARSE),
    ],
)
def test_more_to_do_has_a_coarser_grain(launches, pings, loops, grain):
    assert grain_at(launches, pings, loops=loops) == grain
