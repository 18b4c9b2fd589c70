"""The command `loadgen-report` on run directories of a disk."""

import re
from datetime import timedelta

import msgspec
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from coordinator.cli.report import report
from loadgen.errors import OperatorError
from tests.unit.coordinator.folders import START, finished_folder


def invoke(*arguments):
    """Runs the command in this process; an error of it is in the result."""
    return CliRunner().invoke(report, list(map(str, arguments)), standalone_mode=False)


@pytest.fixture
def whole(tmp_path):
    """The directory of a run that opened all of its 20 connections."""
    return finished_folder(tmp_path / "whole", count=20)


@pytest.fixture
def half(tmp_path):
    """The directory of a run that opened 10 of its 20 connections."""
    return finished_folder(tmp_path / "half", count=10)


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("text", "{}: DONE"),
        ("html", "<!doctype html>"),
        ("markdown", "## "),
        ("csv", "second,"),
        ("junit", "<?xml version='1.0' encoding='utf-8'?>\n<testsuites "),
    ],
)
def test_a_run_is_rendered_in_each_form(whole, form, start):
    result = invoke(whole, "--format", form)

    assert result.return_value == 0
    assert result.output.startswith(start.format(whole.name))


def test_json_is_one_summary_a_line(whole, half):
    result = invoke(whole, half, "--json")
    peaks = [msgspec.json.decode(line)["open_peak"] for line in result.output.splitlines()]

    assert peaks == [20, 10]


def test_junit_has_a_suite_for_each_run(whole, half):
    assert invoke(whole, half, "--format", "junit").output.count("<testsuite ") == 2


def test_parquet_is_written_to_a_file(whole, tmp_path):
    path = tmp_path / "seconds.parquet"

    assert invoke(whole, "--format", "parquet", "--output", path).return_value == 0
    assert parquet.read_table(path).column("open").to_pylist() == [10, 20, 0]


def test_several_runs_are_compared_on_one_page(whole, half):
    result = invoke(whole, half, whole, "--format", "html")

    assert result.return_value == 0
    assert result.output.startswith("<!doctype html>")
    assert re.findall(r"<th[^>]*>(\d is)</th>", result.output) == ["2 is", "3 is"]


def test_several_runs_are_compared_with_the_first(whole, half):
    result = invoke(whole, half)

    assert result.return_value == 0
    assert "-50.0 %" in result.output


def test_a_trend_is_in_the_order_of_start_whatever_the_order_given(tmp_path):
    before, after = (
        finished_folder(tmp_path, count, START + timedelta(days=day))
        for day, count in ((0, 20), (1, 10))
    )

    result = invoke("--trend", after, before)

    (peak,) = (line.split() for line in result.output.splitlines() if line.startswith("open_peak"))
    assert peak == ["open_peak", "20", "!", "10", "(-50.0", "%)"]


def test_the_last_run_of_a_trend_is_judged_by_the_one_before(tmp_path):
    folders = [
        finished_folder(tmp_path, count, START + timedelta(days=day))
        for day, count in enumerate((20, 10, 10))
    ]

    better_than_the_first = invoke("--trend", *folders, "--fail-on", "open_peak")
    worse = invoke("--trend", *folders[:2], "--fail-on", "open_peak")

    assert (better_than_the_first.return_value, worse.return_value) == (0, 1)


@pytest.mark.parametrize(
    ("form", "start"),
    [("html", "<!doctype html>"), ("markdown", "runs in the order"), ("json", '{"tolerance":5.0,')],
)
def test_a_trend_is_rendered_in_each_form(whole, half, form, start):
    result = invoke("--trend", whole, half, "--format", form)

    assert result.return_value == 0
    assert result.output.startswith(start)


def test_a_report_is_written_to_a_file(whole, tmp_path):
    path = tmp_path / "report.csv"
    result = invoke(whole, "--format", "csv", "--output", path)

    assert result.output == f"report written: {path}\n"
    assert path.read_text().startswith("second,")


def test_a_figure_that_got_worse_than_its_limit_is_a_failure(whole, half):
    result = invoke(whole, half, "--fail-on", "open_peak:10%")

    assert result.return_value == 1
    assert f"loadgen-report: regression: {half.name}: open_peak: 20 before, now 10" in result.stderr


def test_a_figure_within_its_limit_is_none(whole, half):
    result = invoke(whole, half, "--fail-on", "open_peak:60%")

    assert (result.return_value, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("runs", "options", "complaint"),
    [
        (1, ["--fail-on", "any"], "--fail-on compares runs"),
        (2, ["--fail-on", "speed"], "speed"),
        (2, ["--fail-on", "tr_login_p95"], "--fail-on 'tr_login_p95' is not a limit"),
        (
            2,
            ["--format", "parquet", "--output", "/dev/null"],
            "--format parquet shows one run; give one run, or another format: text, html, markdown,"
            " csv, json, junit",
        ),
        (
            2,
            ["--trend", "--format", "csv"],
            "--trend has no csv; give --format text, html, markdown, json",
        ),
        (1, ["--format", "parquet"], "give the file for it: --output FILE"),
        (1, ["--output", "/dev/null/report"], "--output /dev/null/report can't be written"),
    ],
)
def test_options_that_cannot_be_had_are_an_error(whole, half, runs, options, complaint):
    result = invoke(*[whole, half][:runs], *options)

    assert isinstance(result.exception, OperatorError)
    assert complaint in str(result.exception)


def test_a_directory_that_is_no_run_is_an_error(tmp_path):
    result = invoke(tmp_path)

    assert isinstance(result.exception, OperatorError)
    assert f"{tmp_path} is not a run directory" in str(result.exception)


@pytest.mark.parametrize(
    "arguments", [[], ["run", "--format", "pdf"], ["run", "--tolerance", "-1"]]
)
def test_a_wrong_option_is_a_usage_error(arguments):
    assert CliRunner().invoke(report, arguments).exit_code == 2


def test_the_help_names_the_formats():
    assert (
        "[text|html|markdown|csv|parquet|json|junit]"
        in CliRunner().invoke(report, ["--help"]).output
    )
