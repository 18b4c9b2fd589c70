"""The number of workers follows cores, descriptors and memory, with its reason."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.machine.addresses import DEFAULT_PORTS
from loadgen.machine.facts import Machine
from loadgen.machine.limits import GIB, MIB, WORKER_BYTES, client_limits, workers_needed
from loadgen.machine.workers import client_workers, target_workers

LOW, HIGH = 20_000, 1_000_000


@pytest.mark.parametrize(
    ("connections", "facts", "number", "reason"),
    [
        (64_000, {"cpus": 4, "nofile_hard": HIGH}, 4, "one a core"),
        (64_000, {"cpus": 4, "nofile_hard": HIGH, "memory_available": 16 * GIB}, 4, "one a core"),
        (1, {"cpus": 1}, 1, "one a core"),
        # What this project could not run on its machine of two cores and 20,000 descriptors.
        (1_000_000, {"cpus": 4, "nofile_hard": HIGH + 64}, 4, "one a core"),
        (4_000_000, {"cpus": 4, "nofile_hard": HIGH + 64}, 4, "one a core"),
        (1_000_000, {"cpus": 128, "nofile_hard": 1 << 20}, 128, "one a core"),
        (
            1_000_000,
            {"cpus": 2, "nofile_hard": LOW},
            51,
            "a process may open 20,000 files",
        ),
        (
            64_000,
            {"cpus": 64, "nofile_hard": HIGH, "memory_available": GIB},
            23,
            "1 GiB of memory leave no room for one a core",
        ),
        (
            64_000,
            {"cpus": 2, "memory_available": 64 * GIB, "cgroup_headroom": 256 * MIB},
            16,
            "a process may open 4,096 files",
        ),
        (
            64_000,
            {"cpus": 2, "nofile_hard": HIGH, "memory_available": 100 * MIB},
            1,
            "0.098 GiB of memory leave no room for one a core",
        ),
    ],
)
def test_the_count_follows_from_the_scarcest_resource(connections, facts, number, reason):
    assert client_workers(connections, Machine(**facts)) == (number, reason)


def test_tls_leaves_less_memory_for_workers():
    machine = Machine(cpus=64, nofile_hard=HIGH, memory_available=3 * GIB)

    assert client_workers(64_000, machine).number == 64
    assert client_workers(64_000, machine, tls=True).number == 32


def test_a_target_leaves_a_few_descriptors_of_each_worker_free():
    low = Machine(cpus=2, nofile_hard=LOW)

    assert target_workers(1_000_000, low) == (53, "a process may open 20,000 files")
    assert target_workers(10_000, low) == (2, "one a core")


@given(st.integers(1, 2_000_000), st.integers(65, HIGH), st.integers(1, 256), st.integers(0, 64))
@example(64_000, HIGH, 64, 1)
def test_workers_are_enough_for_the_descriptors_and_leave_memory_for_all_connections(
    connections, nofile, cores, gib
):
    machine = Machine(cpus=cores, nofile_hard=nofile, memory_available=gib * GIB)
    count = client_workers(connections, machine)
    limits = {
        limit.resource: limit.connections
        for limit in client_limits(
            machine,
            addresses=1,
            ports=DEFAULT_PORTS,
            workers=count.number,
            max_connections=connections,
        )
    }

    assert count.number >= 1
    assert limits["file_descriptors"] >= connections
    if count.number > cores:
        assert count.reason == f"a process may open {nofile:,} files"
    elif count.number > workers_needed(connections, machine, 1) and count.number < cores:
        assert limits["memory"] >= connections
        assert count.number * WORKER_BYTES < gib * GIB
