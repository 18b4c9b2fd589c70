"""The names of monotonic clocks."""

import re

import pytest

from loadgen.machine.clock import clock_name


def test_the_name_is_the_same_for_all_processes_of_a_host():
    assert re.fullmatch(r"[0-9a-f]{8}[0-9.m]*", clock_name())
    assert clock_name() == clock_name()


@pytest.mark.parametrize(
    ("offsets", "name"),
    [
        (None, "0b5c3a1d"),
        ("monotonic           0         0\nboottime            0         0\n", "0b5c3a1d"),
        ("monotonic        3600         5\nboottime            0         0\n", "0b5c3a1d.3600.5"),
        ("monotonic          -7         0\nboottime            0         0\n", "0b5c3a1d.m7.0"),
        ("boottime            7         0\n", "0b5c3a1d"),
    ],
)
def test_a_clock_in_a_time_namespace_has_another_name(tmp_path, offsets, name):
    boot = tmp_path / "boot_id"
    boot.write_text("0b5c3a1d-3d2e-4f6f-9a3b-0123456789ab\n")
    file = tmp_path / "timens_offsets"
    if offsets is not None:
        file.write_text(offsets)

    assert clock_name(boot, file) == name
