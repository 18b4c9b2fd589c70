"""A run as Markdown and CSV, and several runs side by side."""

import csv

import pytest

from coordinator.report.export import comparison_report, csv_report, markdown_report, plain
from coordinator.run.summary import ExpectationResult, InvalidSecond
from loadgen.plan.plan import Plan, Target
from tests.unit.coordinator.report import summaries
from tests.unit.coordinator.report.summaries import part, percentiles, summary

MEASURED = {"delivery": percentiles(p50=1.0, p99=2.0)}


def test_markdown_has_the_claim_and_tables(record):
    text = markdown_report(record)

    assert text.startswith("## 20261124T040000Z-127-0-0-1-1: pass\n\n400 connections verified open")
    assert "| drained | closed | 400 | yes | nobody |" in text
    assert plain("a|b*") == r"a\|b\*"


def test_markdown_has_what_sessions_counted_and_timed():
    text = markdown_report(
        summaries.record(
            "a", summary(counters={"logins": 7}, timings={"tr_login": percentiles(p99=12.0)})
        )
    )

    assert "| logins | 7 |" in text
    assert r"| tr\_login | 10 | 0.00 | 0.00 | 0.00 | 12.0 |" in text


def test_an_expectation_that_does_not_hold_comes_first():
    held, failed = (
        ExpectationResult("opened>=1", 5, True),
        ExpectationResult("failed==0", 2.0, False),
    )
    text = markdown_report(summaries.record("a", summary(expectations=[held, failed])))

    assert text.index("failed==0") < text.index("opened")


def test_markdown_fits_a_comment_whatever_a_run_has():
    long = "*" * 1000
    many = [f"{number}{long}" for number in range(1000)]
    text = markdown_report(
        summaries.record(
            long,
            summary(
                verdict="fail",
                failed=dict.fromkeys(many, 1),
                closed=dict.fromkeys(many, 1),
                counters=dict.fromkeys(many, 1),
                timings=dict.fromkeys(many, percentiles()),
                parts={f"session.{name}": part(launched=10**6) for name in many[:64]}
                | {f"target.{name}": part(launched=10**6) for name in many[:64]},
                invalid_seconds=[InvalidSecond(at, [why]) for at, why in enumerate(many)],
                expectations=[ExpectationResult(each, None, False) for each in many],
            ),
            plan=Plan(
                targets=tuple(Target(url=f"ws://127.0.0.1/{'x' * 2000}{at}") for at in range(100))
            ),
        )
    )

    assert len(text) <= 60_000
    assert "… and 980 more" in text


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


def test_markdown_has_a_table_of_the_sessions():
    parts = {f"session.{name}": part(launched=10, opened=9) for name in ("chatter", "watcher")}
    text = markdown_report(summaries.record("a", summary(parts=parts)))

    assert "| session | launched | opened | failed |" in text
    assert "| watcher | 10 | 9 | 0 |" in text
    assert "| target |" not in text
