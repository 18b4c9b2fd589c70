"""The coordinator has everything that synthetic agents report."""

import pytest

from tests.bench.agents import measure


@pytest.mark.parametrize("tls", [False, True])
def test_every_connection_and_ping_that_agents_report_is_counted(tls):
    measured = measure(3, tls=tls, seconds=2, warm_up=0.5)

    assert measured.lost == 0
    assert measured.metrics_bytes > 0
