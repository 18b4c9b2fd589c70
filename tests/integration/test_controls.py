"""The paths that control a run, and the clients that may use them."""

import json
import urllib.error
import urllib.request

import pytest

from tests.processes import PATIENCE, coordinator, eventually, opens, target

RATE = 100
RUN = ("--local", "2", "--rate", str(RATE), "--max", "600", "--think", "1", "--hold", "2")


@pytest.fixture
def server():
    with target("--workers", "1") as running:
        yield running


def ask(url, method="GET", **headers):
    """Returns status, headers and JSON of a request's answer."""
    body = b"{}" if method == "POST" else None
    request = urllib.request.Request(
        url, body, {"Content-Type": "application/json"} | headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return reply.status, dict(reply.headers), json.loads(reply.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), json.loads(error.read() or b"{}")


def test_a_paused_run_launches_nothing_and_continues_where_it_was(tmp_path, server):
    with coordinator(tmp_path, *RUN, server.ws) as coord:
        run = f"{coord.url}/v1/run"
        eventually(lambda: server.stats()["opened"] >= RATE, "arrivals have begun")

        assert ask(f"{run}/pause", "POST")[::2] == (200, {"state": "running", "paused": True})
        rows = eventually(lambda: quiet(run), "two seconds without arrivals")
        stood = rows[-1]["fleet"]["ledger"]["launched"]
        assert 0 < stood < 600
        assert rows[-1]["fleet"]["ledger"]["open"] == stood
        assert server.stats()["opened"] == stood

        assert ask(f"{run}/resume", "POST")[::2] == (200, {"state": "running", "paused": False})
        opens(server, 600)
        assert coord.end() == 0
        summary = coord.summary()

    assert (summary["launched"], summary["failed"], summary["lost"]) == (600, {}, 0)
    ((begin, end),) = summary["pauses"]
    assert 0 < begin < end
    assert summary["duration_s"] >= 6 + (end - begin) + 2
    assert max(row["fleet"]["rates"]["launched"] for row in coord.rows()) <= 1.5 * RATE, (
        "the pause is not made up for"
    )
    assert "they were paused by hand" in (coord.folder / "report.html").read_text()


def quiet(run):
    """Returns the settled seconds, once the last two have no arrivals."""
    rows = ask(f"{run}/seconds")[2]["seconds"]
    return (
        rows
        if len(rows) > 2 and all(not row["fleet"]["rates"]["launched"] for row in rows[-2:])
        else None
    )


@pytest.mark.parametrize(("action", "code"), [("drain", 130), ("stop", 130)])
def test_the_operator_ends_a_run(tmp_path, server, action, code):
    with coordinator(tmp_path, *RUN, "--local", "1", server.ws) as coord:
        eventually(lambda: server.stats()["opened"] >= RATE, "arrivals have begun")
        assert ask(f"{coord.url}/v1/run/{action}", "POST")[0] == 200
        assert coord.end() == code
        summary = coord.summary()

    assert summary["verdict"] == "stopped"
    assert summary["opened"] == sum(summary["closed"].values()) > 0
    eventually(lambda: server.stats()["open"] == 0, "the target is empty")


def test_only_this_page_and_programs_may_control_a_run_without_a_token(tmp_path):
    with coordinator(tmp_path, "--agents", "1") as coord:
        drain = f"{coord.url}/v1/run/drain"
        host = coord.url.removeprefix("http://")
        for headers, status in [
            ({"Origin": "http://evil.example"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Origin": "http://evil.example", "Host": "evil.example"}, 403),
            ({"Content-Type": "text/plain"}, 415),
        ]:
            assert ask(drain, "POST", **headers)[0] == status, headers
        assert ask(f"{coord.url}/v1/agents", "POST", Origin="http://evil.example")[0] == 403
        for action in ("pause", "resume"):
            assert ask(f"{coord.url}/v1/run/{action}", "POST")[0] == 409
        for path in ("/v1/run", "/v1/run/seconds", "/events", "/runs"):
            assert ask(coord.url + path, Host="evil.example")[0] == 403, (
                "a name that resolves to this machine"
            )
        urllib.request.urlopen(
            urllib.request.Request(f"{coord.url}/metrics", headers={"Host": "manager"})
        ).close()
        for method in ("GET", "HEAD"):
            assert ask(drain, method)[0] == 405
        assert coord.state()["state"] == "gathering"

        page = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert ask(drain, "POST", **page)[0] == 200
        assert coord.end() == 130


def test_with_a_token_viewing_and_controlling_need_it(tmp_path):
    (tmp_path / "token").write_text("s3cret")
    bearer = {"Authorization": "Bearer s3cret"}
    with coordinator(
        tmp_path / "runs", "--agents", "1", "--token-file", str(tmp_path / "token")
    ) as coord:
        for path in ("/v1/run", "/v1/run/seconds", "/events"):
            assert ask(coord.url + path)[0] == 401, path
        for path in ("/", "/page/app.js", "/healthz", "/metrics", "/v1/sd"):
            urllib.request.urlopen(coord.url + path).close()
        assert ask(f"{coord.url}/v1/view", "POST", Authorization="Bearer wrong")[0] == 401

        status, headers, _ = ask(f"{coord.url}/v1/view", "POST", **bearer)
        cookie = {"Cookie": headers["Set-Cookie"].partition(";")[0]}
        assert status == 200
        assert "HttpOnly" in headers["Set-Cookie"]
        assert "SameSite=Strict" in headers["Set-Cookie"]
        assert "s3cret" not in headers["Set-Cookie"]
        assert ask(f"{coord.url}/v1/run", **cookie)[0] == 200
        assert ask(f"{coord.url}/v1/run", Cookie="loadgen_view=x")[0] == 401
        assert ask(f"{coord.url}/v1/run/drain", "POST", **cookie)[0] == 401, (
            "the cookie only allows viewing"
        )
        # A name is as good as an address here: no page of another site has the token.
        named = {
            "Origin": "http://manager:8091",
            "Host": "manager:8091",
            "Sec-Fetch-Site": "same-origin",
        }
        assert ask(f"{coord.url}/v1/view", "POST", **named, **bearer)[0] == 200
        assert (
            ask(
                f"{coord.url}/v1/view",
                "POST",
                **named | {"Origin": "http://evil.example"},
                **bearer,
            )[0]
            == 403
        )
        assert ask(f"{coord.url}/v1/run/drain", "POST", **bearer)[0] == 200


def test_with_public_view_everybody_may_view(tmp_path):
    (tmp_path / "token").write_text("s3cret")
    options = ("--agents", "1", "--public-view", "--token-file", str(tmp_path / "token"))
    with coordinator(tmp_path / "runs", *options) as coord:
        assert ask(f"{coord.url}/v1/run")[0] == 200
        assert ask(f"{coord.url}/v1/run/drain", "POST")[0] == 401
