"""The yardstick of a core measures, and leaves nothing open."""

import os

from loadgen.machine.speed import round_trip_seconds


def test_a_round_trip_takes_some_cpu_and_leaves_no_descriptor_open():
    before = len(os.listdir("/proc/self/fd"))

    assert 1e-6 < round_trip_seconds() < 0.1
    assert len(os.listdir("/proc/self/fd")) == before
