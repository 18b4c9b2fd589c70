"""A published run as one HTML file, as Markdown and as CSV."""

import csv
import html
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from coordinator.report.expect import parse
from coordinator.report.export import csv_report, markdown_report, plain
from coordinator.report.html import MAX_POINTS, html_report
from coordinator.report.summary import summary_of
from coordinator.run.run import Run
from coordinator.run.summary import InvalidSecond
from coordinator.storage.rundir import RunDir, read_run
from loadgen.plan.plan import Plan, Target
from loadgen.stats.fanin import Second
from loadgen.stats.tally import Held, Tally
from tests.unit.coordinator.fleet import drained, opened, seconds, started

PUBLISHED = Path(__file__).parents[4] / "docs" / "million"
PLAN = Plan(target="ws://127.0.0.1:1/", max=400, rate=100.0, hold=3.0, think=1.0)
START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def alive(number):
    """A second in which an agent's 200 connections answer a ping each."""
    tally = Tally(pings=200, pongs=200)
    for _ in range(200):
        tally.ping_rtt.record(4000)
    return Second(number, tally, Held(0, 200), cpu_s=0.1 * number, rss=1 << 20)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A run of 400 connections by two agents: 4 s of arrivals, 3 s of pings, and the drain."""
    run, folder = Run(PLAN, 2), RunDir.create(tmp_path_factory.mktemp("runs"), PLAN, START)
    agents = started(run)
    story = [
        *(opened(number, 50, held=50 * (number + 1)) for number in range(4)),
        *map(alive, range(4, 7)),
    ]
    for second in [*story, drained(7, 200)]:
        for agent in agents:
            run.post(
                agent, seconds(second, finished=second.number == 7), run.start + second.number + 1
            )
        for entry in run.tick(run.start + second.number + 1):
            folder.write_entry(entry)
    folder.write_run(run)
    folder.write_summary(
        summary_of(run, [parse("open_peak>=400"), parse("failed<1")], run.start + 8.0)
    )
    folder.close()
    return read_run(folder.path)


@pytest.fixture(scope="module")
def report(record):
    return html_report(record)


def test_the_report_says_what_the_run_proves_and_holds_its_numbers(report):
    text = html.unescape(re.sub(r"<[^>]+>", " ", report.partition("<script")[0]))

    assert (
        "400 connections verified open for 3 s: each answered a ping within 1 s; none failed; none"
        " lost" in text
    )
    assert "anything about a network: agents and server shared one machine" in text
    for figure in ("1,600 pings", "open_peak>=400", "drained", "rate = 100.0", "127.0.0.1"):
        assert figure in text


def test_a_plan_with_targets_is_reported_against_them_and_not_the_default(record):
    urls = ("ws://10.213.7.2:21130/hold", "ws://10.213.7.2:21130/echo")
    several = replace(record, plan=Plan(targets=tuple(Target(url=url) for url in urls)))

    page = html_report(several)
    text = markdown_report(several)

    assert f'<p class="target">{", ".join(urls)}</p>' in page
    assert f"Targets `{urls[0]}`, `{urls[1]}`;" in text
    for form in (page, text):
        assert "one machine" not in form
        assert "127.0.0.1:9505" not in form


def test_the_report_asks_for_nothing_and_runs_only_its_own_scripts(report):
    assert re.findall(r'(?:src|href)="', report) == []
    policy = html.unescape(re.search(r'Policy" content="([^"]+)"', report)[1])
    assert policy.startswith("default-src 'none'")
    assert policy.count("'sha256-") == 2
    assert not re.search(r"^(import|export) ", report, re.MULTILINE)


def test_the_charts_have_every_second_of_the_run(report, record):
    data = json.loads(
        re.search(r'<script type="application/json" id="run">(.*?)</script>', report)[1]
    )

    assert data["seconds"] == [row.second for row in record.seconds]
    assert data["fleet"]["open"] == [row.fleet.ledger.open for row in record.seconds]
    assert set(data["agents"]) == {"a", "b"}
    assert sum(number for _, number in data["bars"]["handshake"]) == 400


def test_a_run_longer_than_an_hour_is_thinned(record):
    rows = [replace(record.seconds[0], second=number) for number in range(2 * MAX_POINTS)]

    report = html_report(replace(record, seconds=rows))

    data = json.loads(
        re.search(r'<script type="application/json" id="run">(.*?)</script>', report)[1]
    )
    assert data["seconds"] == list(range(0, 2 * MAX_POINTS, 2))
    assert "One second in 2 is drawn" in report


def test_names_from_elsewhere_stay_text(record):
    evil = "</script><img src=x onerror=alert(1)>"
    summary = replace(record.summary, failed={evil: 1}, invalid_seconds=[InvalidSecond(3, [evil])])
    rows = [replace(record.seconds[0], invalid=[evil])]
    record = replace(record, summary=summary, seconds=rows, name=evil)

    assert "<img" not in html_report(record)
    assert re.findall(r"(?<!\\)<img", markdown_report(record)) == []


def test_markdown_has_the_claim_and_tables(record):
    text = markdown_report(record)

    assert text.startswith("## 20261124T040000Z-127-0-0-1-1: pass\n\n400 connections verified open")
    assert "| drained | closed | 400 | nobody |" in text
    assert plain("a|b*") == r"a\|b\*"


def test_csv_has_a_line_a_second(record):
    rows = list(csv.DictReader(csv_report(record).splitlines()))

    assert len(rows) == len(record.seconds)
    assert rows[2]["open"] == str(record.seconds[2].fleet.ledger.open)
    assert float(rows[2]["handshake_p99_ms"]) == record.seconds[2].fleet.histograms["handshake"].p99


@pytest.mark.parametrize(
    "folder",
    sorted(path.parent for path in PUBLISHED.glob("*/plan.toml")),
    ids=lambda path: path.name,
)
def test_the_published_runs_can_be_rendered(folder):
    record = read_run(folder)

    assert f"{record.summary.open_peak:,} connections" in markdown_report(record)
    assert record.name in html_report(record)
