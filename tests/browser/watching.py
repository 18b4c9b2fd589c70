"""What tests read off the page."""

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
    """A coordinator that is killed in the end: nobody waits for its fleet to say goodbye."""
    with coordinator(out, *arguments, **options) as running:
        try:
            yield running
        finally:
            running.process.kill()


def number(text: str) -> int:
    """A number as people read it."""
    return int(text.replace(",", ""))


def fact(page: Page, name: str) -> int:
    """One of the figures below the big number."""
    return number(page.locator(f'[data-fact="{name}"]').inner_text())


def points(page: Page, chart: str = "connections") -> int:
    """How many seconds a chart shows."""
    return int(page.locator(f'#charts [data-chart="{chart}"]').get_attribute("data-points") or 0)


def shows(page: Page, open_: int) -> None:
    """Waits until the big number is so many."""
    eventually(
        lambda: page.locator("#open").inner_text() == f"{open_:,}",
        lambda: page.locator("#open").inner_text(),
    )


def faults(page: Page) -> list[Any]:
    """What axe-core holds to be serious faults of accessibility."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (fault["id"], [node["html"][:200] for node in fault["nodes"]])
        for fault in found["violations"]
        if fault["impact"] in SERIOUS
    ]
