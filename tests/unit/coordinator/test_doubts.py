"""The lines about rates that a fleet may not reach."""

from coordinator.doubts import doubts
from coordinator.run.calibration import Ability, Calibration, Figure, Member
from coordinator.storage.calibrations import FILE, keep_calibration
from loadgen.plan.plan import Plan

TARGET = "ws://127.0.0.1:1/v1/realtime?project=console&channels[]=files"
A = Member("a", "", 2, "", "")
FIGURES = Ability(Figure(100.0))


def test_a_fleet_that_is_not_calibrated_is_told_nothing(tmp_path):
    keep_calibration(tmp_path, Calibration((A,), "2026-11-28", TARGET, FIGURES, {"a": FIGURES}))
    plan = Plan(rate=90.0, max=10)

    assert doubts(plan, tmp_path, [Member("b", "", 2, "", "")], {"b": 1.0}) == []
    assert doubts(plan, tmp_path, [A], {"a": 1.0}) == [
        "the plan asks for 90 arrivals/s, this fleet was calibrated at 100/s on 2026-11-28: 90 %"
    ]


def test_a_damaged_file_does_not_keep_a_run_from_starting(tmp_path):
    (tmp_path / FILE).write_text("{")

    (line,) = doubts(Plan(), tmp_path, [A], {"a": 1.0})
    assert "calibration.json is damaged" in line
