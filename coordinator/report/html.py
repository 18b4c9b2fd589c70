"""report.html: a finished run as one self-contained file, with the live page's own charts."""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from coordinator.report.claims import Claims, asked_in, claims_of
from coordinator.report.machines import machines_of, plain
from coordinator.report.markup import Html, join, table, tag
from coordinator.report.samples import AGENT_SERIES, STATISTICS, Sample, Sampler, bars
from coordinator.report.text import laws, outcome
from coordinator.run.progress import Pauses
from coordinator.run.timeline import Row
from coordinator.scrape import Scrape
from coordinator.storage.reader import RunRecord
from coordinator.text import count, ms, reasons, seconds
from loadgen.stats.histogram import QUANTILES
from loadgen.stats.reasons import LOST, fault_of
from loadgen.version import VERSION

PAGE = Path(__file__).parents[1] / "page"
MODULES = ("words.js", "model.js", "charts.js", "report.js")
"""The page's modules that a report needs, each behind those it imports."""
MAX_POINTS = 3600
"""Seconds on a chart; of a longer run every second, third, fourth… is drawn."""
FIGURES = ("count", *QUANTILES, "max")

WATCHED_SERIES = ("cpu_s", "memory", "files", "sockets")

Columns = dict[str, list[float | None]]


def html_report(record: RunRecord) -> str:
    """The whole file."""
    samples = samples_of(record)
    body = join([_body(record, samples, claims_of(record.summary, samples, record.plan))])
    data = msgspec.json.encode(_data(record, samples)).decode().replace("<", "\\u003c")
    scripts = [_source("vendor/uPlot.iife.min.js"), _bundle()]
    policy = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    head = [
        tag("meta", charset="utf-8"),
        tag(
            "meta",
            http_equiv="Content-Security-Policy",
            content=f"default-src 'none'; style-src 'unsafe-inline'; script-src {policy}",
        ),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{record.name} – loadgen"),
        tag("style", Html(_source("vendor/uPlot.min.css") + _source("page.css"))),
    ]
    tail = [
        tag("script", Html(data), type="application/json", id="run"),
        tag("script", Html(scripts[0])),
        tag("script", Html(scripts[1]), type="module"),
    ]
    return (
        f"<!doctype html>\n{tag('html', tag('head', *head), tag('body', body, *tail), lang='en')}"
    )


def samples_of(record: RunRecord) -> list[Sample]:
    """The samples of a run's rows."""
    sampler, gates = Sampler(record.plan), _gates(record)
    pauses = Pauses(record.summary.get("pauses", []))  # an older run directory lacks them
    return [sampler.take(msgspec.convert(row, Row), gates, pauses) for row in record.seconds]


def _gates(record: RunRecord) -> list[float]:
    """When the gates opened that phases waited at, as far as they did."""
    spans = record.plan.schedule.spans
    begun = zip(
        spans, record.summary.get("phases", []), strict=False
    )  # an older run directory lacks them
    opened = {
        span.gate: phase["begin"] - span.begin
        for span, phase in begun
        if phase["begin"] is not None
    }
    return [opened[gate] for gate in sorted(opened) if gate]


def _source(name: str) -> str:
    return (PAGE / name).read_text()


def _bundle() -> str:
    """The modules as one: without their imports of each other, and with nothing to export."""
    whole = "\n".join(_source(name) for name in MODULES)
    return re.sub(
        r"^export ",
        "",
        re.sub(r"^import .*?;\n", "", whole, flags=re.MULTILINE),
        flags=re.MULTILINE,
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _data(record: RunRecord, samples: Sequence[Sample]) -> dict[str, Any]:
    step = -(-len(samples) // MAX_POINTS) or 1
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


def _watched_columns(readings: Sequence[Scrape]) -> dict[str, dict[str, Any]]:
    columns: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(reading.name for reading in readings):
        mine = [reading for reading in readings if reading.name == name]
        mine = mine[:: -(-len(mine) // MAX_POINTS)]
        series = {
            series: [getattr(reading, series) for reading in mine] for series in WATCHED_SERIES
        }
        columns[name] = {"seconds": [reading.second for reading in mine], "series": series}
    return columns


def _agent_columns(samples: Sequence[Sample], name: str) -> Columns:
    figures = [sample.agents.get(name) for sample in samples]
    return {
        series: [of[at] if of else None for of in figures] for at, series in enumerate(AGENT_SERIES)
    }


# What is read without any script.


def _body(record: RunRecord, samples: Sequence[Sample], proof: Claims) -> Html:
    summary = record.summary
    sections = [
        _hero(record, proof),
        _section("Expectations", _expectations(summary)) if summary["expectations"] else "",
        _section("ScriptEnd time", *_charts(len(samples))),
        _section("Servers", tag("div", id="servers")) if record.watched else "",
        _section("Phases", _phases(summary)) if len(summary.get("phases", [])) > 1 else "",
        _section(
            "Latencies of the whole run", tag("div", id="bars", class_="bars"), _latencies(summary)
        ),
        _section("Counted and timed by sessions", *_own(summary)) if _has_own(summary) else "",
        _section("Ledger", _ledger(summary), *_rates(summary)),
        _section("Failures and closes", _ends(summary)),
        _section("Agents", _agents(summary), *_agent_charts(summary)),
        _section("Seconds that prove nothing", _invalid(summary)),
        _section("Machines", *_machines(record)),
        _section(
            "Plan",
            tag("p", "Run it again with loadgen-coord --plan plan.toml.", class_="key"),
            tag("pre", record.plan_text, tabindex="0"),
        ),
    ]
    foot = tag(
        "footer",
        tag(
            "p", f"Made by loadgen {VERSION}; the run by {record.facts.get('version', 'unknown')}."
        ),
    )
    return join([_top(record), tag("main", *sections, id="main"), foot])


def _section(title: str, *children: object) -> Html:
    name = title.lower().replace(" ", "-")
    return tag(
        "section", tag("h2", title, id=f"{name}-title"), *children, aria_labelledby=f"{name}-title"
    )


def _top(record: RunRecord) -> Html:
    verdict = outcome(record.summary)
    started = record.facts.get("started", "")
    name = tag(
        "div", tag("h1", record.name), tag("p", record.plan.target, class_="target"), class_="name"
    )
    status = [
        tag("p", verdict, class_="badge", data_state=verdict),
        tag("p", started, class_="clock"),
    ]
    return tag("header", name, tag("div", *status, class_="status"), class_="top")


def _hero(record: RunRecord, proof: Claims) -> Html:
    summary = record.summary
    big = tag(
        "p",
        count(summary["open_peak"]),
        " ",
        tag("span", "open at the peak", class_="unit"),
        class_="big",
    )
    under = f"of {count(asked_in(summary))} planned, held for {seconds(summary['plateau_s'])}"
    limits = [
        tag("p", "It does not prove"),
        tag("ul", *(tag("li", text) for text in proof.does_not), class_="limits"),
    ]
    return tag(
        "section",
        tag("h2", "What this run proves", id="proves-title", class_="sr"),
        big,
        tag("p", under, class_="under"),
        tag("p", proof.proves, class_="proof"),
        *(limits if proof.does_not else []),
        class_="hero",
        aria_labelledby="proves-title",
    )


def _expectations(summary: dict[str, Any]) -> Html:
    rows = [
        (
            row["expr"],
            "not measured" if row["value"] is None else f"{row['value']:,.6g}",
            tag(
                "span",
                "held" if row["held"] else "FAILED",
                class_="held" if row["held"] else "failed",
            ),
        )
        for row in summary["expectations"]
    ]
    return table("Expectations", ("expected", "measured", "verdict"), rows)


def _charts(points: int) -> Iterator[Html]:
    step = -(-points // MAX_POINTS) or 1
    thinned = f" One second in {step} is drawn; seconds.ndjson has them all." if step > 1 else ""
    yield tag(
        "p",
        tag("span", class_="invalid-key", aria_hidden="true"),
        f" Seconds that prove nothing. Arrow keys move along a chart.{thinned}",
        class_="key",
    )
    yield tag("noscript", tag("p", "The charts need JavaScript; the tables below do not."))
    yield tag("div", id="charts", class_="charts")


def _phases(summary: dict[str, Any]) -> Html:
    rows = [
        (
            phase["name"],
            *(_since(phase[name]) for name in ("begin", "end")),
            count(phase["planned"]),
            count(phase["launched"]),
        )
        for phase in summary["phases"]
    ]
    return table("Phases", ("phase", "from", "to", "planned", "launched"), rows)


def _since(at: float | None) -> str:
    return "–" if at is None else seconds(at)


def _has_own(summary: dict[str, Any]) -> bool:
    # An older run directory lacks them.
    return bool(summary.get("counters") or summary.get("timings"))


def _own(summary: dict[str, Any]) -> Iterator[Html]:
    if summary["timings"]:
        yield _percentiles("Timed by sessions, in milliseconds", summary["timings"])
    if summary["counters"]:
        rows = [(name, count(number)) for name, number in summary["counters"].items()]
        yield table("Counted by sessions", ("counted by sessions", "count"), rows)


def _latencies(summary: dict[str, Any]) -> Html:
    return _percentiles("Percentiles in milliseconds", summary["histograms"])


def _percentiles(caption: str, histograms: dict[str, dict[str, float]]) -> Html:
    rows = [
        (name, count(figures["count"]), *(ms(figures[statistic]) for statistic in FIGURES[1:]))
        for name, figures in histograms.items()
    ]
    return table(caption, ("milliseconds", "count", "p50", "p90", "p99", "p99.9", "max"), rows)


def _ledger(summary: dict[str, Any]) -> Html:
    rows = [
        (name, count(total), " + ".join(f"{count(number)} {part}" for part, number in parts))
        for name, total, parts in laws(summary)
    ]
    return table(
        "The ledger: each sum is the number before it", ("", "connections", "of which"), rows
    )


def _rates(summary: dict[str, Any]) -> Iterator[Html]:
    late = 100 * summary["late"] / summary["launched"] if summary["launched"] else 0.0
    yield tag(
        "p",
        f"Arrivals: {summary['rate_achieved']:,.1f}/s achieved, {summary['rate_asked']:,.1f}/s"
        f" asked; late {count(summary['late'])} ({late:.2f} %). The run took"
        f" {seconds(summary['duration_s'])}.",
    )
    yield tag(
        "p",
        f"Traffic: {count(summary['pings'])} pings, {count(summary['pongs'])} pongs,"
        f" {count(summary['messages_received'])} messages received, {count(summary['bytes_sent'])}"
        f" bytes out, {count(summary['bytes_received'])} bytes in. Accepted by the session:"
        f" {count(summary['accepted'])}.",
    )


def _ends(summary: dict[str, Any]) -> Html:
    ends = [
        (reason, kind, number, fault_of(reason))
        for kind in ("failed", "closed")
        for reason, number in sorted(summary[kind].items(), key=lambda item: -item[1])
    ]
    if summary["lost"]:
        ends.append(("agent or worker died", "lost", summary["lost"], fault_of(LOST)))
    rows = [
        (reason, kind, count(number), tag("span", who, class_="fault", data_who=who))
        for reason, kind, number, who in ends
    ]
    return table(
        "Failures and closes by reason",
        ("reason", "kind", "connections", "at fault"),
        rows,
        id="ends",
    )


def _agents(summary: dict[str, Any]) -> Html:
    rows = [
        (
            agent["name"],
            agent["status"],
            agent["workers"],
            *(count(agent[name]) for name in ("share", "launched", "opened")),
            reasons(agent["failed"]) or "0",
            *(count(agent[name]) for name in ("lost", "late")),
            f"{agent['cpu_s']:.1f}",
            f"{agent['rss_peak_mb']:.0f}",
            agent["preflight"],
        )
        for agent in _by_name(summary)
    ]
    head = (
        "agent",
        "status",
        "workers",
        "share",
        "launched",
        "opened",
        "failed",
        "lost",
        "late",
        "CPU s",
        "peak MB",
    )
    return table("Agents", (*head, "preflight"), rows)


def _by_name(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The agents as people look for them: local-2 before local-10."""
    parts = re.compile(r"(\d+)").split
    return sorted(
        summary["agents"], key=lambda one: [(part.zfill(20)) for part in parts(one["name"])]
    )


def _agent_charts(summary: dict[str, Any]) -> Iterator[Html]:
    for agent in _by_name(summary):
        heading = tag("summary", f"Charts of {agent['name']}")
        yield tag("details", heading, tag("div", class_="charts"), data_agent=agent["name"])


def _invalid(summary: dict[str, Any]) -> Html:
    if not summary["invalid_seconds"]:
        return tag("p", "None: all agents reported, no generator stalled, the ledger added up.")
    rows = [(row["second"], "; ".join(row["why"])) for row in summary["invalid_seconds"]]
    return table("Seconds that prove nothing, and why", ("second", "why"), rows)


def _machines(record: RunRecord) -> Iterator[Html]:
    """Each different machine once, with the agents on it; what changes from moment to moment is
    left out."""
    machines = machines_of(record.facts)
    for facts, names in machines:
        rows = [(name, plain(value)) for name, value in facts.items()]
        yield tag("h3", ", ".join(names))
        yield table(f"Versions and kernel settings of {names[0]}", ("", "value"), rows)
    if not machines:
        yield tag("p", "run.json is missing or names no agent.")
