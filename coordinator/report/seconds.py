"""The settled seconds of a run as a table: one row a second, one column a figure.

CSV, Parquet and exports have the same columns.
"""

from collections.abc import Sequence

from coordinator.report.samples import STATISTICS, Sample
from loadgen.stats.tally import COUNTS, HISTOGRAMS

Value = int | float | str | None

WHOLE = {
    "second",
    "open",
    "connecting",
    "alive",
    *COUNTS,
    "failed",
    "closed",
    "rss",
    "agents",
}
"""The columns of whole numbers; TEXTS are texts, every other column has floats."""
TEXTS = {"invalid", "saturated"}


def figures_of(sample: Sample) -> dict[str, Value]:
    """Returns the figures of one second by the names of their columns.

    Percentiles are in milliseconds. None is a figure that the second does not have.
    """
    nothing: list[float | None] = [None] * len(STATISTICS)
    latencies: dict[str, Value] = {
        f"{name}_{statistic}_ms": value
        for name in HISTOGRAMS
        for statistic, value in zip(STATISTICS, sample.latencies.get(name, nothing), strict=True)
    }
    return {
        "second": sample.second,
        **sample.fleet,
        **latencies,
        "agents": len(sample.agents),
        "invalid": "; ".join(sample.invalid),
        "saturated": "; ".join(sample.saturated),
    }


def columns_of(samples: Sequence[Sample]) -> dict[str, list[Value]]:
    """Returns the columns of a run; without seconds, those that every run has."""
    rows = [figures_of(sample) for sample in samples]
    names = rows[0] if rows else figures_of(Sample(0, {}, {}, {}, []))
    return {name: [row[name] for row in rows] for name in names}
