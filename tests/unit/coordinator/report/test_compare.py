"""Runs beside a baseline."""

import msgspec
import pytest

from coordinator.report.compare import (
    RegressionLimit,
    differences,
    limits_of,
    regressions,
    warnings,
)
from coordinator.storage.reader import RunRecord
from loadgen.errors import PlanError
from loadgen.plan.plan import Plan

SUMMARY = {
    "verdict": "pass",
    "launched": 1000,
    "opened": 1000,
    "open_peak": 1000,
    "rate_achieved": 200.0,
    "plateau_s": 60,
    "failed": {},
    "lost": 0,
    "late": 0,
    "pings": 5000,
    "messages_received": 0,
    "invalid_seconds": [],
    "agents": [{}],
    "histograms": {"handshake": {"count": 1000, "p50": 1.0, "p99": 10.0}},
}


def changed(**figures):
    return SUMMARY | figures


def judged(after, **options):
    return {one.name: one.judgement for one in differences(SUMMARY, after, **options)}


def test_which_way_a_figure_went_is_judged_by_what_it_is():
    slow = {"handshake": {"count": 1000, "p50": 0.5, "p99": 12.0}}

    found = judged(
        changed(
            open_peak=900, rate_achieved=400.0, failed={"refused": 1}, histograms=slow, pings=9000
        )
    )

    assert found["open_peak"] == found["failed"] == found["handshake_p99"] == "worse"
    assert found["rate_achieved"] == found["handshake_p50"] == "better"
    assert found["pings"] == "differs"
    assert found["opened"] == "same"
    assert "delivery_p99" not in found, "neither run measured it"


def test_what_lies_within_the_tolerance_is_the_same():
    assert judged(changed(open_peak=960))["open_peak"] == "same"
    assert judged(changed(open_peak=960), tolerance=1.0)["open_peak"] == "worse"


def test_a_regression_is_a_limit_that_is_broken():
    slow = changed(histograms={"handshake": {"count": 1000, "p50": 1.0, "p99": 12.0}})

    assert regressions(SUMMARY, slow, limits_of(["handshake_p99:25%", "failed"], 5.0)) == []
    assert regressions(SUMMARY, slow, limits_of(["handshake_p99:10%"], 5.0)) == [
        "handshake_p99: 10 before, now 12, +20.0 %; 10 % are allowed"
    ]
    assert len(regressions(SUMMARY, slow, limits_of(["any"], 5.0))) == 1
    assert regressions(SUMMARY, changed(histograms={}), limits_of(["handshake_p99"], 5.0)) == [
        "handshake_p99: 10 before, now not measured; 5 % are allowed"
    ]
    assert regressions(SUMMARY, changed(lost=1), [RegressionLimit("lost", 50.0)]), (
        "none before, so every one is too many"
    )


@pytest.mark.parametrize(
    "text", ["", "speed", "open_peak:", "open_peak:10", "open_peak>5", "pings"]
)
def test_what_is_no_figure_is_one_line(text):
    with pytest.raises(PlanError, match="--fail-on"):
        limits_of([text], 5.0)


def test_runs_that_differ_otherwise_are_told():
    machine = {"cpus": 2, "memory_available": 1}
    facts = {"agents": [{"name": "a", "machine": machine}]}
    one = RunRecord("one", SUMMARY, [], Plan(), "", facts, {})
    moment = msgspec.structs.replace(
        one, facts={"agents": [{"name": "b", "machine": machine | {"memory_available": 2}}]}
    )
    other = RunRecord(
        "other",
        changed(verdict="stopped", invalid_seconds=[{}], agents=[{}, {}]),
        [],
        Plan(rate=5.0),
        "",
        {"agents": [{"name": "a", "machine": {"cpus": 4}}]},
        {},
    )

    assert list(warnings(one, moment)) == []
    assert list(warnings(one, other)) == [
        "other did not come to its end (stopped)",
        "other has 1 invalid seconds",
        "the plans differ: rate 2000.0 / 5.0",
        "the fleets differ: 1 / 2 agents",
        "the machines differ: cpus",
    ]
