"""Runs as JUnit XML, read by a library as a CI system reads it."""

import pytest
from junitparser import Error, Failure, JUnitXml

from coordinator.report.junit import CLASS, RUN_TEST, junit_report
from coordinator.run.summary import ExpectationResult
from tests.unit.coordinator.report import summaries
from tests.unit.coordinator.report.summaries import summary

HELD = ExpectationResult("open_peak>=400", 400, True)
FAILED = ExpectationResult("failed<1", 3.0, False)
NOT_MEASURED = ExpectationResult("ping_rtt_p99<5ms", None, False)


def parsed(*records):
    """Returns the suites of a report."""
    return list(JUnitXml.fromstring(junit_report(records).encode()))


def of(**figures):
    """Returns the results of a run's tests by their names."""
    (suite,) = parsed(summaries.record("a-run", summary(**figures)))
    return {case.name: case.result for case in suite}


def test_a_real_run_has_a_test_for_itself_and_each_expectation(record):
    (suite,) = parsed(record)

    assert (suite.name, suite.tests, suite.failures, suite.errors) == (record.name, 3, 0, 0)
    assert suite.timestamp == "2026-11-24T04:00:00"
    assert suite.time == record.summary.duration_s
    assert [(case.classname, case.name) for case in suite] == [
        (CLASS, RUN_TEST),
        (CLASS, "open_peak>=400"),
        (CLASS, "failed<1"),
    ]
    assert all(case.is_passed for case in suite)
    assert "400 open at the peak" in suite._elem.findtext("system-out")


def test_an_expectation_that_does_not_hold_is_a_failure_with_the_measured_value():
    results = of(verdict="fail", opened=1, expectations=[HELD, FAILED, NOT_MEASURED])

    assert results[RUN_TEST] == results["open_peak>=400"] == []
    assert results["failed<1"] == [Failure("failed<1 does not hold: it was 3", type_="expectation")]
    assert results["ping_rtt_p99<5ms"] == [
        Failure("ping_rtt_p99<5ms does not hold: not measured", type_="expectation")
    ]


@pytest.mark.parametrize(
    ("figures", "result"),
    [
        (
            {"verdict": "stopped", "opened": 1},
            Error("the run did not come to its end: it was stopped by hand", type_="stopped"),
        ),
        (
            {"verdict": "lost", "opened": 1},
            Error(
                "the run did not come to its end: the fleet or the coordinator was lost, or the"
                " run still goes on",
                type_="lost",
            ),
        ),
        ({"verdict": "fail", "opened": 1}, Failure("the run failed", type_="fail")),
        (
            {"verdict": "pass", "opened": 0},
            Failure("no connection was opened", type_="nothing opened"),
        ),
    ],
)
def test_a_run_that_was_not_carried_out_does_not_pass(figures, result):
    assert of(**figures) == {RUN_TEST: [result]}


def test_several_runs_are_suites_whose_results_are_counted():
    good = summaries.record("good", summary(opened=1, expectations=[HELD]))
    bad = summaries.record("bad", summary(verdict="fail", opened=1, expectations=[HELD, FAILED]))
    lost = summaries.record("lost", summary(verdict="lost"))

    suites = parsed(good, bad, lost)

    assert [(suite.name, suite.tests, suite.failures, suite.errors) for suite in suites] == [
        ("good", 2, 0, 0),
        ("bad", 3, 1, 0),
        ("lost", 1, 0, 1),
    ]
    assert [suite.timestamp for suite in suites] == [None] * 3, "a published run has no run.json"


def test_foreign_text_is_text():
    expectation = ExpectationResult('counter.<&"\x00\x1b>1', 0.0, False)
    (suite,) = parsed(summaries.record("<a>\x07", summary(opened=1, expectations=[expectation])))

    assert suite.name == "<a>"
    assert [case.name for case in suite] == [RUN_TEST, 'counter.<&" >1']
