"""HTML pages in one file."""

import html
import json
import re

from coordinator.report.html import trend_html
from coordinator.report.trend import trend_of
from tests.unit.coordinator.report.summaries import record, summary

HOSTILE = "</script><script>alert(1)</script>"


def page():
    """A trend of two runs, of which one has a hostile name."""
    runs = [record("20261101T040000Z-a", summary(open_peak=10)), record(HOSTILE, summary())]
    return trend_html(trend_of(runs, 5.0))


def test_a_page_loads_nothing_and_runs_only_its_own_scripts():
    policy = html.unescape(re.search(r'Policy" content="([^"]+)"', page())[1])

    assert re.findall(r'(?:src|href)="', page()) == []
    assert policy.startswith("default-src 'none'")
    assert policy.count("'sha256-") == 2
    assert not re.search(r"^(import|export) ", page(), re.MULTILINE)


def test_no_text_ends_a_script():
    (data,) = re.findall(r'<script type="application/json" id="trend">(.*?)</script>', page())

    assert json.loads(data)["runs"][0]["name"] == HOSTILE
    assert HOSTILE not in page()


def test_the_table_marks_what_got_worse():
    runs = [record(f"2026110{day}T040000Z", summary(open_peak=20 - day)) for day in (1, 5)]
    text = trend_html(trend_of(runs, 5.0))

    assert '<td class="failed">! 15 (-21.1 %)</td>' in text
    assert "<td>19</td>" in text
