"""`loadgen-report`: renders a run directory again, or compares several."""

from collections.abc import Callable, Iterator
from pathlib import Path

import click

from coordinator.report.compare import TOLERANCE, RegressionLimit, limits_of, regressions
from coordinator.report.expect import Expectation, parse
from coordinator.report.export import comparison_report, csv_report, markdown_report
from coordinator.report.html import html_report
from coordinator.report.text import measured, text_report
from coordinator.storage.reader import RunRecord, read_run
from loadgen.cli.options import run_command
from loadgen.errors import OperatorError

FORMATS: dict[str, Callable[[RunRecord], str]] = {
    "text": lambda record: text_report(record.summary, record.name),
    "html": html_report,
    "markdown": markdown_report,
    "csv": csv_report,
    "json": lambda record: record.summary.to_json().decode(),
}


@click.command(context_settings={"show_default": True})
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN [RUN...]"
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="text",
    help="html is one file with charts, markdown is for a pull request, csv has a line a second.",
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
    help="The difference from the first run up to which a figure counts as the same.",
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
def report(
    runs: tuple[Path, ...],
    form: str,
    as_json: bool,
    output: Path | None,
    tolerance: float,
    fail_on: tuple[str, ...],
    expect: tuple[str, ...],
) -> int:
    """Renders a run directory again, or compares several with the first."""
    limits = limits_of(fail_on, tolerance)
    form = "json" if as_json else form
    records = [read_run(path) for path in runs]
    if limits and len(records) == 1:
        raise OperatorError("--fail-on compares runs; give a run to compare with before this one")
    expected = [[parse(text, record.plan) for text in expect] for record in records]
    _write(_rendered(records, form, tolerance), output)
    broken = [*_regressions(records, limits), *_failed(records, expected)]
    for line in broken:
        click.echo(f"loadgen-report: {line}", err=True)
    return 1 if broken else 0


def _rendered(records: list[RunRecord], form: str, tolerance: float) -> str:
    if len(records) == 1 or form == "json":
        return "\n".join(FORMATS[form](record).rstrip("\n") for record in records)
    if form == "html":
        raise OperatorError(
            "--format html shows one run; give one run, or compare as text, markdown, csv or json"
        )
    return comparison_report(records, tolerance, form).rstrip("\n")


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


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(f"{text}\n")
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
