"""Takes the pictures of docs/page: page and report of one run, on desk and phone.

They are of a real run, in headless Chromium. The machine should be idle: seconds in which no core
of it is are shaded.
"""

import base64
import tempfile
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import OPTIONS
from tests.browser.watching import points
from tests.debian import installed
from tests.processes import coordinator, eventually, target

FOLDER = Path(__file__).parents[2] / "docs" / "page"
QUALITY = 70
"""Of WebP, in percent: text is as clear as in a PNG of thrice the size."""
USERS = 4000
LIMIT = 3900
"""Connections that the server accepts: the others show what a failure looks like."""
RUN = ("--local", "8", "--rate", "200", "--max", str(USERS), "--think", "4", "--hold", "25")
EXPECTED = ("--expect", f"open_peak>={LIMIT}", "--expect", "ping_rtt_p99<100ms")
MOMENT = 32
"""Seconds into the run, within its hold."""


class Size(NamedTuple):
    """A window, and the last element of page and report in its pictures."""

    suffix: str
    width: int
    height: int
    last_of_page: str
    last_of_report: str


SIZES = (
    Size("", 1440, 900, "section:has(#agents)", "section:has(#charts)"),
    Size("-phone", 390, 844, '[data-chart="arrivals"]', '[data-chart="connections"]'),
)


def main() -> None:
    """Plays the run and takes the pictures."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as out:
        chromium = playwright.chromium.launch(executable_path=installed("chromium"), args=OPTIONS)
        pages = [
            chromium.new_page(viewport={"width": size.width, "height": size.height})
            for size in SIZES
        ]
        with (
            target("--limit", str(LIMIT)) as server,
            coordinator(Path(out), *RUN, *EXPECTED, server.ws) as coord,
        ):
            for page in pages:
                page.goto(coord.url)
            for size, page in zip(SIZES, pages, strict=True):
                eventually(lambda page=page: points(page) > MOMENT, "the hold", seconds=60)
                take(page, f"live{size.suffix}", size.last_of_page)
            coord.end()
            report = coord.folder / "report.html"
        for size, page in zip(SIZES, pages, strict=True):
            page.goto(report.as_uri())
            page.locator("#charts canvas").last.wait_for()
            take(page, f"report{size.suffix}", size.last_of_report)
        chromium.close()


def take(page: Page, name: str, last: str) -> None:
    """Writes a page down to an element as WebP, which Playwright's own can't be."""
    width, height = page.locator(last).first.evaluate(
        "last => [innerWidth, Math.ceil(last.getBoundingClientRect().bottom + scrollY + 16)]"
    )
    session = page.context.new_cdp_session(page)
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    options = {"format": "webp", "quality": QUALITY, "clip": clip, "captureBeyondViewport": True}
    taken = session.send("Page.captureScreenshot", options)
    path = FOLDER / f"{name}.webp"
    path.write_bytes(base64.b64decode(taken["data"]))
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
