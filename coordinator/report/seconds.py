"""The settled seconds of a run as a table: one row a second, one column a figure.

CSV, Parquet and exports have the same columns.
"""

from collections.abc import Sequence
from typing import Literal

from coordinator.report.expect import COUNTER, TIMING
from coordinator.report.own import STATISTICS, OwnFigures, share_of
from coordinator.report.samples import Sample
from loadgen.stats.tally import CHECK, COUNTS, HISTOGRAMS

Value = int | float | str | None
Kind = Literal["whole", "decimal", "text"]

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
"""The figures that are whole numbers, of the fleet, a session or a target."""
TEXTS = {"invalid", "saturated"}
"""The columns of texts."""
PASSED = "checks_passed."
FAILED = "checks_failed."
OWN_WHOLE = (COUNTER, PASSED, FAILED)
"""The beginnings of the columns of whole numbers that sessions name; so is the number of values of
each timing."""
VALUES = "_count"


def kind_of(column: str) -> Kind:
    """Returns the kind of the values of a column, also of one session or target."""
    if column.startswith((CHECK, TIMING)):
        return "whole" if column.startswith(TIMING) and column.endswith(VALUES) else "decimal"
    if column.startswith(OWN_WHOLE):
        return "whole"
    figure = column.rpartition(".")[2]
    if figure in TEXTS:
        return "text"
    return "whole" if figure in WHOLE else "decimal"


def figures_of(sample: Sample) -> dict[str, Value]:
    """Returns the figures of one second by the names of their columns.

    Percentiles are in milliseconds. None is a figure that the second does not have. What sessions
    count, check and time comes last.
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
        "agents": sample.reported,
        "invalid": "; ".join(sample.invalid),
        "saturated": "; ".join(sample.saturated),
        **_own_figures(sample.own),
    }


def _own_figures(own: OwnFigures) -> dict[str, Value]:
    figures: dict[str, Value] = {}
    for name, checked in own.checks.items():
        figures[f"{CHECK}{name}"] = share_of(checked)
        figures[f"{PASSED}{name}"], figures[f"{FAILED}{name}"] = checked
    for name, (number, *times) in own.timings.items():
        figures[f"{TIMING}{name}{VALUES}"] = number
        for statistic, time in zip(STATISTICS, times, strict=True):
            figures[f"{TIMING}{name}_{statistic}_ms"] = time
    for name, number in own.counters.items():
        figures[f"{COUNTER}{name}"] = number
    return figures


def columns_of(samples: Sequence[Sample]) -> dict[str, list[Value]]:
    """Returns the columns of a run; without seconds, those that every run has.

    Where results are split, columns such as `session.chatter.failed` follow.
    """
    rows = [figures_of(sample) for sample in samples]
    always = list(figures_of(Sample(0, samples[0].fleet if samples else {}, {}, {}, [])))
    own = sorted({name for row in rows for name in row}.difference(always))
    columns = {name: [row.get(name) for row in rows] for name in (*always, *own)}
    for part in dict.fromkeys(part for sample in samples for part in sample.parts):
        split = [sample.parts.get(part, {}) for sample in samples]
        for name in always:
            if any(figures.get(name) is not None for figures in split):
                nothing = 0 if name in WHOLE else None
                columns[f"{part}.{name}"] = [figures.get(name, nothing) for figures in split]
    return columns
