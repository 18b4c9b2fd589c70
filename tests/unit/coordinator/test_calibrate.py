"""The plan of a calibration, and the lines that later runs get of it."""

import pytest

from coordinator.calibrate import Calibrator, calibration_plan
from coordinator.doubts import doubts_of
from coordinator.run.calibration import Ability, Figure, Member
from coordinator.run.run import Run
from coordinator.storage.calibrations import FILE
from loadgen.errors import FleetError, OperatorError, PlanError
from loadgen.machine.facts import read_machine
from tests.processes import free_port
from tests.unit.coordinator.fleet import PLAN, beat, opened, started

TARGET = "ws://127.0.0.1:1/v1/realtime?project=console&channels[]=files"
A = Member("a", "", 2, "", "")
FIGURES = Ability(Figure(100.0))


def silent(text):
    raise AssertionError(text)


def calibrator(target, out):
    return Calibrator(target, out, lambda: "", silent)


def test_an_agent_elsewhere_is_calibrated_as_if_it_had_one_worker():
    planned = [span.planned for span in calibration_plan(TARGET, 3, 1, None).schedule.spans]

    assert planned[1] == 48_000
    assert calibration_plan(TARGET, 3, 0, 300).schedule.spans[1].planned == 300


def test_a_local_agent_is_calibrated_with_a_worker_for_each_core():
    cores = read_machine().cpus

    opened = calibration_plan(TARGET, 1, 1, None).schedule.spans[1].planned
    assert opened == min(16_000 * cores, 56_000)


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("wss://a/v1/realtime?channels[]=files", "speaks ws:// only"),
        ("ws://a/v1/realtime", "names none; add"),
        ("http://a/", "not a WebSocket URL"),
    ],
)
def test_a_target_that_is_not_the_embedded_one_is_refused(target, why):
    with pytest.raises(PlanError, match=why):
        calibration_plan(target, 1, 1, None)


async def test_a_target_that_does_not_answer_as_the_embedded_one_is_an_error(tmp_path):
    with pytest.raises(OperatorError, match="found no loadgen-target at http://127"):
        await calibrator(TARGET.replace(":1/", f":{free_port()}/"), tmp_path).check_target()


def test_a_run_in_which_nothing_opened_or_an_agent_was_lost_calibrates_nothing(tmp_path):
    run = Run(PLAN, 1)
    agents = started(run, names=("a",))
    with pytest.raises(OperatorError, match="nothing opened at"):
        calibrator(TARGET, tmp_path).keep(run)

    beat(run, agents, run.start + 1.0, opened(0, 10))
    run.lose_agent("a", "killed")
    with pytest.raises(FleetError, match="agent a was lost"):
        calibrator(TARGET, tmp_path).keep(run)
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_measured_is_kept_and_later_runs_are_compared_with_it(tmp_path):
    run = Run(calibration_plan(TARGET, 1, 1, 300), 1)
    agents = started(run, names=("a",))
    shell = calibrator(TARGET, tmp_path)
    for number in range(4):
        _, entries = beat(run, agents, run.start + 1.0 + number, opened(number, 100))
        for entry in entries:
            shell.add(entry.row)
    kept, workers, file = shell.keep(run)

    assert (kept.members, kept.target, list(kept.agents)) == ((A,), TARGET, ["a"])
    assert list(workers) == ["a"]
    assert file == tmp_path / FILE
    assert kept.fleet.opens == Figure(100.0, at_least=True)
    (line, *_) = doubts_of(run, tmp_path)
    assert line.startswith("the plan asks for 600 arrivals/s, this fleet was calibrated at 100/s")
