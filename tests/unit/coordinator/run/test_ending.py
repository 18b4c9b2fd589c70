"""The ending of a run: its drain and its stop have bounds."""

from math import inf

from coordinator.run.ending import (
    DRAIN_TIMEOUT,
    STOP_BY_HAND_TIMEOUT,
    STOP_TIMEOUT,
    Ending,
)


def test_a_run_that_does_not_end_is_never_overdue():
    ending = Ending()

    assert not ending.is_overdue(1e9)
    assert ending.drained_at == inf


def test_a_drain_and_a_stop_have_one_bound_after_the_other():
    ending = Ending()
    ending.drain(10.0)
    assert not ending.is_overdue(10.0 + DRAIN_TIMEOUT - 0.1)
    assert ending.is_overdue(10.0 + DRAIN_TIMEOUT)

    ending.stop(200.0)

    assert (ending.drained_at, ending.stopping) == (10.0, True)
    assert not ending.is_overdue(200.0 + STOP_TIMEOUT - 0.1)
    assert ending.is_overdue(200.0 + STOP_TIMEOUT)


def test_the_operators_second_stop_waits_for_nothing():
    ending = Ending()
    ending.stop_by_hand(10.0)
    assert not ending.is_overdue(10.0 + STOP_BY_HAND_TIMEOUT - 0.1)

    ending.stop_by_hand(11.0)

    assert ending.is_overdue(11.0)


def test_its_times_move_with_the_clock_of_the_run():
    ending = Ending()
    ending.drain(10.0)
    ending.shift(60.0)

    assert ending.drained_at == 70.0
    assert not ending.is_overdue(10.0 + DRAIN_TIMEOUT)
    assert ending.is_overdue(70.0 + DRAIN_TIMEOUT)
