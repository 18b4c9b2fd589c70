"""The counters of this machine."""

import os

from loadgen.machine.host import Reading
from loadgen.machine.proc import read_host


def test_this_machine_has_counters_and_they_grow():
    before, after = read_host(), read_host()

    assert before.cores.keys() == {f"cpu{core}" for core in os.sched_getaffinity(0)}
    assert after.counters["switches"] >= before.counters["switches"] > 0
    assert after.counters["listen_overflows"] >= before.counters["listen_overflows"] >= 0
    assert before.gauges["running"] >= 1


def test_a_machine_that_shows_nothing_has_no_counters(tmp_path):
    assert read_host(tmp_path) == Reading({}, {}, {})
