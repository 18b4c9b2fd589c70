"""The outlets of settled seconds: each second is in all of them."""

import json
from datetime import UTC, datetime

import pytest

from coordinator.http.server import Server
from coordinator.outlets import SecondOutlets
from coordinator.run.run import Run
from coordinator.settings import RunSettings
from coordinator.storage.disk import Disk
from coordinator.storage.writer import RunDir
from loadgen.values import Endpoint
from tests.unit.coordinator.fleet import PLAN, entries, opened, seconds, steer

BEGAN = 1_700_000_000.0
"""The wall time of the start of second 0."""


@pytest.mark.parametrize("tsung_log", ["text", "none"])
def test_a_second_goes_into_the_directory_the_page_and_the_log(tmp_path, tsung_log):
    settings = RunSettings(
        plan=PLAN, listen=Endpoint("127.0.0.1", 8091), out=tmp_path, tsung_log=tsung_log
    )
    run, disk = Run(PLAN, 1), Disk()
    folder = RunDir.create(tmp_path, PLAN, datetime.now(UTC), disk)
    server = Server(run, lambda: run.start, out=tmp_path)
    server.seconds = folder.seconds.since
    outlets = SecondOutlets(settings, run, folder, server, None, lambda _: BEGAN, print)
    for number, entry in enumerate(entries(run, *(seconds(opened(n, 5)) for n in range(2)))):
        outlets.write(entry)
        if number == 0:
            steer(run, 1.0, rate=50.0)
    outlets.end(BEGAN + 2.0)
    folder.close()

    assert [json.loads(line)["second"] for line in server.seconds(0)] == [0, 1]
    assert outlets.export_summaries() == []
    log = folder.path / "tsung.log"
    assert log.exists() == (tsung_log == "text")
    if tsung_log == "text":
        assert "# asked by hand: rate 50/s from second 2" in log.read_text()
