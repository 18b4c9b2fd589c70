"""The clock of a run."""

from time import monotonic

import pytest

from coordinator.clock import Clock


def test_without_an_offset_it_is_the_monotonic_clock():
    assert Clock().now() == pytest.approx(monotonic(), abs=0.1)


def test_an_offset_is_added():
    assert Clock(-500.0).now() == pytest.approx(monotonic() - 500.0, abs=0.1)
