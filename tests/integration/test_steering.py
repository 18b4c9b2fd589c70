"""Real agents follow an operator who steers, and reports say what was asked when."""

import json
import urllib.error
import urllib.request

import pytest

from tests.processes import (
    PATIENCE,
    agent,
    closing_command,
    command,
    coordinator,
    eventually,
    get,
    run,
    target,
)


@pytest.fixture
def server():
    with target("--workers", "1") as running:
        yield running


def ask(url, what, body):
    """Returns status and JSON of the answer to a change."""
    request = urllib.request.Request(
        f"{url}/v1/run/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def launched(rows, begin, end):
    """Returns the launches of each second from one to another."""
    found = {row["second"]: row["fleet"]["rates"]["launched"] for row in rows}
    return [found.get(second, 0) for second in range(begin, end)]


def test_a_run_is_steered_and_steered_again_by_the_coordinator_that_resumes_it(tmp_path, server):
    options = ("--agents", "2", "--rate", "50", "--max", "5000", "--think", "1", "--hold", "1")
    with (
        coordinator(tmp_path, *options, server.ws) as coord,
        agent(coord.url, "--once", "--workers", "2") as a,
        agent(coord.url, "--once") as b,
    ):
        url = coord.url
        eventually(lambda: server.stats()["opened"] >= 50, "arrivals have begun")
        status, reply = ask(url, "rate", {"rate": 200})
        assert (status, reply["state"], reply["asked"]["what"]) == (200, "running", "rate 200/s")
        faster = reply["asked"]["second"]
        for what, body, words in [
            ("rate", {"rate": 0}, '{"rate": 500}'),
            ("rate", {"rate": "5", "max": 3}, '{"rate": 500}'),
            ("max", {"max": 10**9}, "the agents hold"),
            ("phase", {}, "no phases"),
        ]:
            status, refused = ask(url, what, body)
            assert (status, words in refused["error"]) == (400, True), refused
        assert ask(url, "rate", [])[0] == 400
        eventually(lambda: server.stats()["opened"] >= 50 * faster + 400, "the new rate holds")

        coord.process.kill()
        coord.end()
        with closing_command(command("loadgen-coord", "--resume", str(coord.folder))) as again:
            again.says("agents join at")
            assert [one["what"] for one in coord_state(url)["changes"]] == ["rate 200/s"]
            so_far = coord_state(url)["ledger"]["launched"]
            status, reply = ask(url, "max", {"max": so_far + 1000})
            assert (status, reply["asked"]["planned"]) == (200, so_far + 1000)
            eventually(lambda: server.stats()["opened"] == so_far + 1000, "max have arrived")
            assert (again.end(), a.end(), b.end()) == (0, 0, 0), again.err
            assert "asked by hand: rate 200/s from second" in again.out
        summary, rows = coord.summary(), coord.rows()

    assert summary["planned"] == summary["launched"] == summary["opened"] == so_far + 1000
    assert (summary["verdict"], summary["failed"], summary["lost"]) == ("pass", {}, 0)
    assert [one["what"] for one in summary["changes"]] == ["rate 200/s", f"max {so_far + 1000:,}"]
    assert summary["changes"][0]["second"] == faster
    # By the end of each second as many have come as the rates have brought; a busy machine is late.
    second = int(faster)
    before = sum(launched(rows, 0, second))
    after = sum(launched(rows, second + 1, second + 3))
    assert before == pytest.approx(50 * second, abs=60)
    assert after == pytest.approx(400, abs=150)
    report = (coord.folder / "report.html").read_text()
    assert "Asked by hand: rate 200/s from second" in report
    assert "changed by hand, rate 200/s" in report
    markdown = run("loadgen-report", "--format", "markdown", str(coord.folder)).stdout
    assert "Asked by hand: rate 200/s from second" in markdown


def coord_state(url):
    """Returns the run as /v1/run shows it."""
    return json.loads(get(f"{url}/v1/run"))


def test_phases_are_steered_and_a_raised_rate_is_launched(tmp_path, server):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'target = "{server.ws}"\nhold = 1\nthink = 1\n'
        '[[phases]]\nname = "low"\nrate = 20\nduration = 60\n'
        '[[phases]]\nname = "high"\nrate = 100\nduration = 3\n'
    )
    with coordinator(tmp_path / "runs", "--local", "2", "--plan", str(plan)) as coord:
        eventually(lambda: server.stats()["opened"] >= 20, "arrivals have begun")
        assert "did you mean 'high'" in ask(coord.url, "phase", {"phase": "hihg"})[1]["error"]
        status, reply = ask(coord.url, "phase", {"phase": "high"})
        assert (status, reply["asked"]["what"]) == (200, "phase high")
        assert coord.end() == 0
        summary = coord.summary()

    low, high = summary["phases"]
    assert low["end"] == high["begin"] == reply["asked"]["second"]
    assert (high["planned"], high["end"]) == (300, pytest.approx(high["begin"] + 3.0))
    assert summary["launched"] == low["planned"] + 300 == reply["asked"]["planned"]
    assert (summary["verdict"], summary["not_launched"]) == ("pass", 0)
