"""A run directory on a real disk.

HdrHistogram's own reader reads its log.
"""

from datetime import UTC, datetime

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from coordinator.storage.writer import RunDir
from tests.unit.coordinator.fleet import PLAN

START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    folder = RunDir.create(tmp_path / "runs", PLAN, START)
    folder.begin(START)
    yield folder
    folder.close()


def intervals(path):
    """Returns how many values each tag of a histogram log has."""
    reader = HistogramLogReader(str(path), HdrHistogram(1, 3_600_000_000, 2))
    counts = {}
    while (interval := reader.get_next_interval_histogram()) is not None:
        counts[interval.get_tag()] = counts.get(interval.get_tag(), 0) + interval.get_total_count()
    reader.input_file.close()
    return counts
