"""The driver of the headline run refuses what this machine can't hold.

It does not publish the name of the machine.
"""

import socket

import msgspec
import pytest

from loadgen.errors import OperatorError
from loadgen.machine.facts import Machine
from loadgen.plan.plan import Plan
from tests.million.options import MillionOptions, check_room, name_of
from tests.million.publish import check_private

GIB = 1 << 30
AMPLE = Machine(cpus=2, memory_available=24 * GIB, nofile_hard=20_000)


def test_a_million_fits_into_what_a_million_needs():
    check_room(MillionOptions(), AMPLE)


@pytest.mark.parametrize(
    ("asked", "machine", "words"),
    [
        (
            MillionOptions(),
            {"memory_available": 12 * GIB},
            r"can't hold 1,000,000 .* memory gives out at 8\d\d,\d{3} .* by 1",
        ),
        (
            MillionOptions(),
            {"cgroup_headroom": 12 * GIB},
            r"memory gives out at .*raise the container's memory limit",
        ),
        (
            MillionOptions(),
            {"file_max": 1_500_000},
            r"file_max gives out at 750,000 .*sysctl -w fs.file-max=",
        ),
        (
            MillionOptions(agents=15),
            {},
            "--agents 15 hold 960,000 connections at most; ask for --agents 16",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(asked, machine, words):
    with pytest.raises(OperatorError, match=words) as refusal:
        check_room(asked, msgspec.structs.replace(AMPLE, **machine))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("plan", "name"),
    [
        (Plan(), "ping-30s"),
        (Plan(think=2.5), "ping-2.5s"),
        (Plan(ping="app"), "app-ping-30s"),
        (Plan(ping="none"), "silent"),
        (Plan(ping="none", max=1_600_000), "silent-1600000"),
        (Plan(max=1_000_000, rate=5000.0), "ping-30s-at-5000"),
        (Plan(max=1_000_000, rate=5000.0, grain="50ms"), "ping-30s-at-5000-grain-50ms"),
    ],
)
def test_a_run_is_published_by_what_it_does(plan, name):
    assert name_of(plan) == name


@pytest.mark.parametrize(
    ("text", "private"), [("127.0.0.1:9505", False), ("at {}.", True), ("x{}y", False)]
)
def test_the_name_of_the_machine_is_not_published(tmp_path, monkeypatch, text, private):
    monkeypatch.setattr(socket, "gethostname", lambda: "workshop-7")
    (tmp_path / "run.json").write_text(text.format("workshop-7"))

    if private:
        with pytest.raises(
            OperatorError, match=r"run\.json holds this machine's name \(workshop-7\)"
        ):
            check_private(tmp_path)
    else:
        check_private(tmp_path)
