"""The charts of sessions' own figures: on the page, in the report, of two runs."""

import signal

from tests.browser.watching import accessibility_violations, followed
from tests.processes import eventually, run, target

SESSION = """
async def session(user):
    await user.connect()
    while True:
        with user.transaction("log in <b>"):
            await user.think(0.3)
        user.count("logins")
        for time in range(2):
            user.check("first", time == 0)
"""
LOAD = ("--local", "1", "--rate", "100", "--max", "10")
CHARTS = ["counters", "checks", "timed", "timing.tr_log in <b>"]


def own_charts(page):
    """The names of the charts that are drawn of what sessions count, check and time."""
    return [
        chart.get_attribute("data-chart")
        for chart in page.locator("#own-charts figure").all()
        if chart.locator("canvas").count()
    ]


def legend(page, chart):
    """The names and values in the legend of such a chart."""
    return page.locator(f'#own-charts [data-chart="{chart}"] .legend').inner_text()


def test_own_figures_are_drawn_on_the_page_in_the_report_and_over_each_other(tmp_path, page, shots):
    path = tmp_path / "own.py"
    path.write_text(SESSION)
    load = (*LOAD, "--session", str(path), "--hold")
    with target("--workers", "1", "--mode", "echo") as server:
        with followed(tmp_path / "one", *load, "600", server.ws) as coord:
            page.goto(coord.url)
            eventually(lambda: own_charts(page) == CHARTS, lambda: f"{own_charts(page)}")
            assert legend(page, "checks").split() == ["first", "50", "%"]
            assert accessibility_violations(page) == []
            page.screenshot(path=shots / "own-live.png", full_page=True)
            coord.send(signal.SIGINT)
            assert coord.end() == 130
            folder = coord.folder
        with followed(tmp_path / "two", *load, "3", server.ws) as coord:
            assert coord.end() == 0
            other = coord.folder

    page.goto((folder / "report.html").as_uri())
    assert own_charts(page) == CHARTS
    assert [line.split()[0] for line in legend(page, CHARTS[3]).splitlines()] == [
        "p50",
        "p90",
        "p95",
        "p99",
        "max",
    ]
    assert accessibility_violations(page) == []
    page.screenshot(path=shots / "own-report.png", full_page=True)

    compared = tmp_path / "compared.html"
    runs = (str(folder), str(other))
    done = run("loadgen-report", *runs, "--format", "html", "--output", str(compared))
    assert done.returncode == 0, done.stderr
    page.goto(compared.as_uri())
    assert own_charts(page) == [
        "timing.tr_log in <b>",
        "check.first",
        "counter.logins",
        "counter.tr_log in <b>_failed",
    ]
    assert page.locator("#charts canvas").count() >= 7
    chart = page.locator('#own-charts [data-chart="counter.logins"]')
    chart.focus()
    page.keyboard.press("Home")
    assert chart.locator("[aria-live]").inner_text().startswith("0:00: 1 ")
    assert page.locator("#figures tr", has_text="timing.tr_log in <b>_p99").count() == 1
    trend = tmp_path / "trend.html"
    done = run("loadgen-report", "--trend", *runs, "--format", "html", "--output", str(trend))
    assert done.returncode == 0, done.stderr
    page.goto(trend.as_uri())
    for name in ("timing.tr_log in <b>", "checks", "counters"):
        page.locator(f'#charts [data-chart="{name}"] canvas').wait_for()
    page.goto(compared.as_uri())
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        assert accessibility_violations(page) == []
        page.screenshot(path=shots / f"compared-{scheme}.png", full_page=True)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
