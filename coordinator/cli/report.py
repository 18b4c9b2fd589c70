"""`loadgen-report`: renders a run directory again, or compares several."""

from collections.abc import Callable, Iterator
from pathlib import Path

import click

from coordinator.report.compare import TOLERANCE, RegressionLimit, limits_of, regressions
from coordinator.report.expect import Expectation, parse
from coordinator.report.export import comparison_report, csv_report, markdown_report
from coordinator.report.html import comparison_html, html_report, trend_html
from coordinator.report.junit import junit_report
from coordinator.report.parquet import parquet_report
from coordinator.report.text import measured, text_report
from coordinator.report.trend import (
    Trend,
    in_order_of_start,
    trend_json,
    trend_markdown,
    trend_of,
    trend_text,
)
from coordinator.storage.calibrations import FILE
from coordinator.storage.reader import RunRecord, read_run
from loadgen.cli.options import run_command
from loadgen.errors import OperatorError

FORMATS: dict[str, Callable[[RunRecord], str | bytes]] = {
    "text": lambda record: text_report(record.summary, record.name),
    "html": html_report,
    "markdown": markdown_report,
    "csv": csv_report,
    "parquet": parquet_report,
    "json": lambda record: record.summary.to_json().decode(),
    "junit": lambda record: junit_report([record]),
}
"""The forms of the report of one run."""
ONE_RUN = ("parquet",)
"""The forms that show one run."""
TRENDS: dict[str, Callable[[Trend], str]] = {
    "text": trend_text,
    "html": trend_html,
    "markdown": trend_markdown,
    "json": trend_json,
}
"""The forms of a trend."""


@click.command(context_settings={"show_default": True})
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN [RUN...]"
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="text",
    help="html is one file with charts, where several runs are curves over each other; markdown is"
    " for a pull request or a CI summary, csv and parquet have a row a second, junit has a test for"
    " each expectation.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="The same as --format json: summary.json of each run, one run on a line.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    show_default="standard output",
    help="The file that the report is written to.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=TOLERANCE,
    metavar="PERCENT",
    help="The difference up to which a figure counts as the same.",
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="FIGURE[:PERCENT%]",
    help="Exit 1 when a figure got worse: ping_rtt_p99:10%, failed, any; repeatable.",
)
@click.option(
    "--expect",
    multiple=True,
    metavar="EXPR",
    help="Exit 1 when it does not hold for a run, as in loadgen-coord; repeatable.",
)
@click.option(
    "--trend",
    is_flag=True,
    help="The runs in the order of their start, each beside the run before it; --fail-on judges"
    " the last one.",
)
def report(
    runs: tuple[Path, ...],
    form: str,
    as_json: bool,
    output: Path | None,
    tolerance: float,
    fail_on: tuple[str, ...],
    expect: tuple[str, ...],
    trend: bool,
) -> int:
    """Renders a run directory again, or compares several."""
    form = "json" if as_json else form
    if form == "parquet" and output is None:
        raise OperatorError("--format parquet is binary; give the file for it: --output FILE")
    if trend and form not in TRENDS:
        raise OperatorError(f"--trend has no {form}; give --format {', '.join(TRENDS)}")
    records = [read_run(path) for path in runs if path.name != FILE or len(runs) == 1]
    if fail_on and len(records) == 1:
        raise OperatorError("--fail-on compares runs; give a run to compare with before this one")
    limits = limits_of(fail_on, tolerance, [record.summary for record in records])
    expected = [[parse(text, record.plan) for text in expect] for record in records]
    if trend:
        _write(TRENDS[form](trend_of(records, tolerance)), output)
        compared = in_order_of_start(records)[-2:]
    else:
        _write(_rendered(records, form, tolerance), output)
        compared = records
    broken = [*_regressions(compared, limits), *_failed(records, expected)]
    for line in broken:
        click.echo(f"loadgen-report: {line}", err=True)
    return 1 if broken else 0


def _rendered(records: list[RunRecord], form: str, tolerance: float) -> str | bytes:
    if len(records) == 1:
        return FORMATS[form](records[0])
    if form == "json":
        return "\n".join(record.summary.to_json().decode() for record in records)
    if form == "junit":
        return junit_report(records)
    if form in ONE_RUN:
        raise OperatorError(
            f"--format {form} shows one run; give one run, or another format:"
            f" {', '.join(name for name in FORMATS if name not in ONE_RUN)}"
        )
    if form == "html":
        return comparison_html(records, tolerance)
    return comparison_report(records, tolerance, form)


def _regressions(records: list[RunRecord], limits: list[RegressionLimit]) -> Iterator[str]:
    """Yields a line for each figure that got worse than a limit allows."""
    for other in records[1:]:
        for regression in regressions(records[0].summary, other.summary, limits):
            yield f"regression: {other.name}: {regression}"


def _failed(records: list[RunRecord], expected: list[list[Expectation]]) -> Iterator[str]:
    """Yields a line for each expectation that does not hold."""
    for record, expectations in zip(records, expected, strict=True):
        for expectation in expectations:
            result = expectation.evaluate(record.summary)
            if not result.held:
                yield f"failed: {record.name}: {result.expr} ({measured(result)})"


def _write(report: str | bytes, output: Path | None) -> None:
    data = report if isinstance(report, bytes) else f"{report.rstrip()}\n".encode(errors="replace")
    if output is None:
        click.echo(data, nl=False)
        return
    try:
        output.write_bytes(data)
    except OSError as error:
        raise OperatorError(
            f"--output {output} can't be written ({error.strerror}); give another file"
        ) from error
    click.echo(f"report written: {output}")


def main() -> None:
    """Entry of `loadgen-report`."""
    run_command(report, "loadgen-report")


if __name__ == "__main__":
    main()
