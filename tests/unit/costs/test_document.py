"""The document says what the samples say."""

from pathlib import Path

import pytest

from tests.costs import document, plots, samples
from tests.costs.model import quantities
from tests.unit.costs.invented import series

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.000"), (0.01234, "0.012"), (1.999, "2.00"), (12.34, "12.3"), (-1234.5, "-1,234")],
)
def test_a_figure_has_three_digits_that_count(value, text):
    assert document.figure(value) == text


def test_the_document_in_docs_is_what_its_samples_give():
    """The document is that of the samples beside it.

    `python -m tests.costs --from docs/cost-model/samples.json` writes it anew.
    """
    folder = DOCS / "cost-model"

    written = document.render(samples.read(folder / "samples.json"), document.notes(folder))

    assert (DOCS / "cost-model.md").read_text() == written


def test_every_table_shows_what_was_measured():
    text = document.render(series(), "## Notes")

    assert "| 100,000 | 9.77 | 1.95 | 1.46 |" in text  # KiB of kernel, worker and target
    assert (
        "| 100,000 | 50.0 | 50.0 | 20.0 | 20.0 | 10.0 | 10.0 |" in text
    )  # µs of an open, a message, a ping
    assert "| worker, open | 50.0 µs |" in text
    assert "`CLIENT_BYTES` | 1.95 | 0.80 |" in text
    assert text.endswith("## Notes\n")
    assert "$" not in text


def test_plots_come_out_the_same_each_time(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        plots.draw(quantities(series()), tmp_path / name)

    drawn = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert drawn == ["cpu.svg", "idle.svg", "memory.svg"]
    for name in drawn:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
