"""A fleet that is calibrated, and the runs after that."""

import json

import pytest

from tests.processes import free_port, run

TIMEOUT = 120.0
"""Seconds; a calibration takes some thirty."""


@pytest.mark.longest
def test_a_fleet_is_calibrated_and_a_plan_beyond_it_is_told(tmp_path):
    target = f"ws://127.0.0.1:{free_port()}/v1/realtime?project=console&channels[]=files"
    fleet = ["--local", "1", "--with-target", "--listen", "127.0.0.1:0", "--out", str(tmp_path)]
    calibrated = run(
        "loadgen-coord", "--calibrate", "--max", "1000", "--json", *fleet, target, timeout=TIMEOUT
    )
    assert calibrated.returncode == 0, calibrated.stderr
    shown = json.loads(calibrated.stdout.splitlines()[-1])
    kept = json.loads((tmp_path / "calibration.json").read_text())

    assert kept["fleets"] == [shown]
    assert "messages/s" in calibrated.stderr
    figures = shown["agents"]["local-1"]
    opens = figures["opens"]["rate"]
    assert 0 < opens <= 1000
    assert figures["messages"]["rate"] > 0

    beyond = [f"--rate={opens * 2}", "--max=20", "--hold=0", "--think=1000"]
    line = "arrivals/s, this fleet was calibrated at"
    dry = run("loadgen-coord", *fleet, *beyond, "--dry-run", target)
    assert line in dry.stdout
    after = run("loadgen-coord", *fleet, *beyond, target)
    assert after.returncode == 0, after.stderr
    assert line in after.stderr

    report = run("loadgen-report", "--trend", *map(str, sorted(tmp_path.iterdir())))
    assert report.returncode == 0, report.stderr
