"""Readers of the page that tests share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

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


def accessibility_violations(page: Page) -> list[Any]:
    """Returns the serious violations of accessibility that axe-core finds."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (violation["id"], [node["html"][:200] for node in violation["nodes"]])
        for violation in found["violations"]
        if violation["impact"] in SERIOUS
    ]
