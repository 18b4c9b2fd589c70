"""Readers of the page that tests share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

from tests.processes import Coordinator, coordinator, eventually

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
SERIOUS = ("serious", "critical")


@contextmanager
def followed(out: Path, *arguments: str, **options: Any) -> Iterator[Coordinator]:
    """A coordinator that is killed at the end of the block.

    It does not wait for its fleet.
    """
    with coordinator(out, *arguments, **options) as running:
        try:
            yield running
        finally:
            running.process.kill()


def number(text: str) -> int:
    """Returns the number in a text with thousands separators."""
    return int(text.replace(",", ""))


def fact(page: Page, name: str) -> int:
    """Returns one of the figures below the big number."""
    return number(page.locator(f'[data-fact="{name}"]').inner_text())


def points(page: Page, chart: str = "connections") -> int:
    """Returns the number of seconds on a chart."""
    return int(page.locator(f'#charts [data-chart="{chart}"]').get_attribute("data-points") or 0)


def shows(page: Page, open_: int) -> None:
    """Waits until the big number is `open_`."""
    eventually(
        lambda: page.locator("#open").inner_text() == f"{open_:,}",
        lambda: page.locator("#open").inner_text(),
    )


def wider_than(page: Page, width: int) -> int:
    """Returns by how many pixels the page overflows a window of a width."""
    page.set_viewport_size({"width": width, "height": 844})
    excess: int = page.evaluate("document.documentElement.scrollWidth") - width
    return excess


def holes(page: Page, grid: str = "#charts") -> list[float]:
    """Returns the pixels that rows of a grid of charts leave free at the right."""
    free: list[float] = page.locator(grid).evaluate("""(grid) => {
        const right = grid.getBoundingClientRect().right;
        const rows = new Map();
        for (const chart of grid.children) {
            const box = chart.getBoundingClientRect();
            if (!chart.hidden) rows.set(box.top, Math.max(box.right, rows.get(box.top) ?? 0));
        }
        return [...rows.values()].map((end) => right - end).filter((free) => free > 1);
    }""")
    return free


def says_that_more_follows(page: Page, table: Locator) -> bool:
    """Returns True when the right edge of a table tells of columns beyond it.

    It looks different there than when the table is scrolled to its end.
    """
    looks = []
    for left in (0, 10_000):
        # The uppermost pixels, where the head of the table has no text.
        edge = table.locator("xpath=..").evaluate(
            """(region, left) => {
                region.scrollLeft = left;
                const box = region.getBoundingClientRect();
                const [x, y] = [box.right - 8 + scrollX, box.top + 1 + scrollY];
                return { x, y, width: 8, height: 3 };
            }""",
            left,
        )
        looks.append(page.screenshot(clip=edge, full_page=True))
    return looks[0] != looks[1]


def accessibility_violations(page: Page) -> list[Any]:
    """Returns the serious violations of accessibility that axe-core finds."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (violation["id"], [node["html"][:200] for node in violation["nodes"]])
        for violation in found["violations"]
        if violation["impact"] in SERIOUS
    ]
