"""`loadgen-report`: renders a run directory again, or compares several."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from coordinator.report.compare import TOLERANCE, RegressionLimit, limits_of, regressions
from coordinator.report.export import comparison_report, csv_report, markdown_report
from coordinator.report.html import html_report
from coordinator.report.text import text_report
from coordinator.storage.reader import RunRecord, read_run
from loadgen.cli.options import run_command
from loadgen.errors import OperatorError

FORMATS: dict[str, Callable[[RunRecord], str]] = {
    "text": lambda record: text_report(record.summary, record.name),
    "html": html_report,
    "markdown": markdown_report,
    "csv": csv_report,
    "json": lambda record: msgspec.json.encode(record.summary).decode(),
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
    help="html is one file with charts, markdown for a pull request, csv a line a second.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="As --format json: summary.json of each run, one a line.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    show_default="standard output",
    help="Where the report goes.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=TOLERANCE,
    metavar="PERCENT",
    help="How much a figure may differ from the first run's and count as the same.",
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="FIGURE[:PERCENT%]",
    help="Exit 1 when a figure got worse: ping_rtt_p99:10%, failed, any; repeatable.",
)
def report(
    runs: tuple[Path, ...],
    form: str,
    as_json: bool,
    output: Path | None,
    tolerance: float,
    fail_on: tuple[str, ...],
) -> int:
    """Renders a run directory again, or compares several with the first."""
    limits, form = limits_of(fail_on, tolerance), "json" if as_json else form
    records = [read_run(path) for path in runs]
    if limits and len(records) == 1:
        raise OperatorError("--fail-on compares runs; give a run to compare with before this one")
    if len(records) == 1 or form == "json":
        text = "\n".join(rendered(form, record).rstrip("\n") for record in records)
    elif form == "html":
        raise OperatorError(
            "--format html is of one run; give one, or compare them as text, markdown, csv or json"
        )
    else:
        with _undamaged(", ".join(map(str, runs))):
            text = comparison_report(records, tolerance, form).rstrip("\n")
    _put(text, output)
    with _undamaged(", ".join(map(str, runs))):
        return _fail(records, limits)


def _fail(records: list[RunRecord], limits: list[RegressionLimit]) -> int:
    """Says what got worse than a limit allows; the exit code."""
    broken = [
        f"{other.name}: {what}"
        for other in records[1:]
        for what in regressions(records[0].summary, other.summary, limits)
    ]
    for line in broken:
        click.echo(f"loadgen-report: regression: {line}", err=True)
    return 1 if broken else 0


def rendered(form: str, record: RunRecord) -> str:
    """A report of a run; raises OperatorError where its files are not what any run wrote."""
    with _undamaged(record.name):
        return FORMATS[form](record)


@contextmanager
def _undamaged(name: str) -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # What a report stumbles over in a summary or a row that lacks something, or has it in
        # another form.
        raise OperatorError(f"{name} is damaged, no report can be made of it: {error!r}") from error


def _put(text: str, output: Path | None) -> None:
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
