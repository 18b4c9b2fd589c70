"""histograms.hlog, read back by HdrHistogram's own reader."""

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from coordinator.run.run import Run
from tests.unit.coordinator.fleet import PLAN, entries, opened, seconds
from tests.unit.coordinator.storage.conftest import START, intervals


def test_the_histogram_log_holds_every_value_at_its_second(folder):
    run = Run(PLAN, 1)
    for entry in entries(
        run, seconds(opened(0, 10, rtt=1)), seconds(opened(1, 5, held=15, rtt=60_000_000))
    ):
        folder.write_entry(entry)

    reader = HistogramLogReader(
        str(folder.path / "histograms.hlog"), HdrHistogram(1, 3_600_000_000, 2)
    )
    found = []
    while (interval := reader.get_next_interval_histogram()) is not None:
        second = round(interval.get_start_time_stamp() / 1000 - START.timestamp())
        found.append(
            (interval.get_tag(), second, interval.get_total_count(), interval.get_max_value())
        )
    reader.input_file.close()

    assert [row[:3] for row in found] == [
        ("handshake", 0, 10),
        ("ping_rtt", 0, 10),
        ("handshake", 1, 5),
        ("ping_rtt", 1, 5),
    ]
    assert found[1][3] == 1
    assert found[3][3] == pytest.approx(60_000_000, rel=0.01)


def test_the_timings_of_sessions_are_in_the_histogram_log_by_their_names(folder):
    second = opened(0, 1)
    for name in ("tr_login", "a, b\nc", "handshake"):
        second.tally.time(name, 5000)
    for entry in entries(Run(PLAN, 1), seconds(second)):
        folder.write_entry(entry)

    assert intervals(folder.path / "histograms.hlog") == {
        "handshake": 1,
        "ping_rtt": 1,
        "timing.tr_login": 1,
        "timing.a-b_c": 1,
        "timing.handshake": 1,
    }
