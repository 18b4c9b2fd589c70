"""Sessions that log in over HTTP and check replies, against a real server."""

from pathlib import Path

import pytest

from tests.login_server import login_process
from tests.processes import coordinator, eventually, get, run

ROOT = Path(__file__).parents[2]
LOAD = ("--local", "1", "--rate", "200", "--hold", "30")
SCRIPT = """
target = "ws://127.0.0.1:{port}/ws"
rate = 200
max = 30
hold = 30

[[sessions]]
kind = "script"
name = "login"

[[sessions.steps]]
do = "http"
method = "POST"
url = "/login"
json = {{ user = "u%%_tsung_userid%%" }}
subst = true
name = "login"
extract = [
  {{ var = "token", by = "jsonpath", expr = "token" }},
  {{ var = "sid", by = "cookie", expr = "sid" }},
]
check = [
  {{ name = "logged in", status = 200, jsonpath = "items", equals = 3 }},
  {{ name = "is admin", jsonpath = "admin", equals = true }},
]

[[sessions.steps]]
do = "http"
url = "/me"
headers = {{ X-Key = "%%_sid%%" }}
subst = true
extract = [{{ var = "room", by = "header", expr = "X-Room" }}]
check = [{{ name = "same cookie", pattern = '"key": "c-u%%_tsung_userid%%"' }}]

[[sessions.steps]]
do = "connect"
path = "/ws?token=%%_token%%"
subst = true

[[sessions.steps]]
do = "send"
text = "in %%_room%%"
subst = true
ack = true
check = [{{ name = "echo", pattern = "^t-u%%_tsung_userid%%:in blue$", not_pattern = "error" }}]

[[sessions.steps]]
do = "close"
"""


def test_the_example_logs_in_and_its_checks_hold(tmp_path):
    expected = [
        "check.logged in==100%",
        "check.own token>99.9%",
        "checks_failed==0",
        "http_failed==0",
        "http_errors<1%",
        "http_replies.200==80",
    ]
    options = [part for text in expected for part in ("--expect", text)]
    with (
        login_process() as port,
        coordinator(
            tmp_path,
            *LOAD,
            "--max",
            "40",
            "--session",
            str(ROOT / "examples" / "login.py"),
            f"ws://127.0.0.1:{port}/ws",
            *options,
        ) as coord,
    ):
        assert coord.end(seconds=60) == 0, coord.err + coord.out
        out = coord.out
    summary = coord.summary()

    assert summary["closed"] == {"done": 40}
    assert summary["checks"] == {
        "logged in": {"passed": 40, "failed": 0},
        "own token": {"passed": 120, "failed": 0},
        "same user": {"passed": 40, "failed": 0},
    }
    assert (summary["http_requests"], summary["http_replies"]) == (80, {"200": 80})
    assert summary["histograms"]["http"]["count"] == 80
    assert summary["timings"]["http_login"]["count"] == 40
    assert "HTTP: 80 requests = 0 in flight + 80 answered" in out
    assert "own token" in out


def test_a_script_logs_in_and_a_failed_check_fails_the_verdict_with_its_sample(tmp_path):
    plan = tmp_path / "plan.toml"
    with login_process() as port:
        plan.write_text(SCRIPT.format(port=port))
        options = ("--local", "1", "--plan", str(plan), "--expect", "check.is admin>99.9%")
        with coordinator(tmp_path / "runs", *options) as coord:
            assert coord.end(seconds=60) == 1, coord.err + coord.out
    summary = coord.summary()

    assert summary["closed"] == {"done": 30}
    assert summary["checks"] == {
        "echo": {"passed": 30, "failed": 0},
        "is admin": {"passed": 0, "failed": 30},
        "logged in": {"passed": 30, "failed": 0},
        "same cookie": {"passed": 30, "failed": 0},
    }
    assert summary["sessions_failed"] == 0
    (result,) = summary["expectations"]
    assert (result["value"], result["held"]) == (0.0, False)
    sample = (coord.folder / summary["tracebacks"]["check.is admin"]).read_text()
    assert "check 'is admin' failed" in sample
    assert '"admin": false' in sample
    for form in ("markdown", "junit", "csv"):
        report = run("loadgen-report", "--format", form, str(coord.folder))
        assert report.returncode == 0
        assert "is admin" in report.stdout
        assert ("checks_failed" in report.stdout) is (form == "csv")
    page = (coord.folder / "report.html").read_text()
    assert "Checks of sessions" in page
    assert "errors/check.is-admin.txt" in page


def test_checks_and_requests_are_in_the_metrics_and_on_the_page(tmp_path):
    path = tmp_path / "half.py"
    path.write_text(
        "async def session(user):\n"
        "    user.check('even', user.number % 2 == 0)\n"
        "    await user.http.post('/login', json={'user': 'mallory'})\n"
        "    await user.connect('/ws')\n"
        "    await user.think(600)\n"
    )
    with (
        login_process() as port,
        coordinator(
            tmp_path / "runs",
            "--local",
            "1",
            *("--max", "20", "--rate", "200", "--hold", "600"),
            *("--session", str(path), f"ws://127.0.0.1:{port}/ws"),
        ) as coord,
    ):
        eventually(lambda: coord.state()["ledger"]["open"] == 20, "20 open connections")
        state = coord.state()
        assert state["checks"] == {"even": {"passed": 10, "failed": 10}}
        assert state["http_replies"] == {"403": 20}
        metrics = get(f"{coord.url}/metrics")
        assert 'loadgen_session_checks_total{agent="local-1",name="even",result="failed"} 10.0' in (
            metrics
        )
        assert 'loadgen_http_replies_total{agent="local-1",status="403"} 20.0' in metrics


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("check.token<5ms", "check.NAME is a percentage"),
        ("http_failed.timeuot==0", "did you mean 'timeout'"),
        ("http_replies.5xx==0", "no HTTP request ends so"),
    ],
)
def test_an_expectation_that_can_not_be_judged_is_refused(expression, message):
    refused = run("loadgen-coord", "--expect", expression, "--dry-run")

    assert refused.returncode == 2
    assert message in refused.stderr


def test_an_expectation_on_a_check_that_nothing_recorded_fails(tmp_path):
    path = tmp_path / "plain.py"
    path.write_text("async def session(user):\n    await (await user.connect('/ws')).close()\n")
    options = ("--max", "5", "--expect", "check.never>=0", "--session", str(path))
    with (
        login_process() as port,
        coordinator(tmp_path / "runs", *LOAD, *options, f"ws://127.0.0.1:{port}/ws") as coord,
    ):
        assert coord.end(seconds=60) == 1
        assert "not measured" in coord.out
