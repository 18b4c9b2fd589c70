"""Figures of events fit together; test_sizing compares them with the cost model."""

from loadgen.machine import costs


def test_an_event_that_is_alone_wakes_its_worker_and_takes_more_of_it():
    assert costs.OPEN > costs.PING >= costs.MESSAGE > 0
    assert costs.OPEN_WAKES > costs.PING_WAKES > 1
    assert costs.WAKE > costs.PING
    assert costs.TLS_OPEN > costs.OPEN
