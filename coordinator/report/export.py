"""A run as Markdown or CSV, and several runs compared.

Markdown is for a pull request, CSV for a spreadsheet.
"""

import csv
import io
from collections.abc import Iterator, Sequence

from coordinator.report.claims import claims_of
from coordinator.report.compare import Difference, differences, warnings
from coordinator.report.delivery import delivery_lines, delivery_table
from coordinator.report.samples import samples_of
from coordinator.report.seconds import columns_of
from coordinator.report.tables import (
    ABSENT,
    HELD,
    SLICE_KINDS,
    Table,
    accepted_text,
    asked_text,
    check_table,
    counter_table,
    end_table,
    expectation_table,
    http_table,
    ledger_table,
    part_table,
    percentile_table,
    slice_table,
)
from coordinator.report.text import comparison, outcome
from coordinator.storage.reader import RunRecord
from coordinator.text import columns, one_line, seconds

MAX_ROWS = 20
"""Rows of a table and lines of a list in Markdown: with MAX_CELL they keep the report of one run
below 60,000 characters, which a comment of GitHub may have."""
MAX_CELL = 200
"""Characters of a cell of such a table, and of a line of such a list."""
MAX_LINE = 2000
"""Characters of a paragraph with what a person wrote."""
MARKUP = "\\`*_[]<>|#"
"""The characters that Markdown or HTML takes for markup."""


def markdown_report(record: RunRecord) -> str:
    """Returns the report of one run as Markdown, of at most 60,000 characters.

    It is for a pull request, or for the summary of a CI job.
    """
    return "\n".join(_markdown(record))


def _markdown(record: RunRecord) -> Iterator[str]:
    summary = record.summary
    claims = claims_of(summary, samples_of(record), record.plan)
    yield f"## {plain(one_line(record.name, MAX_CELL))}: {outcome(summary)}\n"
    yield f"{plain(claims.proves)}\n"
    if claims.does_not:
        yield "It does not prove\n"
        for (text,) in _shorten([[""], *([text] for text in claims.does_not)])[1:]:
            yield f"- {plain(text)}"
        yield ""
    for table in (
        _failed_first(expectation_table(summary)),
        ledger_table(summary, "ledger"),
        end_table(summary),
        percentile_table("milliseconds", summary.histograms, summary.bounds),
        *(slice_table(summary, kind) for kind in SLICE_KINDS),
        part_table(summary),
        percentile_table("timed by sessions, ms", summary.timings),
        counter_table(summary),
        check_table(summary),
        http_table(summary),
        delivery_table(summary),
    ):
        if len(table) > 1:
            yield from markdown_table(_shorten(table))
    if summary.awaits_yes:
        yield f"Accepted by the session: {accepted_text(summary)}\n"
    for line in delivery_lines(summary):
        yield f"{plain(line)}\n"
    if summary.changes:
        yield f"Asked by hand: {plain(one_line(asked_text(summary), MAX_LINE))}.\n"
    yield (
        f"{_targets(record)}; {len(summary.agents)} agents; {summary.rate_achieved:,.1f} arrivals a"
        f" second of {summary.rate_asked:,.1f} asked; {seconds(summary.duration_s)} in all;"
        f" {len(summary.invalid_seconds)} invalid seconds,"
        f" {len(summary.saturated_seconds)} saturated."
    )


def _failed_first(table: Table) -> Table:
    """Returns the table with the expectations that do not hold before the others."""
    head, *rows = table
    return [head, *sorted(rows, key=lambda row: row[-1] == HELD)]


def _shorten(table: Table) -> Table:
    """Returns a table with at most MAX_ROWS rows and MAX_CELL characters a cell."""
    head, *rows = [[one_line(cell, MAX_CELL) for cell in row] for row in table]
    more = len(rows) - MAX_ROWS
    rest = [[f"… and {more} more", *[""] * (len(head) - 1)]] if more > 0 else []
    return [head, *rows[:MAX_ROWS], *rest]


def _targets(record: RunRecord) -> str:
    urls = [
        f"`{one_line(server.url, MAX_CELL).replace('`', '')}`" for server in record.plan.servers
    ]
    more = len(urls) - MAX_ROWS
    rest = f" and {more} more" if more > 0 else ""
    return f"{'Target' if len(urls) == 1 else 'Targets'} {', '.join(urls[:MAX_ROWS])}{rest}"


def markdown_table(rows: Table) -> Iterator[str]:
    """Yields the lines of a table.

    All columns but the first are aligned to the right.
    """
    head, *others = rows
    yield f"| {' | '.join(plain(cell) for cell in head)} |"
    yield f"|{'|'.join(['---', *['---:'] * (len(head) - 1)])}|"
    yield from (f"| {' | '.join(plain(cell) for cell in row)} |" for row in others)
    yield ""


def plain(text: str) -> str:
    """Returns the text with a backslash before each character that would be markup."""
    return "".join(f"\\{sign}" if sign in MARKUP else sign for sign in text)


def csv_report(record: RunRecord) -> str:
    """Returns the seconds of a run as CSV, a line for each.

    A line has the fleet's figures, percentiles in milliseconds, the number of agents that reported,
    why the second is invalid, and how machines bounded it.
    """
    columns = columns_of(samples_of(record))
    return _csv([list(columns), *zip(*columns.values(), strict=True)])


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def comparison_report(records: Sequence[RunRecord], tolerance: float, form: str) -> str:
    """Returns runs side by side, each against the first, as text, Markdown or CSV.

    The tolerance is in percent.
    """
    baseline, *others = records
    rows = comparison_table(records, tolerance)
    if form == "csv":
        return _csv(rows)
    remarks = [
        f"{other.name}: {warning}" for other in others for warning in warnings(baseline, other)
    ]
    if form == "markdown":
        return "\n".join([*markdown_table(rows), *(f"- {plain(remark)}" for remark in remarks)])
    figures = comparison([(record.name, record.summary) for record in records])
    title = f"against {baseline.name}, with a tolerance of {tolerance:g} %"
    lines = [figures, "", title, *columns(rows)]
    return "\n".join([*lines, *(f"\nnot quite comparable: {remark}" for remark in remarks)])


def comparison_table(records: Sequence[RunRecord], tolerance: float) -> Table:
    """Returns a row for each figure, with what each run is against the first.

    The tolerance is in percent.
    """
    baseline, *others = records
    rows = [["", *(record.name for record in records), *(f"{record.name} is" for record in others)]]
    compared = [
        {one.name: one for one in differences(baseline.summary, other.summary, tolerance)}
        for other in others
    ]
    for name in dict.fromkeys(name for one in compared for name in one):
        found = [one.get(name) for one in compared]
        before = next(one.before for one in found if one)
        figures = [before, *(one.after if one else None for one in found)]
        rows.append([name, *map(figure_text, figures), *map(_judgement, found)])
    return rows


def _judgement(difference: Difference | None) -> str:
    if difference is None:
        return ABSENT
    change = "" if difference.change is None else f" {difference.change:+.1f} %"
    return f"{difference.judgement}{change}"


def figure_text(value: float | None) -> str:
    """Returns a figure of a comparison as people read it."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.6g}"
