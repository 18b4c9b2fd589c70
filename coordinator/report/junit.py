"""Runs as JUnit XML, which CI systems show as a list of tests.

The form is that of Surefire and Jenkins:
https://maven.apache.org/surefire/maven-surefire-plugin/xsd/surefire-test-report.xsd
"""

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from coordinator.report.text import measured, text_report
from coordinator.run.summary import ExpectationResult, Summary
from coordinator.storage.reader import RunRecord
from coordinator.text import one_line, plain_lines

CLASS = "loadgen"
"""The class name of every test: the same in each run, so that a CI system can follow a test."""
RUN_TEST = "the run is carried out"
"""The name of the test that every run has, with or without expectations."""
MAX_TEXT = 60_000
"""Characters of the report that stands beside the tests."""
UNFINISHED = {
    "stopped": "it was stopped by hand",
    "lost": "the fleet or the coordinator was lost, or the run still goes on",
}
"""The verdicts on a run that did not come to its end, with what happened."""


def junit_report(records: Sequence[RunRecord]) -> str:
    """Returns a document with a suite for each run.

    A suite has a test for the run itself and for each expectation.
    """
    root = Element("testsuites", name=CLASS)
    for record in records:
        _add_suite(root, record)
    ElementTree.indent(root)
    return str(ElementTree.tostring(root, "utf-8", xml_declaration=True), "utf-8")


def _add_suite(root: Element, record: RunRecord) -> None:
    summary = record.summary
    duration = f"{summary.duration_s:.3f}"
    suite = SubElement(root, "testsuite", name=one_line(record.name), time=duration)
    if record.facts.started:
        suite.set("timestamp", one_line(record.facts.started).removesuffix("Z"))
    _add_run(suite, summary, duration)
    for result in summary.expectations:
        _add_expectation(suite, result)
    tests = suite.findall("testcase")
    suite.set("tests", str(len(tests)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("skipped", "0")
    SubElement(suite, "system-out").text = plain_lines(
        text_report(summary, record.name)[:MAX_TEXT], MAX_TEXT
    )


def _add_run(suite: Element, summary: Summary, duration: str) -> None:
    """Adds the test of the run itself.

    A run that did not come to its end is an error. One that failed though each expectation held, or
    that opened nothing, is a failure.
    """
    test = SubElement(suite, "testcase", classname=CLASS, name=RUN_TEST, time=duration)
    held = all(result.held for result in summary.expectations)
    if summary.verdict in UNFINISHED:
        SubElement(
            test,
            "error",
            type=summary.verdict,
            message=f"the run did not come to its end: {UNFINISHED[summary.verdict]}",
        )
    elif summary.verdict == "fail" and held:
        SubElement(test, "failure", type="fail", message="the run failed")
    elif not summary.opened:
        SubElement(test, "failure", type="nothing opened", message="no connection was opened")


def _add_expectation(suite: Element, result: ExpectationResult) -> None:
    expression = one_line(result.expr)
    test = SubElement(suite, "testcase", classname=CLASS, name=expression, time="0")
    if not result.held:
        message = f"{expression} does not hold: {measured(result.value)}"
        SubElement(test, "failure", type="expectation", message=message)
