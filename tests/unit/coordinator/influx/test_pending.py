"""The seconds that wait for a receiver."""

from coordinator.influx.pending import Pending
from coordinator.report.samples import Sample


def sample(second):
    return Sample(second, {}, {}, {}, [])


def state(pending):
    return pending.waiting, pending.taken, pending.missing


def test_seconds_wait_in_their_order_until_they_are_taken():
    pending = Pending(10)
    samples = [sample(second) for second in range(5)]
    assert [pending.add(one) for one in samples] == [False] * 5

    assert pending.first(2) == samples[:2]
    pending.take(samples[:2])

    assert pending.first(10) == samples[2:]
    assert state(pending) == (3, 2, 0)


def test_a_newer_version_of_a_second_is_sent_again():
    pending = Pending(10)
    partial, corrected = sample(0), sample(0)
    pending.add(partial)
    pending.take([partial])

    pending.add(corrected)
    assert state(pending) == (1, 0, 0)

    pending.take([corrected])
    assert state(pending) == (0, 1, 0)


def test_a_newer_version_that_came_during_the_post_still_waits():
    pending = Pending(10)
    partial, corrected = sample(0), sample(0)
    pending.add(partial)
    pending.add(corrected)

    pending.take([partial])

    assert pending.first(10) == [corrected]
    assert state(pending) == (1, 0, 0)


def test_where_too_many_wait_the_oldest_is_dropped_and_counted():
    pending = Pending(room=2)

    assert [pending.add(sample(second)) for second in range(4)] == [False, False, True, True]
    assert [one.second for one in pending.first(10)] == [2, 3]
    assert state(pending) == (2, 0, 2)


def test_refused_seconds_are_missing_until_a_newer_version_is_taken():
    pending = Pending(10)
    refused, corrected = sample(0), sample(0)
    pending.add(refused)
    pending.refuse([refused])
    assert state(pending) == (0, 0, 1)

    pending.add(corrected)
    pending.take([corrected])

    assert state(pending) == (0, 1, 0)
