"""The two forms of a dump, and the figures of a sample."""

import json

import pytest
from msgspec.structs import replace

from coordinator.tsung.dump import WRITERS, Dump, StatsSample
from loadgen.stats.histogram import Histogram
from tests.unit.strategies import histogram_of

SAMPLE = StatsSample(2, 1.5, 0.5, 2.0, 1.0, 3.0, 4)
DUMP = Dump(1_600_000_010, 3, 5, (-1, 2), {"request": SAMPLE}, {"match": (1, 7), "200": (0, 1)})


def test_a_sample_of_an_empty_interval_keeps_the_extremes():
    sample = StatsSample.of(Histogram(), histogram_of([1000, 3000]))

    assert (sample.count, sample.mean, sample.stddev) == (0, 0.0, 0.0)
    assert (sample.min, sample.max) == (pytest.approx(1, rel=0.01), pytest.approx(3, rel=0.01))
    assert (sample.global_mean, sample.global_count) == (pytest.approx(2, rel=0.01), 2)


def test_the_text_has_a_statistic_on_each_line():
    writer = WRITERS["text"](1_600_000_000)

    assert (writer.dump(DUMP) + writer.end(1_600_000_020.25)).decode().splitlines() == [
        "# stats: dump at 1600000010",
        "stats: users 3 5",
        "stats: request 2 1.5 0.5 2.0 1.0 3.0 4",
        "stats: connected -1 2",
        "stats: match 1 7",
        "stats: 200 0 1",
        "EndMonitor:{1600,20,250000}",
    ]


def test_only_the_text_has_remarks():
    dump = replace(DUMP, remarks=["asked by hand: max 5"])

    assert WRITERS["text"](0).dump(dump) == b"# asked by hand: max 5\n" + WRITERS["text"](0).dump(
        DUMP
    )
    assert WRITERS["json"](0).dump(dump) == WRITERS["json"](0).dump(DUMP)


def test_the_json_is_one_object_that_begins_with_the_start_of_the_run():
    writer = WRITERS["json"](1_600_000_000)

    first, second = json.loads(writer.dump(DUMP) + writer.end(0.0))["stats"]

    assert first == {"timestamp": 1_600_000_000, "samples": []}
    assert second["timestamp"] == 1_600_000_010
    assert second["samples"] == [
        {"name": "users", "value": 3, "max": 5},
        {
            "name": "request", "value": 2, "mean": 1.5, "stddev": 0.5, "max": 2.0, "min": 1.0,
            "global_mean": 3.0, "global_count": 4,
        },
        {"name": "connected", "value": -1, "max": 2},
        {"name": "match", "value": 1, "total": 7},
        {"name": "http_200", "value": 0, "total": 1},
    ]  # fmt: skip
