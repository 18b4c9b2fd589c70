"""The watch over the disk: the operator learns what can't be written, once."""

from datetime import UTC, datetime
from threading import Event

import pytest

from coordinator.disk_watch import DiskWatch
from coordinator.run.notices import Notices
from coordinator.storage.disk import Disk
from coordinator.storage.journal import Journal
from coordinator.storage.writer import RunDir
from tests.processes import PATIENCE
from tests.unit.coordinator.fleet import PLAN
from tests.unit.coordinator.folders import journal_head
from tests.unit.wire_ends import until


class Watched:
    """A run directory on a disk that is watched, and what the operator was told."""

    def __init__(self, out):
        self.disk = Disk()
        self.folder = RunDir.create(out, PLAN, datetime.now(UTC), self.disk)
        self.journal = Journal.begin(self.folder.path, journal_head(PLAN), self.disk)
        self.notices = Notices()
        self.warned = []
        self.watch = DiskWatch(
            self.disk, self.folder, self.journal, self.notices, self.warned.append
        )

    def told(self):
        return [notice.text for notice in self.notices.take()]


@pytest.fixture
def watched(tmp_path):
    found = Watched(tmp_path)
    yield found
    found.folder.close()
    found.journal.close()
    found.disk.stop()


async def test_a_disk_that_stands_still_is_told_once_and_so_is_that_it_goes_on(
    watched, monkeypatch
):
    monkeypatch.setattr("coordinator.disk_watch.STANDSTILL", 1.0)
    goes_on = Event()
    watched.disk.start()
    watched.disk.do(goes_on.wait)
    await until(lambda: watched.watch.stands_still)
    for _ in range(2):
        watched.watch.look()
    assert watched.told() == [
        f"the disk of {watched.folder.path} stands still: what has to be written waits, and the"
        " run goes on"
    ]

    goes_on.set()
    assert await watched.disk.done(PATIENCE)
    await until(lambda: not watched.watch.stands_still)
    for _ in range(2):
        watched.watch.look()
    assert watched.told() == [f"the disk of {watched.folder.path} goes on"]


def test_what_can_not_be_written_is_said_once(watched):
    watched.folder.complaint = "no space left"
    for _ in range(2):
        watched.watch.complain()

    assert watched.warned == ["no space left"]


def test_seconds_that_are_not_in_the_directory_are_named(watched):
    watched.watch.complain_of_gaps()
    watched.folder.unwritten += [3, 4, 9]
    watched.watch.complain_of_gaps()

    assert watched.warned == [
        "3 settled seconds are not in seconds.ndjson, from 3 to 9: its disk stood still"
    ]
