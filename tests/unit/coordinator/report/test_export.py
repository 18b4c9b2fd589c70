"""A run as Markdown and CSV, and several runs side by side."""

import csv

import pytest

from coordinator.report.export import comparison_report, csv_report, markdown_report, plain
from tests.unit.coordinator.report import summaries
from tests.unit.coordinator.report.summaries import percentiles, summary

MEASURED = {"delivery": percentiles(p50=1.0, p99=2.0)}


def test_markdown_has_the_claim_and_tables(record):
    text = markdown_report(record)

    assert text.startswith("## 20261124T040000Z-127-0-0-1-1: pass\n\n400 connections verified open")
    assert "| drained | closed | 400 | yes | nobody |" in text
    assert plain("a|b*") == r"a\|b\*"


def test_csv_has_a_line_for_each_second(record):
    rows = list(csv.DictReader(csv_report(record).splitlines()))

    assert len(rows) == len(record.seconds)
    assert rows[2]["open"] == str(record.seconds[2].fleet.ledger.open)
    assert float(rows[2]["handshake_p99_ms"]) == record.seconds[2].fleet.histograms["handshake"].p99


@pytest.mark.parametrize("form", ["text", "markdown", "csv"])
def test_a_figure_that_only_some_runs_measured_leaves_a_gap(form):
    runs = [
        summaries.record("a", summary()),
        summaries.record("b", summary(histograms=MEASURED)),
        summaries.record("c", summary()),
    ]

    text = comparison_report(runs, 5.0, form)

    (line,) = (line for line in text.splitlines() if "delivery_p50" in line.replace("\\", ""))
    assert line.count("–") == 3, "two runs without the figure, and one judgement"
    assert "differs" in line
