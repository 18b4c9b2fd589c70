"""The counters add up over their rows, and the limit is exact."""

import subprocess
import sys

from loadgen.target.counters import (
    CLOSED,
    OPENED,
    PINGED,
    PINGS,
    RECEIVED,
    REFUSED,
    SENT,
    Counters,
    WorkerCounters,
)


def counters_of(workers: int, limit: int, most: int = 100) -> tuple[Counters, list[WorkerCounters]]:
    counters = Counters(workers, limit, most)
    return counters, [WorkerCounters(counters, number) for number in range(workers)]


def test_all_counters_begin_at_0():
    assert set(Counters(3, 10, 10).stats().values()) == {0}


def test_sums_its_rows():
    counters, (one, other) = counters_of(2, 10)
    for cell in (PINGS, RECEIVED, SENT, REFUSED, PINGED):
        one.cells[cell] += cell
        other.cells[cell] += 10 * cell
    one.admit()
    other.admit()
    other.release()

    assert counters.stats() == {
        "open": 1,
        "opened": 2,
        "closed": 1,
        "pings": 11 * PINGS,
        "pinged": 11 * PINGED,
        "messages": 11 * SENT,
        "refused": 11 * REFUSED,
        "messages_received": 11 * RECEIVED,
        "messages_sent": 11 * SENT,
    }


def test_the_limit_holds_over_all_workers():
    counters, (one, other) = counters_of(2, 3)

    assert [worker.admit() for worker in (one, other, one, other, one)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    other.release()
    assert one.admit()
    assert not other.admit()
    assert counters.held[0] == 3
    assert (counters.total(OPENED), counters.total(CLOSED), counters.total(REFUSED)) == (4, 1, 3)


def test_a_worker_without_descriptors_refuses_while_another_admits():
    counters, (one, other) = counters_of(2, 10, most=1)

    assert one.admit()
    assert not one.admit()
    assert other.admit()
    assert (counters.held[0], one.cells[REFUSED]) == (2, 1)


def test_a_limit_of_0_admits_nothing():
    _, (counters,) = counters_of(1, 0)

    assert not counters.admit()


def test_rows_do_not_touch():
    counters, _ = counters_of(3, 10)
    for number in range(3):
        for cell in range(len(counters.row(number))):
            counters.row(number)[cell] = number + 1

    assert [set(counters.row(number)) for number in range(3)] == [{1}, {2}, {3}]
    assert counters.held[0] == 0


RUSH = """
import os
from loadgen.target.counters import CLOSED, OPENED, REFUSED, WorkerCounters, Counters

ledger = Counters(4, 15_000, 1_000_000)
for number in range(4):
    if not os.fork():
        book = WorkerCounters(ledger, number)
        for turn in range(20_000):
            if book.admit() and turn % 2:
                book.release()
        os._exit(0)
for _ in range(4):
    os.wait()
opened, closed, refused = map(ledger.total, (OPENED, CLOSED, REFUSED))
print(ledger.held[0], opened - closed, opened + refused)
"""


def test_a_rush_on_several_cores_is_counted_exactly():
    """In a process of its own, since one with threads should not fork."""
    counted = subprocess.check_output([sys.executable, "-c", RUSH], text=True)

    assert counted == "15000 15000 80000\n"
