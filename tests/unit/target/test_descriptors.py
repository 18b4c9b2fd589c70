"""How many workers a limit takes."""

import resource

import pytest

from loadgen.target.descriptors import most_connections, raise_limit, workers_for


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
    assert workers * most_connections(workers, descriptors) >= limit


def test_no_worker_holds_less_than_nothing():
    assert most_connections(60, 100) == 0


def test_raises_to_the_hard_limit():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] // 2, before[1]))

        assert raise_limit() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
