"""The thread that writes a run directory."""

from threading import Event

import pytest

from coordinator.storage.disk import Disk
from tests.processes import PATIENCE
from tests.unit.wire_ends import until


@pytest.fixture
def disk():
    disk = Disk(most=10)
    yield disk
    disk.stop()


@pytest.fixture
def standstill(disk):
    """A disk that stands still until the event is set."""
    goes_on = Event()
    disk.start()
    disk.do(goes_on.wait)
    yield goes_on
    goes_on.set()


def test_jobs_are_done_at_once_before_there_is_a_thread(disk):
    done = []

    assert disk.do(lambda: done.append(1), 1000)
    assert done == [1]


async def test_a_thread_does_all_jobs_in_order(disk):
    done = []
    disk.start()
    for number in range(100):
        disk.do(lambda number=number: done.append(number))

    assert await disk.done(PATIENCE)
    assert done == list(range(100))
    assert disk.stands_still() == 0.0


async def test_a_disk_that_stands_still_keeps_no_caller_waiting_and_loses_no_job(disk, standstill):
    done = []
    await until(lambda: disk.stands_still() > 0)

    assert [disk.do(lambda: done.append(1), 4) for _ in range(3)] == [True, True, False]
    assert disk.do(lambda: done.append(2)), "a job of no bytes always fits"
    assert not await disk.done(0.0)
    assert done == []

    standstill.set()
    assert await disk.done(PATIENCE)
    assert done == [1, 1, 2]
    await until(lambda: disk.do(lambda: None, 10))


async def test_a_bug_in_a_job_ends_what_comes_after_it(disk):
    disk.start()
    disk.do(lambda: 1 / 0)
    await until(lambda: disk.stands_still() == 0 and disk._failure is not None)

    with pytest.raises(ZeroDivisionError):
        disk.do(lambda: None)


async def test_a_stopped_disk_does_everything_and_then_works_without_a_thread(disk, standstill):
    done = []
    disk.do(lambda: done.append("waited"))
    disk.stop()
    disk.do(lambda: done.append("at once"))
    standstill.set()
    await until(lambda: len(done) == 2)

    assert done == ["at once", "waited"]
