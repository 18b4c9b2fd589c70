"""Runs beside a baseline."""

import pytest
from msgspec.structs import replace

from coordinator.report.compare import (
    RegressionLimit,
    differences,
    limits_of,
    regressions,
    warnings,
)
from coordinator.run.steering import AskedChange
from coordinator.run.summary import InvalidSecond
from coordinator.storage.reader import AgentFacts, RunFacts
from loadgen.errors import PlanError
from loadgen.plan.plan import Plan
from loadgen.plan.steer import PlanChange
from tests.unit.coordinator.report.summaries import agent, percentiles, record, summary

SUMMARY = summary(
    launched=1000,
    opened=1000,
    open_peak=1000,
    rate_achieved=200.0,
    plateau_s=60,
    pings=5000,
    agents=[agent()],
    histograms={"handshake": percentiles(count=1000, p50=1.0, p99=10.0)},
)


def changed(**figures):
    return replace(SUMMARY, **figures)


def judgements(after, **options):
    return {one.name: one.judgement for one in differences(SUMMARY, after, **options)}


def test_each_figure_has_a_better_direction():
    slow = {"handshake": percentiles(count=1000, p50=0.5, p99=12.0)}

    found = judgements(
        changed(
            open_peak=900, rate_achieved=400.0, failed={"refused": 1}, histograms=slow, pings=9000
        )
    )

    assert found["open_peak"] == found["failed"] == found["handshake_p99"] == "worse"
    assert found["rate_achieved"] == found["handshake_p50"] == "better"
    assert found["pings"] == "differs"
    assert found["opened"] == "same"
    assert "delivery_p99" not in found, "neither run measured it"


def test_a_figure_within_the_tolerance_is_the_same():
    assert judgements(changed(open_peak=960))["open_peak"] == "same"
    assert judgements(changed(open_peak=960), tolerance=1.0)["open_peak"] == "worse"


def test_a_broken_limit_is_a_regression():
    slow = changed(histograms={"handshake": percentiles(count=1000, p50=1.0, p99=12.0)})

    assert regressions(SUMMARY, slow, limits_of(["handshake_p99:25%", "failed"], 5.0)) == []
    assert regressions(SUMMARY, slow, limits_of(["handshake_p99:10%"], 5.0)) == [
        "handshake_p99: 10 before, now 12, +20.0 %; 10 % are allowed"
    ]
    assert len(regressions(SUMMARY, slow, limits_of(["any"], 5.0))) == 1
    assert regressions(SUMMARY, changed(histograms={}), limits_of(["handshake_p99"], 5.0)) == [
        "handshake_p99: 10 before, now not measured; 5 % are allowed"
    ]
    assert regressions(SUMMARY, changed(lost=1), [RegressionLimit("lost", 50.0)]), (
        "0 before, so even one is too many"
    )


@pytest.mark.parametrize(
    "text", ["", "speed", "open_peak:", "open_peak:10", "open_peak>5", "pings"]
)
def test_a_text_that_is_no_limit_is_refused_in_one_line(text):
    with pytest.raises(PlanError, match="--fail-on") as mistake:
        limits_of([text], 5.0)

    assert "\n" not in str(mistake.value)


def facts(name, **machine):
    return RunFacts(agents=[AgentFacts(name, machine)])


def test_runs_that_differ_in_plan_or_machine_get_warnings():
    one = record("one", SUMMARY, facts=facts("a", cpus=2, memory_available=1))
    another_moment = record("one", SUMMARY, facts=facts("b", cpus=2, memory_available=2))
    other = record(
        "other",
        changed(
            verdict="stopped",
            changes=[AskedChange("max 5", 1.0, 5, PlanChange(1.0, 5, max=5))],
            invalid_seconds=[InvalidSecond(3, ["why"])],
            saturated_seconds=[InvalidSecond(number, ["why"]) for number in (3, 4)],
            agents=[agent("a"), agent("b")],
        ),
        plan=Plan(rate=5.0),
        facts=facts("a", cpus=4),
    )

    assert list(warnings(one, another_moment)) == []
    assert list(warnings(one, other)) == [
        "other did not run to its end (stopped)",
        "the plan of other was changed by hand: max 5 from second 1, 5 planned",
        "other has 1 invalid seconds",
        "other has 2 saturated seconds",
        "the plans differ: rate 2000.0 / 5.0",
        "the fleets differ: 1 / 2 agents",
        "the machines differ: cpus",
    ]
