"""Finished runs with the page's charts, as one file: report.html and a trend.

The page's own modules draw the charts.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from coordinator.report import tables
from coordinator.report.claims import claims_of
from coordinator.report.delivery import delivery_lines, delivery_table
from coordinator.report.machines import machines_of
from coordinator.report.samples import AGENT_SERIES, STATISTICS, Sample, bars, samples_of
from coordinator.report.standalone import standalone
from coordinator.report.text import outcome
from coordinator.report.trend import Trend, step_text
from coordinator.run.summary import AgentSummary
from coordinator.run.timeline import Row
from coordinator.scrape import Scrape
from coordinator.storage.reader import RunRecord

MODULES = ("words.js", "model.js", "charts.js", "report.js")
"""The page's modules that a report needs, each after the modules that it imports."""
TREND_MODULES = ("words.js", "model.js", "charts.js", "trend.js")
"""The page's modules that a trend needs, in the same order."""
MAX_POINTS = 3600
"""Seconds on a chart; of a longer run only every second, third, fourth… one is drawn."""
WATCHED_SERIES = ("cpu_s", "memory", "files", "sockets")

Columns = dict[str, list[float | None]]


def html_report(record: RunRecord) -> str:
    """Returns the whole file."""
    samples = samples_of(record)
    step = -(-len(samples) // MAX_POINTS) or 1
    return standalone(
        "report/report.html.j2",
        MODULES,
        _data(record, samples, step),
        record=record,
        outcome=outcome(record.summary),
        claims=claims_of(record.summary, samples, record.plan),
        agents=_in_natural_order(record.summary.agents),
        addresses=tables.address_table(record.facts),
        machines=machines_of(record.facts),
        delivery=delivery_lines(record.summary),
        worst=delivery_table(record.summary),
        tables=tables,
        step=step,
        gaps=gaps_of(record.seconds),
    )


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


def _in_natural_order(agents: Sequence[AgentSummary]) -> list[AgentSummary]:
    """By name, with numbers by their value: local-2 before local-10."""
    parts = re.compile(r"(\d+)").split
    return sorted(agents, key=lambda agent: [part.zfill(20) for part in parts(agent.name)])


# The series of the charts.


def _data(record: RunRecord, samples: Sequence[Sample], step: int) -> dict[str, Any]:
    drawn = samples[::step]
    names = list(dict.fromkeys(name for sample in drawn for name in sample.agents))
    return {
        "seconds": [sample.second for sample in drawn],
        "fleet": _fleet_columns(drawn),
        "agents": {name: _agent_columns(drawn, name) for name in names},
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
    histograms = list(dict.fromkeys(name for sample in samples for name in sample.latencies))
    for name in histograms:
        for at, statistic in enumerate(STATISTICS):
            figures = [sample.latencies.get(name) for sample in samples]
            columns[f"{name} {statistic}"] = [of[at] if of else None for of in figures]
    return columns


def _watched_columns(scrapes: Sequence[Scrape]) -> dict[str, dict[str, Any]]:
    columns: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(scrape.name for scrape in scrapes):
        own = [scrape for scrape in scrapes if scrape.name == name]
        drawn = own[:: -(-len(own) // MAX_POINTS)]
        series = {
            series: [getattr(scrape, series) for scrape in drawn] for series in WATCHED_SERIES
        }
        columns[name] = {"seconds": [scrape.second for scrape in drawn], "series": series}
    return columns


def _agent_columns(samples: Sequence[Sample], name: str) -> Columns:
    figures = [sample.agents.get(name) for sample in samples]
    return {
        series: [of[at] if of else None for of in figures] for at, series in enumerate(AGENT_SERIES)
    }
