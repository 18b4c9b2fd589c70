"""The order in which users arrive on one worker: gates and reassigned shares."""

from math import inf

import pytest

from loadgen.plan.reassign import Reassignment, Unfinished
from loadgen.plan.shares import NO_SHARE, Share
from loadgen.worker.arrivals import Arrivals

TOTAL = 12


def dues(share, gate):
    """Returns six users behind each of two gates, one a second."""
    first = 6 * gate
    return ((number, float(number - first)) for number in share.numbers(first + 6, first))


def taken(arrivals):
    """Takes the users that may arrive now: number, age of the launch, age when due."""
    found = []
    while arrivals.next_launch < inf:
        launch = arrivals.next_launch
        number, due = arrivals.take()
        found.append((number, launch, due))
    return found


def test_users_arrive_in_order_until_the_gate():
    arrivals = Arrivals(dues, Share(), 2)

    assert taken(arrivals) == [(number, number, number) for number in range(6)]
    assert (arrivals.next_gate, arrivals.over) == (1, False)


def test_a_gate_opens_once_and_shifts_its_arrivals():
    arrivals = Arrivals(dues, Share(), 2)
    taken(arrivals)

    assert not arrivals.open_gate(2, 50.0)
    assert arrivals.open_gate(1, 100.0)
    assert not arrivals.open_gate(1, 200.0)
    assert taken(arrivals) == [(number, 94.0 + number, 94.0 + number) for number in range(6, 12)]
    assert (arrivals.next_gate, arrivals.over) == (0, True)


def test_a_gate_that_the_plan_does_not_have_opens_nothing():
    arrivals = Arrivals(dues, Share(), 1)

    assert not arrivals.open_gate(0, 100.0)
    assert not arrivals.open_gate(1, 100.0)
    assert len(taken(arrivals)) == 6
    assert arrivals.over


def test_after_a_stop_no_user_arrives_behind_any_gate():
    arrivals = Arrivals(dues, Share(), 2)
    arrivals.stop()

    assert arrivals.over
    assert not arrivals.open_gate(1, 100.0)
    assert arrivals.next_launch == inf


def test_reassigned_users_come_at_their_pace_and_keep_their_due_times():
    arrivals = Arrivals(dues, NO_SHARE, 2)
    arrivals.reassign(Reassignment(Unfinished(Share(), 0, 3), at=10.0, pace=2.0), delay=4.0)

    assert taken(arrivals) == [(3, 7.5, 3.0), (4, 8.0, 4.0), (5, 8.5, 5.0)]
    assert arrivals.open_gate(1, 100.0)
    assert taken(arrivals)[0] == (6, 100.0, 100.0)


@pytest.mark.parametrize("reassigned_first", [True, False])
def test_own_and_reassigned_users_are_merged_by_launch(reassigned_first):
    even, odd = Share().split([1, 1])
    arrivals = Arrivals(dues, even, 1)
    if not reassigned_first:
        arrivals.take()
    arrivals.reassign(Reassignment(Unfinished(odd, 0, 0), at=0.0, pace=1000.0), delay=0.0)

    ages = [launch for _, launch, _ in taken(arrivals)]
    assert ages == sorted(ages)
    assert len(ages) == 6 - (not reassigned_first)


def hurried(share, gate=0):
    """Returns the users of `dues`, the last two of six ten times as fast."""
    return (
        (number, float(number) if number < 4 else 4.0 + (number - 4) / 10)
        for number in share.numbers(8)
    )


def later(share):
    """Returns the users of `hurried` that the change brought."""
    return (due for due in hurried(share) if due[0] >= 4)


def test_a_change_replaces_the_users_from_a_number_on():
    arrivals = Arrivals(dues, Share(), 1)
    taken_before = [arrivals.take() for _ in range(2)]

    arrivals.steer(hurried, 4, later)

    assert taken_before == [(0, 0.0), (1, 1.0)]
    assert [due[::2] for due in taken(arrivals)] == [
        (2, 2.0),
        (3, 3.0),
        (4, 4.0),
        (5, 4.1),
        (6, 4.2),
        (7, 4.3),
    ]
    assert arrivals.over


@pytest.mark.parametrize(("before", "left"), [(5, [5, 6, 7]), (6, [6, 7])])
def test_a_change_that_comes_late_launches_no_user_twice(before, left):
    arrivals = Arrivals(dues, Share(), 1)
    for _ in range(before):
        arrivals.take()

    arrivals.steer(hurried, 4, later)

    assert [number for number, _, _ in taken(arrivals)] == left


def test_a_change_may_end_all_arrivals():
    arrivals = Arrivals(dues, Share(), 1)

    arrivals.steer(hurried, 0, lambda share: iter(()))

    assert arrivals.over


def test_reassigned_users_follow_a_change_too_before_it_and_after_it():
    even, odd = Share().split([1, 1])
    arrivals = Arrivals(dues, even, 1)
    arrivals.reassign(Reassignment(Unfinished(odd, 0, 0), at=0.0, pace=1000.0), delay=0.0)
    arrivals.steer(hurried, 4, later)
    assert [number for number, _, _ in taken(arrivals)] == list(range(8))

    arrivals = Arrivals(dues, even, 1)
    arrivals.steer(hurried, 4, later)
    arrivals.reassign(Reassignment(Unfinished(odd, 0, 0), at=0.0, pace=1000.0), delay=0.0)
    assert [number for number, _, _ in taken(arrivals)] == list(range(8))
