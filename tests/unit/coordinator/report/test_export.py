"""Several runs side by side, as text, Markdown and CSV."""

import pytest

from coordinator.report.export import comparison_report
from tests.unit.coordinator.report.summaries import percentiles, record, summary

MEASURED = {"delivery": percentiles(p50=1.0, p99=2.0)}


@pytest.mark.parametrize("form", ["text", "markdown", "csv"])
def test_a_figure_that_only_some_runs_measured_leaves_a_gap(form):
    runs = [
        record("a", summary()),
        record("b", summary(histograms=MEASURED)),
        record("c", summary()),
    ]

    text = comparison_report(runs, 5.0, form)

    (line,) = (line for line in text.splitlines() if "delivery_p50" in line.replace("\\", ""))
    assert line.count("–") == 3, "two runs without the figure, and one judgement"
    assert "differs" in line
