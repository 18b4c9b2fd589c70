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
"""The figures that are whole numbers; TEXTS are texts, every other one is a float."""
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
    """Returns the columns of a run; without seconds, those that every run has.

    Where results are split, columns such as `session.chatter.failed` follow.
    """
    rows = [figures_of(sample) for sample in samples]
    names = rows[0] if rows else figures_of(Sample(0, {}, {}, {}, []))
    columns = {name: [row[name] for row in rows] for name in names}
    for part in dict.fromkeys(part for sample in samples for part in sample.parts):
        own = [sample.parts.get(part, {}) for sample in samples]
        for name in names:
            if any(figures.get(name) is not None for figures in own):
                nothing = 0 if is_whole(name) else None
                columns[f"{part}.{name}"] = [figures.get(name, nothing) for figures in own]
    return columns


def is_whole(column: str) -> bool:
    """Returns whether a column has whole numbers, whatever session it is of."""
    return column.rpartition(".")[2] in WHOLE
