"""The file of calibrations on a real disk."""

import pytest

from coordinator.run.calibration import Ability, Calibration, Calibrations, Figure, Member
from coordinator.storage.calibrations import FILE, keep_calibration, read_calibrations
from loadgen.errors import OperatorError


def calibration(name):
    """Returns the calibration of a fleet of one agent."""
    figures = Ability(Figure(2000.0))
    member = Member(name, "Fast", 2, "3.12.1", "0.1.0")
    return Calibration((member,), "2026-11-28T19:30:00Z", "ws://a/", figures, {name: figures})


def test_the_calibrations_of_several_fleets_are_kept(tmp_path):
    assert read_calibrations(tmp_path) == Calibrations()

    assert keep_calibration(tmp_path, calibration("a")) == tmp_path / FILE
    keep_calibration(tmp_path, calibration("b"))
    assert read_calibrations(tmp_path).fleets == (calibration("a"), calibration("b"))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"fleets": [{"at": 1}]}', "{\xff"])
def test_a_damaged_file_is_an_error_and_stays_as_it_is(tmp_path, text):
    (tmp_path / FILE).write_text(text, encoding="latin-1")

    with pytest.raises(OperatorError, match=r"calibration.json is damaged: .*--calibrate"):
        keep_calibration(tmp_path, calibration("a"))
    assert (tmp_path / FILE).read_text(encoding="latin-1") == text


def test_a_file_that_can_not_be_read_or_written_is_an_error(tmp_path):
    (tmp_path / "a" / FILE).mkdir(parents=True)

    with pytest.raises(OperatorError, match="can't be read"):
        read_calibrations(tmp_path / "a")
    with pytest.raises(OperatorError, match="can't be written"):
        keep_calibration(tmp_path / "missing", calibration("a"))
