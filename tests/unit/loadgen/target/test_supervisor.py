"""The number of workers that a limit needs."""

import pytest

from loadgen.target.supervisor import max_connections, workers_for


@pytest.mark.parametrize(
    ("limit", "cores", "descriptors", "workers"),
    [
        (0, 2, 20_000, 2),
        (19_000, 1, 20_000, 1),
        (19_001, 1, 20_000, 2),
        (1_000_000, 2, 20_000, 53),
        (1_000_000, 16, 1_048_576, 16),
    ],
)
def test_workers(limit, cores, descriptors, workers):
    assert workers_for(limit, cores, descriptors) == workers
    assert workers * max_connections(workers, descriptors) >= limit


def test_a_worker_holds_no_negative_number():
    assert max_connections(60, 100) == 0
