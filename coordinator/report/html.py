"""Finished runs with the page's charts, as one file.

That is report.html, a comparison, or a trend.

The page's own modules draw the charts.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from coordinator.report import tables
from coordinator.report.claims import claims_of
from coordinator.report.compare import warnings
from coordinator.report.delivery import delivery_lines, delivery_table
from coordinator.report.export import comparison_table
from coordinator.report.machines import machines_of
from coordinator.report.own import MAX_DRAWN, STATISTICS, Drawn, drawn_of, share_of
from coordinator.report.samples import AGENT_SERIES, Sample, bars, samples_of
from coordinator.report.standalone import standalone
from coordinator.report.text import outcome
from coordinator.report.trend import Trend, step_text
from coordinator.run.row import Row
from coordinator.scrape import Scrape
from coordinator.storage.reader import RunRecord
from coordinator.text import in_natural_order

MODULES = ("words.js", "model.js", "charts.js", "report.js")
"""The page's modules that a report needs, each after the modules that it imports."""
COMPARISON_MODULES = ("words.js", "model.js", "charts.js", "compare.js")
"""The page's modules that a comparison needs, in the same order."""
TREND_MODULES = ("words.js", "model.js", "charts.js", "trend.js")
"""The page's modules that a trend needs, in the same order."""
MAX_POINTS = 3600
"""Seconds on a chart; of a longer run only every second, third, fourth… one is drawn."""
PART_FIGURES = ("open", "opened", "failed", "ping_rtt_p99_ms")
"""The figures by session and by target that have a chart."""
WATCHED_SERIES = ("cpu_s", "memory", "files", "sockets")

Columns = dict[str, list[float | None]]


def html_report(record: RunRecord) -> str:
    """Returns the whole file."""
    samples = samples_of(record)
    step = _step(len(samples))
    drawn = drawn_of([record.summary])
    return standalone(
        "report/report.html.j2",
        MODULES,
        _data(record, samples, step, drawn),
        record=record,
        outcome=outcome(record.summary),
        claims=claims_of(record.summary, samples, record.plan),
        agents=sorted(record.summary.agents, key=lambda one: in_natural_order(one.name)),
        addresses=tables.address_table(record.facts),
        machines=machines_of(record.facts),
        delivery=delivery_lines(record.summary),
        worst=delivery_table(record.summary),
        tables=tables,
        step=step,
        drawn=drawn,
        most_drawn=MAX_DRAWN,
        gaps=gaps_of(record.seconds),
    )


def comparison_html(records: Sequence[RunRecord], tolerance: float) -> str:
    """Returns runs side by side as one file, their curves over each other.

    Each is compared with the first; the tolerance is in percent.
    """
    baseline, *others = records
    step = _step(max(len(record.seconds) for record in records))
    drawn = drawn_of([record.summary for record in records])
    curves = []
    for record in records:
        shown = samples_of(record)[::step]
        fleet = _fleet_columns(shown) | _own_columns(shown, drawn)
        curves.append({"seconds": [sample.second for sample in shown], "fleet": fleet})
    return standalone(
        "report/compare.html.j2",
        COMPARISON_MODULES,
        {"runs": curves, "own": drawn},
        records=[(record, outcome(record.summary)) for record in records],
        table=comparison_table(records, tolerance),
        remarks=[
            f"{other.name}: {warning}" for other in others for warning in warnings(baseline, other)
        ],
        tolerance=tolerance,
        step=step,
        drawn=drawn,
        most_drawn=MAX_DRAWN,
    )


def _step(seconds: int) -> int:
    """Returns of how many seconds one is drawn."""
    return -(-seconds // MAX_POINTS) or 1


def trend_html(trend: Trend) -> str:
    """Returns several runs as one file, with a chart of each kind of figure."""
    return standalone(
        "report/trend.html.j2", TREND_MODULES, trend, trend=trend, step_text=step_text
    )


def gaps_of(rows: Sequence[Row]) -> list[str]:
    """Returns the seconds that a run had and that are not in its file, as text.

    The disk was full, or stood still for long.
    """
    numbers = [row.second for row in rows]
    spans = [(a + 1, b - 1) for a, b in pairwise([-1, *numbers]) if b - a > 1]
    return [str(first) if first == last else f"{first} to {last}" for first, last in spans]


# The series of the charts.


def _data(record: RunRecord, samples: Sequence[Sample], step: int, drawn: Drawn) -> dict[str, Any]:
    shown = samples[::step]
    agents = _agents_between(samples, step)
    names = list(dict.fromkeys(name for figures in agents for name in figures))
    return {
        "seconds": [sample.second for sample in shown],
        "fleet": _fleet_columns(shown) | _own_columns(shown, drawn),
        "agents": {name: _agent_columns(agents, name) for name in names},
        "invalid": [(sample.second, sample.invalid) for sample in samples if sample.invalid],
        "saturated": [(sample.second, sample.saturated) for sample in samples if sample.saturated],
        "marks": _marks(record),
        "watched": _watched_columns(record.watched),
        "bars": {name: bars(values) for name, values in record.histograms.items()},
    }


def _marks(record: RunRecord) -> list[tuple[float, str]]:
    """The moments that every chart marks, with their text."""
    aborted = record.summary.aborted
    asked = [
        (change.second, change.what)
        for change in record.summary.changes
        if change.second is not None
    ]
    return asked + ([(aborted.second, f"aborted: {aborted.why}")] if aborted else [])


def _fleet_columns(samples: Sequence[Sample]) -> Columns:
    columns: Columns = {
        name: [sample.fleet.get(name) for sample in samples]
        for name in (samples[0].fleet if samples else ())
    }
    for end in dict.fromkeys(end for sample in samples for end in sample.ends):
        columns[f"end {end}"] = [sample.ends.get(end, 0) for sample in samples]
    for part, figure in _part_figures(samples):
        own = (sample.parts.get(part, {}) for sample in samples)
        columns[f"{part} {figure}"] = [figures.get(figure) for figures in own]
    histograms = list(dict.fromkeys(name for sample in samples for name in sample.latencies))
    for name in histograms:
        for at, statistic in enumerate(STATISTICS):
            figures = [sample.latencies.get(name) for sample in samples]
            columns[f"{name} {statistic}"] = [of[at] if of else None for of in figures]
    return columns


def _own_columns(samples: Sequence[Sample], drawn: Drawn) -> Columns:
    columns: Columns = {}
    owns = [sample.own for sample in samples]
    for name in drawn.counters:
        columns[f"counter {name}"] = [own.counters.get(name) for own in owns]
    for name in drawn.checks:
        found = [own.checks.get(name) for own in owns]
        columns[f"check {name}"] = [share_of(checked) if checked else None for checked in found]
    for name in drawn.timings:
        times = [own.timings.get(name) for own in owns]
        for at, title in enumerate(
            [f"timed {name}", *(f"timing {name} {of}" for of in STATISTICS)]
        ):
            columns[title] = [of[at] if of else None for of in times]
    return columns


def _part_figures(samples: Sequence[Sample]) -> list[tuple[str, str]]:
    """Returns each session and target with its figures that charts show."""
    parts = dict.fromkeys(part for sample in samples for part in sample.parts)
    return [(part, figure) for part in parts for figure in PART_FIGURES]


def _watched_columns(scrapes: Sequence[Scrape]) -> dict[str, dict[str, Any]]:
    columns: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(scrape.name for scrape in scrapes):
        own = [scrape for scrape in scrapes if scrape.name == name]
        drawn = own[:: _step(len(own))]
        series = {
            series: [getattr(scrape, series) for scrape in drawn] for series in WATCHED_SERIES
        }
        columns[name] = {"seconds": [scrape.second for scrape in drawn], "series": series}
    return columns


def _agents_between(samples: Sequence[Sample], step: int) -> list[dict[str, list[float | None]]]:
    """Returns the newest figures of each agent, for each sample that is drawn.

    They are from the sample drawn before it on: the agents of a large fleet are not in every one.
    """
    found = []
    for at in range(0, len(samples), step):
        figures: dict[str, list[float | None]] = {}
        for sample in samples[max(0, at - step + 1) : at + 1]:
            figures |= sample.agents
        found.append(figures)
    return found


def _agent_columns(agents: Sequence[dict[str, list[float | None]]], name: str) -> Columns:
    figures = [one.get(name) for one in agents]
    return {
        series: [of[at] if of else None for of in figures] for at, series in enumerate(AGENT_SERIES)
    }
