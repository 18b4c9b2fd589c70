"""A headless Chromium for all tests, and a new page for each test.

A page fails its test when its script fails.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from coordinator.http.chores import RENDER_TIMEOUT
from tests.debian import installed

SHOTS = Path(__file__).parents[2] / "build" / "browser"
"""The directory of screenshots."""
OPTIONS = [
    "--no-sandbox",  # Chromium refuses to run as root with it, as in a container
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
EXPECTED = (
    "ERR_CONNECTION_REFUSED",
    "ERR_INCOMPLETE_CHUNKED_ENCODING",
    "ERR_CONNECTION_RESET",
    "400",
    "401",
    "403",
)
"""Console errors that tests cause on purpose: the coordinator has ended, or refuses a request."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium.

    It ends before the next package's tests, since its driver occupies the event loop.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed("chromium"), args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of the size of a desktop window."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    # A report is rendered at a low priority: beside other tests that takes long.
    context.set_default_timeout(RENDER_TIMEOUT * 1000)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    yield opened
    context.close()
    assert [text for text in errors if not any(expected in text for expected in EXPECTED)] == []


@pytest.fixture(scope="session")
def shots() -> Path:
    """The directory of screenshots, which exists."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS
