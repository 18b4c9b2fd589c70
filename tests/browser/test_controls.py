"""The page's buttons, as an operator uses them."""

import pytest

from tests.browser.watching import accessibility_violations, followed, shows
from tests.processes import eventually, target

RUN = ("--local", "1", "--rate", "100", "--max", "600", "--think", "1", "--hold", "600")


@pytest.fixture
def server():
    with target("--workers", "1") as running:
        yield running


def act(page, action):
    """Clicks the button of an action and confirms it."""
    page.locator(f'[data-action="{action}"]:enabled').click()
    page.locator("dialog").wait_for()
    page.locator("dialog form button:not([type=button])").click()
    page.locator("dialog").wait_for(state="hidden")


def test_a_run_is_steered_paused_resumed_and_drained_from_the_page(tmp_path, page, shots, server):
    with followed(tmp_path, *RUN, server.ws) as coord:
        page.goto(coord.url)
        eventually(lambda: server.stats()["opened"] >= 100, "arrivals have begun")

        # Nothing happens before the operator confirms.
        page.locator('[data-action="drain"]:enabled').click()
        page.locator("dialog", has_text="can't be undone").wait_for()
        assert accessibility_violations(page) == []
        page.screenshot(path=shots / "confirmation.png")
        page.keyboard.press("Escape")
        assert coord.state()["state"] == "running"

        # A change asks for its value, and says what is wrong with it.
        page.locator('[data-change="max"]:enabled').click()
        page.locator('dialog input[name="max"]').fill("1000000000")
        page.keyboard.press("Enter")
        page.locator("dialog .wrong", has_text="the agents hold").wait_for()
        assert accessibility_violations(page) == []
        page.screenshot(path=shots / "change.png")
        page.locator('dialog input[name="max"]').fill("700")
        page.keyboard.press("Enter")
        page.locator("dialog").wait_for(state="hidden")
        page.locator("#planned", has_text="700").wait_for()
        page.locator("#log", has_text="the operator asked for max 700").wait_for()
        assert page.locator('[data-change="phase"]').is_disabled()

        act(page, "pause")
        page.locator("#state", has_text="paused").wait_for()
        assert coord.state()["paused"]
        act(page, "resume")
        page.locator("#state", has_text="running").wait_for()
        shows(page, 700)
        page.locator("#log", has_text="the operator said pause").wait_for()

        act(page, "drain")
        page.locator("#state", has_text="stopped").wait_for()
        assert page.locator("#open").inner_text() == "0"
        page.locator("#ends", has_text="drained").wait_for()
        assert coord.end() == 130


def test_viewing_asks_for_the_token_and_stores_it_nowhere(tmp_path, page, server):
    (tmp_path / "token").write_text("s3cret")
    with followed(
        tmp_path / "runs", *RUN, "--token-file", str(tmp_path / "token"), server.ws
    ) as coord:
        page.goto(coord.url)
        page.locator("dialog input").fill("wrong")
        page.keyboard.press("Enter")
        page.locator("dialog .wrong", has_text="token").wait_for()
        page.locator("dialog input").fill("s3cret")
        page.keyboard.press("Enter")
        page.locator("#state", has_text="running").wait_for()
        assert (
            page.evaluate("document.cookie + JSON.stringify({...localStorage, ...sessionStorage})")
            == "{}"
        )
        act(page, "stop")
        page.locator("#state", has_text="stopped").wait_for()

        assert coord.end() == 130
