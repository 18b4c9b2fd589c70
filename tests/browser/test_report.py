"""report.html and the list of runs in a browser; the report needs no server."""

import re
import shutil
import tarfile
from pathlib import Path

from tests.browser.watching import (
    accessibility_violations,
    followed,
    holes,
    says_that_more_follows,
    wider_than,
)
from tests.processes import coordinator, run, target

PUBLISHED = next((Path(__file__).parents[2] / "docs" / "million").glob("ping-*/plan.toml")).parent
LOAD = ("--rate", "200", "--max", "400", "--think", "2", "--hold", "6")
OPTIONS = ("--local", "2", *LOAD, "--expect", "open_peak>=400")


def test_the_report_of_a_run_is_one_file_with_charts(tmp_path, page, shots):
    with target("--workers", "1") as server, coordinator(tmp_path, *OPTIONS, server.ws) as coord:
        page.goto(coord.url)
        assert coord.end() == 0
        folder = coord.folder
    assert page.locator("#state").inner_text() == "pass", "the live page has the verdict, too"
    page.goto((folder / "report.html").as_uri())

    claim = page.locator(".proof").inner_text()
    assert re.match(r"(39[6-9]|400) connections verified open for", claim), claim
    assert page.locator(".badge").inner_text() == "pass"
    assert page.locator(".held").inner_text() == "held"
    assert page.locator("#own").is_hidden(), "no session counted, checked or timed"
    assert page.locator("#charts canvas").count() >= 9
    assert int(page.locator('#charts [data-chart="connections"]').get_attribute("data-points")) >= 5
    assert page.locator("#bars svg").count() == 2
    assert page.locator('[data-chart="arrivals"] .legend b').first.inner_text() == "≤ 200/s"
    assert "–" not in page.locator('[data-chart="connections"] .legend').inner_text()
    page.locator("summary", has_text="Charts of local-2").click()
    page.locator('[data-agent="local-2"] canvas').first.wait_for()
    assert accessibility_violations(page) == []
    page.screenshot(path=shots / "report-light.png", full_page=True)
    page.emulate_media(color_scheme="dark")
    assert accessibility_violations(page) == []
    page.screenshot(path=shots / "report-dark.png", full_page=True)
    for width in (390, 1000, 1440):
        assert (wider_than(page, width), holes(page)) == (0, []), width
    assert wider_than(page, 390) == 0
    assert says_that_more_follows(page, page.locator('[aria-label="Agents"] table'))
    page.set_viewport_size({"width": 1280, "height": 900})

    printed = page.pdf(path=shots / "report.pdf", format="A4")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12

    # loadgen-report makes the same file from the run directory.
    again = tmp_path / "again.html"
    assert (
        run("loadgen-report", str(folder), "--format", "html", "--output", str(again)).returncode
        == 0
    )
    assert again.read_text() == (folder / "report.html").read_text()


def test_a_trend_is_one_file_with_a_line_from_run_to_run(tmp_path, page, shots):
    trend = tmp_path / "trend.html"
    runs = sorted(str(path.parent) for path in PUBLISHED.parent.glob("*/plan.toml"))
    done = run("loadgen-report", "--trend", "--format", "html", "--output", str(trend), *runs)
    assert done.returncode == 0, done.stderr
    page.goto(trend.as_uri())

    connections = page.locator('[data-chart="connections"]')
    connections.locator("canvas").wait_for()
    assert connections.get_attribute("data-points") == str(len(runs))
    assert connections.locator(".legend b").first.inner_text() == "1,000,000", "the newest"
    connections.focus()
    page.keyboard.press("Home")
    assert connections.locator(".key").inner_text() == "at run 1, ping-30s"
    assert connections.locator(".legend b").first.inner_text() == "1,000,000"
    assert page.locator('[data-chart="delivery"]').is_hidden(), "no run measured it"
    assert page.locator("td.failed").first.inner_text().startswith("! ")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert accessibility_violations(page) == []
        page.screenshot(path=shots / f"trend-{scheme}.png", full_page=True)
    for width in (1440, 390):
        assert (wider_than(page, width), holes(page)) == (0, []), width


def test_runs_are_listed_and_the_reports_of_past_ones_open(tmp_path, page, shots):
    for name in ("published", "another"):
        shutil.copytree(PUBLISHED, tmp_path / name)
    with followed(tmp_path, "--agents", "1") as coord:
        page.goto(f"{coord.url}/runs")
        current = page.locator("section", has_text="Current run")
        assert current.locator(".link").inner_text() == "live"
        assert current.locator(".badge").inner_text() == "gathering"
        name = current.get_by_role("link").first.inner_text()
        assert (tmp_path / name / "plan.toml").is_file()
        assert page.locator("#past tbody th").all_inner_texts() == ["published", "another"]
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            assert accessibility_violations(page) == []
            page.screenshot(path=shots / f"runs-{scheme}.png", full_page=True)
        assert wider_than(page, 390) == 0
        assert says_that_more_follows(page, page.locator("#past"))
        with page.expect_download() as download:
            page.get_by_role("link", name="tar.gz of published").click()
        with tarfile.open(download.value.path()) as archive:
            assert "published/plan.toml" in archive.getnames()
        page.locator("a", has_text="published").first.click()

        page.locator(".proof", has_text="connections open for").wait_for()
        assert page.locator("#charts canvas").count() >= 9
