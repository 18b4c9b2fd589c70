"""report.html: one file that needs nothing else."""

import html
import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from coordinator.report.export import markdown_report
from coordinator.report.html import MAX_POINTS, comparison_html, html_report
from coordinator.report.own import MAX_DRAWN
from coordinator.run.progress import PhaseProgress
from coordinator.run.row import PartFigures
from coordinator.run.summary import InvalidSecond
from coordinator.storage.reader import read_run
from loadgen.plan.plan import Plan, Target
from loadgen.stats.tally import CheckCounts
from tests.unit.coordinator.report.summaries import part, percentiles
from tests.unit.coordinator.report.test_delivery import SOME

PUBLISHED = Path(__file__).parents[4] / "docs" / "million"


@pytest.fixture(scope="module")
def report(record):
    return html_report(record)


def test_the_report_has_the_claims_and_the_numbers_of_the_run(report):
    text = html.unescape(re.sub(r"<[^>]+>", " ", report.partition("<script")[0]))

    assert (
        "400 connections verified open for 4 s: each answered its upgrade or a ping within 2 s;"
        " none failed; none lost" in text
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


def test_the_report_loads_nothing_and_runs_only_its_own_scripts(report):
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


def test_the_charts_of_a_long_run_have_only_some_of_its_seconds(record):
    rows = [replace(record.seconds[0], second=number) for number in range(2 * MAX_POINTS)]

    report = html_report(replace(record, seconds=rows))

    data = json.loads(
        re.search(r'<script type="application/json" id="run">(.*?)</script>', report)[1]
    )
    assert data["seconds"] == list(range(0, 2 * MAX_POINTS, 2))
    assert "One second in 2 is drawn" in report


def test_the_charts_have_the_agents_that_take_turns_in_the_seconds(record):
    figures = record.seconds[0].agents["a"]
    rows = [
        replace(record.seconds[0], second=number, agents={"ab"[number % 2]: figures})
        for number in range(2 * MAX_POINTS)
    ]

    agents = data_of(html_report(replace(record, seconds=rows)), "run")["agents"]

    assert agents["a"]["open"] == [figures.ledger.open] * MAX_POINTS
    assert agents["b"]["open"] == [None, *[figures.ledger.open] * (MAX_POINTS - 1)]


def data_of(text, name):
    """The numbers that a page contains."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text)
    return json.loads(found[1])


def counting(record, **figures):
    """The same run, whose sessions counted, checked and timed in its first second."""
    (first, *rows) = record.seconds
    return replace(
        record,
        seconds=[replace(first, fleet=replace(first.fleet, **figures)), *rows],
        summary=replace(record.summary, parts={}, **figures),
    )


OWN = {
    "counters": {"logins": 3},
    "checks": {"ok": CheckCounts(3, 1)},
    "timings": {"tr_login": percentiles(count=4, p50=1.0, p95=3.0)},
}


def test_the_charts_have_what_sessions_count_check_and_time(record):
    fleet = data_of(html_report(counting(record, **OWN)), "run")["fleet"]

    nothing = [None] * 7
    assert fleet["counter logins"] == [3, *nothing]
    assert fleet["check ok"] == [75.0, *nothing]
    assert fleet["timed tr_login"] == [4, *nothing]
    assert fleet["timing tr_login p95"] == [3.0, *nothing]


def test_a_report_says_when_it_does_not_draw_all_names(record):
    many = {f"counter {at:03}": at for at in range(MAX_DRAWN + 1)}

    page = html_report(counting(record, counters=many))

    assert f"the {MAX_DRAWN} most frequent names are drawn" in page
    assert "counter counter 000" not in data_of(page, "run")["fleet"]
    assert "most frequent names" not in html_report(counting(record, **OWN))


def test_runs_are_side_by_side_with_their_curves_in_one_file(record):
    short = replace(counting(record, **OWN), name="short", seconds=record.seconds[:5])
    page = comparison_html([record, short], 5.0)

    data = data_of(page, "comparison")
    assert [len(run["seconds"]) for run in data["runs"]] == [8, 5]
    assert data["runs"][0]["fleet"]["open"] == [row.fleet.ledger.open for row in record.seconds]
    assert data["own"]["timings"] == ["tr_login"]
    assert [len(run["fleet"]["timing tr_login p50"]) for run in data["runs"]] == [8, 5]
    assert re.search(r'<th scope="row">timing.tr_login_p99</th>\s*<td>–</td>\s*<td>0</td>', page)
    assert re.search(r'<th scope="row">open_peak</th>\s*<td>400</td>\s*<td>400</td>', page)
    assert not re.search(r"^(import|export) ", page, re.MULTILINE)
    assert "Not quite comparable" not in page
    assert "short: short did not run to its end (lost)" in comparison_html(
        [record, replace(short, summary=replace(short.summary, verdict="lost"))], 5.0
    )


def test_a_figure_that_got_worse_is_marked_in_a_comparison(record):
    worse = replace(record, summary=replace(record.summary, open_peak=200))

    page = comparison_html([record, worse, record], 5.0)

    assert re.findall(r'<td class="failed">([^<]*)</td>', page) == ["worse -50.0 %"]


def test_a_run_that_measured_delivery_shows_it(record):
    measured = replace(record, summary=replace(SOME, agents=record.summary.agents))

    page = html.unescape(html_report(measured))
    text = markdown_report(measured)

    for form in (page, text):
        assert "reach 99.9999 % (999,999 of 1,000,000)" in form
        assert "missed: user 1,234 of local-1" in form
        assert "99.998 %" in form
    assert "Delivery</h2>" not in html_report(record)


def test_a_reason_with_a_sample_links_to_it(record):
    files = {"http_403": "errors/http_403.txt"}
    summary = replace(record.summary, failed={"http_403": 2, "refused": 1}, tracebacks=files)
    text = html_report(replace(record, summary=summary))

    assert re.findall('<a href="(errors/[^"]*)" aria-label="sample of http_403">', text) == [
        "errors/http_403.txt"
    ]


def test_foreign_names_stay_text(record):
    evil = "</script><img src=x onerror=alert(1)>"
    summary = replace(record.summary, failed={evil: 1}, invalid_seconds=[InvalidSecond(3, [evil])])
    rows = [replace(record.seconds[0], invalid=[evil])]
    record = replace(record, summary=summary, seconds=rows, name=evil)

    assert "<img" not in html_report(record)
    assert re.findall(r"(?<!\\)<img", markdown_report(record)) == []


@pytest.mark.parametrize(
    "folder",
    sorted(path.parent for path in PUBLISHED.glob("*/plan.toml")),
    ids=lambda path: path.name,
)
def test_the_published_runs_can_be_rendered(folder):
    record = read_run(folder)

    assert f"{record.summary.open_peak:,} connections" in markdown_report(record)
    assert record.name in html_report(record)


def test_seconds_that_were_not_written_are_named(record):
    some = [row for row in record.seconds if row.second not in (0, 3, 4)]

    assert "no row was written" not in html_report(record)
    assert "stood still: 0, 3 to 4." in html_report(replace(record, seconds=some))


def test_sessions_have_a_table_their_own_latencies_and_series_on_charts(record):
    parts = {f"session.{name}": part(launched=10) for name in ("chatter", "watcher")}
    parts["session.chatter"].failed = {"http_503": 3}
    parts["session.chatter"].timings = {"tr_login": percentiles(p99=12.0)}
    figures = replace(record.summary, parts=record.summary.parts | parts)
    rows = [
        replace(row, parts={"session.chatter": PartFigures(open=row.second)})
        for row in record.seconds
    ]

    page = html_report(replace(record, summary=figures, seconds=rows))

    text = re.sub(r"<[^>]+>", " ", page.partition("<script")[0])
    assert re.search(r"Sessions\s+Counts are of all seconds", text)
    assert "All latencies and ends of chatter" in text
    assert "http_503" in text
    assert "tr_login" in text
    assert "All latencies and ends of phase" not in text, "it has one phase"
    data = json.loads(re.search(r'id="run">(.*?)</script>', page, re.DOTALL)[1])
    assert data["fleet"]["session.chatter open"] == [row.second for row in record.seconds]


def test_each_of_several_phases_has_all_its_latencies(record):
    phases = [PhaseProgress(name, 0.0, 4.0, 200) for name in ("arrivals", "more")]
    page = html_report(replace(record, summary=replace(record.summary, phases=phases)))

    details = page.partition("All latencies and ends of phase arrivals")[2].partition("</details>")[
        0
    ]
    assert "handshake" in details
    assert "ping_rtt" in details
