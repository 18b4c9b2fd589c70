"""A run in the forms that other places take: Markdown for a pull request, CSV for a spreadsheet."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from coordinator.report.claims import claims_of
from coordinator.report.compare import Difference, differences, warnings
from coordinator.report.html import samples_of
from coordinator.report.samples import STATISTICS
from coordinator.report.text import comparison, laws, outcome
from coordinator.storage.reader import RunRecord
from coordinator.text import columns, count, ms, seconds
from loadgen.stats.histogram import QUANTILES
from loadgen.stats.reasons import fault_of
from loadgen.stats.tally import HISTOGRAMS


def markdown_report(record: RunRecord) -> str:
    """The report of one run as Markdown."""
    return "\n".join(_markdown(record))


def _markdown(record: RunRecord) -> Iterator[str]:
    summary = record.summary
    proof = claims_of(summary, samples_of(record), record.plan)
    yield f"## {plain(record.name)}: {outcome(summary)}\n"
    yield f"{plain(proof.proves)}\n"
    if proof.does_not:
        yield "It does not prove\n"
        yield from (f"- {plain(text)}" for text in proof.does_not)
        yield ""
    if summary["expectations"]:
        yield from _expectations(summary["expectations"])
    yield from _ledger(summary)
    yield from _ends(summary)
    yield from _latencies(summary)
    yield (
        f"Target `{record.plan.target.replace('`', '')}`; {len(summary['agents'])} agents;"
        f" {summary['rate_achieved']:,.1f} arrivals a second of {summary['rate_asked']:,.1f} asked;"
        f" {seconds(summary['duration_s'])} in all; {len(summary['invalid_seconds'])} invalid"
        " seconds."
    )


def markdown_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of cells, the first being the head; all columns but the first to the right."""
    head, *others = rows
    yield f"| {' | '.join(plain(cell) for cell in head)} |"
    yield f"|{'|'.join(['---', *['---:'] * (len(head) - 1)])}|"
    yield from (f"| {' | '.join(plain(cell) for cell in row)} |" for row in others)
    yield ""


def plain(text: str) -> str:
    """Text in which nothing is a mark of Markdown's or HTML's."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in text)


def _expectations(expectations: list[dict[str, Any]]) -> Iterator[str]:
    rows = [("expected", "measured", "verdict")]
    for row in expectations:
        value = "not measured" if row["value"] is None else f"{row['value']:,.6g}"
        rows.append((row["expr"], value, "held" if row["held"] else "FAILED"))
    yield from markdown_table(rows)


def _ledger(summary: dict[str, Any]) -> Iterator[str]:
    rows = [("ledger", "connections", "of which")]
    for name, total, parts in laws(summary):
        rows.append(
            (name, count(total), " + ".join(f"{count(number)} {part}" for part, number in parts))
        )
    yield from markdown_table(rows)


def _ends(summary: dict[str, Any]) -> Iterator[str]:
    rows = [("reason", "kind", "connections", "at fault")]
    for kind in ("failed", "closed"):
        for reason, number in sorted(summary[kind].items(), key=lambda item: -item[1]):
            rows.append((reason, kind, count(number), fault_of(reason)))
    if len(rows) > 1:
        yield from markdown_table(rows)


def _latencies(summary: dict[str, Any]) -> Iterator[str]:
    if summary["histograms"]:
        rows = [("milliseconds", "count", "p50", "p90", "p99", "p99.9", "max")]
        for name, of in summary["histograms"].items():
            statistics = [ms(of[statistic]) for statistic in (*QUANTILES, "max")]
            rows.append((name, count(of["count"]), *statistics))
        yield from markdown_table(rows)


def csv_report(record: RunRecord) -> str:
    """A line a second: the fleet's figures, percentiles in milliseconds, and why the second is
    invalid, if it is."""
    text, samples = io.StringIO(), samples_of(record)
    figures = list(samples[0].fleet) if samples else []
    percentiles = [(name, at) for name in HISTOGRAMS for at in range(len(STATISTICS))]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "second",
            *figures,
            *(f"{name}_{STATISTICS[at]}_ms" for name, at in percentiles),
            "agents",
            "invalid",
        ]
    )
    for sample in samples:
        latencies = (
            sample.latencies[name][at] if name in sample.latencies else None
            for name, at in percentiles
        )
        cells = [sample.fleet[name] for name in figures]
        writer.writerow(
            [sample.second, *cells, *latencies, len(sample.agents), "; ".join(sample.invalid)]
        )
    return text.getvalue()


def comparison_report(records: Sequence[RunRecord], tolerance: float, form: str) -> str:
    """Runs side by side, each against the first, as text, Markdown or CSV."""
    baseline, *others = records
    rows = [["", *(record.name for record in records), *(f"{record.name} is" for record in others)]]
    compared = [
        {one.name: one for one in differences(baseline.summary, other.summary, tolerance)}
        for other in others
    ]
    for name in dict.fromkeys(name for one in compared for name in one):
        found = [one[name] for one in compared if name in one]
        figures = [found[0].before, *(one.after for one in found)]
        rows.append([name, *map(_figure, figures), *map(_verdict, found)])
    remarks = [
        f"{other.name}: {warning}" for other in others for warning in warnings(baseline, other)
    ]
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()
    if form == "markdown":
        return "\n".join([*markdown_table(rows), *(f"- {plain(remark)}" for remark in remarks)])
    table = comparison([(record.name, record.summary) for record in records])
    lines = [f"against {baseline.name}, with a tolerance of {tolerance:g} %", *columns(rows)]
    return "\n".join(
        [table, "", *lines, *(f"\nnot quite comparable: {remark}" for remark in remarks)]
    )


def _verdict(difference: Difference) -> str:
    change = "" if difference.change is None else f" {difference.change:+.1f} %"
    return f"{difference.judgement}{change}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:,.6g}"
