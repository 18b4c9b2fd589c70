"""report.html: a finished run as one self-contained file, with the page's charts."""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from coordinator.report import tables
from coordinator.report.claims import claims_of
from coordinator.report.delivery import delivery_lines, delivery_table
from coordinator.report.machines import machines_of
from coordinator.report.samples import AGENT_SERIES, STATISTICS, Sample, bars, samples_of
from coordinator.report.template import render
from coordinator.report.text import outcome
from coordinator.run.summary import AgentSummary
from coordinator.scrape import Scrape
from coordinator.storage.reader import RunRecord
from loadgen.version import VERSION

PAGE = Path(__file__).parents[1] / "page"
MODULES = ("words.js", "model.js", "charts.js", "report.js")
"""The page's modules that a report needs, each after the modules that it imports."""
MAX_POINTS = 3600
"""Seconds on a chart; of a longer run only every second, third, fourth… one is drawn."""
WATCHED_SERIES = ("cpu_s", "memory", "files", "sockets")

Columns = dict[str, list[float | None]]


class EmbeddedScript(msgspec.Struct, frozen=True):
    """A script inside the report."""

    text: str
    module: bool = False

    @property
    def digest(self) -> str:
        """The SHA-256 digest in base64, as a Content-Security-Policy names a script."""
        return base64.b64encode(hashlib.sha256(self.text.encode()).digest()).decode()


def html_report(record: RunRecord) -> str:
    """Returns the whole file."""
    samples = samples_of(record)
    step = -(-len(samples) // MAX_POINTS) or 1
    data = msgspec.json.encode(_data(record, samples, step)).decode()
    scripts = [
        EmbeddedScript(_read("vendor/uPlot.iife.min.js")),
        EmbeddedScript(_bundle(), module=True),
    ]
    return render(
        "report/report.html.j2",
        record=record,
        outcome=outcome(record.summary),
        claims=claims_of(record.summary, samples, record.plan),
        agents=_in_natural_order(record.summary.agents),
        machines=machines_of(record.facts),
        delivery=delivery_lines(record.summary),
        worst=delivery_table(record.summary),
        tables=tables,
        step=step,
        version=VERSION,
        style=_read("vendor/uPlot.min.css") + _read("page.css"),
        policy=_policy(scripts),
        scripts=scripts,
        data=data.replace("<", "\\u003c"),  # no text in it ends the script element
    )


def _read(name: str) -> str:
    return (PAGE / name).read_text()


def _bundle() -> str:
    """The modules as one, without their imports of each other and without exports."""
    whole = "\n".join(_read(name) for name in MODULES)
    without_imports = re.sub(r"^import .*?;\n", "", whole, flags=re.MULTILINE)
    return re.sub(r"^export ", "", without_imports, flags=re.MULTILINE)


def _policy(scripts: Sequence[EmbeddedScript]) -> str:
    """The Content-Security-Policy: nothing is loaded, and only these scripts run."""
    digests = " ".join(f"'sha256-{script.digest}'" for script in scripts)
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {digests}"


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
        "watched": _watched_columns(record.watched),
        "bars": {name: bars(values) for name, values in record.histograms.items()},
    }


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
