"""An agent on another clock: its offset is known, and it starts with the others."""

import json
import re
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from time import time

import pytest

from coordinator.text import ms
from tests.processes import Command, agent, command, coordinator, own_source

AHEAD = 1000
"""Seconds by which the monotonic clock of the second agent is ahead."""
OTHER_CLOCK = ["unshare", "--time", "--fork", "--monotonic", str(AHEAD)]
"""Runs a command in a time namespace (time_namespaces(7))."""


@pytest.fixture(scope="module")
def run_on_two_clocks(server, tmp_path_factory):
    """A run of two agents that is over; one of them was in a time namespace."""
    if subprocess.run([*OTHER_CLOCK, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a time namespace needs root")
    out = tmp_path_factory.mktemp("runs")
    options = ("--agents", "2", "--rate", "100", "--max", "200", "--hold", "8", "--think", "1")
    options += ("--publish", "target", "--publish-rate", "5")
    with coordinator(out, *options, server.ws) as coord, agent(coord.url, "--name", "here"):
        there = ["--name", "there", "--metrics", "127.0.0.1:0", "--source", own_source()]
        join = command("loadgen-agent", "--coordinator", coord.url, "--workers", "1", *there)
        with closing(Command([*OTHER_CLOCK, "--kill-child", *join])):
            assert coord.end(60) == 0, coord.err
        yield coord


def test_the_offset_of_each_clock_is_known_within_its_bound(run_on_two_clocks):
    facts = json.loads((run_on_two_clocks.folder / "run.json").read_text())
    clocks = {found["name"]: found["clock"] for found in facts["agents"]}

    for name, offset in (("here", 0.0), ("there", -AHEAD)):
        clock = clocks[name]
        assert abs(clock["offset_s"] - offset) <= clock["bound_s"] < 0.5
        assert abs(clock["wall_ahead_s"]) <= clock["bound_s"] + 0.05
        assert clock["steps"] == 0


def test_an_agent_on_another_clock_starts_with_the_others(run_on_two_clocks):
    summary, first = run_on_two_clocks.summary(), run_on_two_clocks.rows()[0]

    assert {one["name"]: one["opened"] for one in summary["agents"]} == {"here": 100, "there": 100}
    assert all(part["rates"]["launched"] for part in first["agents"].values())
    assert first["missing"] == []


def test_deliveries_across_clocks_have_times_with_a_bound(run_on_two_clocks):
    summary = run_on_two_clocks.summary()
    bound = summary["publications"]["clock_bound_ms"]

    assert summary["reach"] == 100.0
    assert summary["histograms"]["delivery"]["count"] == summary["delivery_expected"] > 1000
    assert summary["delivery_untimed"] == summary["delivery_negative"] == 0
    assert summary["histograms"]["delivery"]["max"] < 30_000, "not a thousand seconds"
    assert 0 < bound < 1000
    assert f"times of delivery are ± {ms(bound)} ms" in run_on_two_clocks.out


def test_files_have_the_wall_time_of_second_0(run_on_two_clocks):
    folder = run_on_two_clocks.folder
    facts = json.loads((folder / "run.json").read_text())
    second_0 = datetime.fromisoformat(facts["second_0"])
    began = datetime.fromisoformat(facts["started"])
    duration = timedelta(seconds=run_on_two_clocks.summary()["duration_s"])
    (base,) = re.findall(
        r"^#\[BaseTime: ([\d.]+) \(seconds", (folder / "histograms.hlog").read_text(), re.MULTILINE
    )
    *_, dump = re.findall(r"dump at (\d+)", (folder / "tsung.log").read_text())

    assert began < second_0 < datetime.fromtimestamp(time(), UTC) - duration
    assert float(base) == pytest.approx(second_0.timestamp(), abs=0.001)
    assert int(dump) == int(second_0.timestamp()) + len(run_on_two_clocks.rows())
