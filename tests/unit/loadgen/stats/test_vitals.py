"""The CPU and the memory of a worker process, as they come from outside."""

import msgspec
import pytest

from loadgen.stats.vitals import WorkerVitals


@pytest.mark.parametrize("field", ["worker", "cpu_s", "rss"])
def test_vitals_are_not_negative(field):
    values = {"worker": 3, "cpu_s": 1.5, "rss": 8_000_000}
    assert msgspec.convert(values, WorkerVitals) == WorkerVitals(3, 1.5, 8_000_000)

    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert(values | {field: -1}, WorkerVitals)
