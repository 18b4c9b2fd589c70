"""The figures of watched servers on the page and in the report."""

import json

from tests.browser.watching import accessibility_violations
from tests.processes import Command, command, coordinator, target

RUN = ("--local", "1", "--rate", "100", "--max", "100", "--think", "1", "--hold", "5")


def test_a_watched_server_has_charts_on_the_time_axis_of_the_run(tmp_path, page):
    monitor = Command(command("loadgen-agent", "--monitor", "--metrics", "127.0.0.1:0"))
    url = monitor.says(r"metrics at (http://\S+)")[1]
    watch = ("--watch", f"box={url}", "--watch", "gone=http://127.0.0.1:1/metrics")
    try:
        with (
            target("--workers", "1") as server,
            coordinator(tmp_path, *RUN, *watch, server.ws) as coord,
        ):
            page.goto(coord.url)
            page.locator("#servers h3", has_text="box").wait_for()
            page.locator('#servers [data-chart="memory"] canvas').wait_for()
            assert accessibility_violations(page) == []
            assert coord.end() == 0
            folder = coord.folder
            assert "--watch gone: http://127.0.0.1:1/metrics can't be scraped" in coord.err
            assert coord.err.count("--watch gone") == 1
    finally:
        monitor.close()
    scrapes = [json.loads(line) for line in (folder / "watched.ndjson").read_text().splitlines()]
    assert {scrape["name"] for scrape in scrapes} == {"box"}
    assert [scrape["second"] for scrape in scrapes] == sorted(
        {scrape["second"] for scrape in scrapes}
    )
    assert min(scrape["memory"] for scrape in scrapes) > 0

    page.goto((folder / "report.html").as_uri())
    page.locator("#servers h3", has_text="box").wait_for()
    assert page.locator("#servers canvas").count() >= 3
