"""One user, step by step: `loadgen-coord --trace`, against real servers."""

import re
import signal

import pytest

from tests.integration.test_http_sessions import ROOT, SCRIPT
from tests.login_server import login_process
from tests.processes import free_port, process, refusing_port, run

FAILS = """
async def helper(ws):
    raise ValueError("oops \\x07")

async def session(user):
    ws = await user.connect(headers={"Authorization": "Bearer s3cret"})
    print("greeting", await ws.receive(timeout=5))
    await ws.send("x" * 500 + "\\x1b")
    await helper(ws)
"""


def lines(out):
    """Returns the lines of a trace without their times."""
    return [re.sub(r"^ *\d+\.\d{4}  | {12}", "", line) for line in out.splitlines()]


def test_the_example_is_shown_with_its_requests_frames_checks_and_lines():
    example = str(ROOT / "examples" / "login.py")
    with login_process() as port:
        url = f"ws://127.0.0.1:{port}/ws"
        done = run("loadgen-coord", "--session", example, "--users", "1", "--trace", url)
    found = lines(done.stdout)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for line in (
        f"→ HTTP POST /login  json={{'user': 'u0'}}  ({example}:7)",
        "sets cookie sid",
        f"check 'logged in' passed  ({example}:8)",
        f"connect /ws?token=…  ({example}:10)",
        "→ GET /ws?token=… HTTP/1.1",
        "← HTTP/1.1 101 Switching Protocols",
        f"think 0.200 s  ({example}:12)",
        f"→ text, 9 bytes: message 0  ({example}:13)",
        f"waits for a message, at most 5 s  ({example}:14)",
        "← text, 14 bytes: t-u0:message 0",
        f"→ close 1000  ({example}:18)",
        "connection closed: done",
        "the session returned",
        "ledger: closed done 1, HTTP 200 2",
    ):
        assert line in found


def test_a_script_is_traced_and_a_plan_of_several_sessions_says_which_one(tmp_path):
    plan = tmp_path / "plan.toml"
    with login_process() as port:
        text = SCRIPT.format(port=port)
        plan.write_text(text + '\n[[sessions]]\nkind = "loop"\nname = "idle"\nweight = 1e-9\n')
        done = run("loadgen-coord", "--plan", str(plan), "--trace", "--compress")
    found = lines(done.stdout)

    assert done.returncode == 0, done.stderr
    assert "user 0 of the plan plays session 'login'; to trace another (idle)" in done.stderr
    assert "← text, compressed, 12 bytes: t-u1:in blue" in found
    assert any(line.startswith("check 'is admin' FAILED") for line in found)


def test_a_session_that_fails_shows_where_and_ends_with_1(tmp_path):
    path = tmp_path / "fails.py"
    path.write_text(FAILS)
    url = f"ws://127.0.0.1:{free_port()}/v1/realtime?project=console&token=s3cret"
    done = run("loadgen-coord", "--session", str(path), "--trace", "--with-target=appwrite", url)

    assert done.returncode == 1, done.stderr
    assert "s3cret" not in done.stdout
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert f"the session failed at {path}:3: ValueError: oops \\x07" in lines(done.stdout)
    assert "xxx… (501 characters)" in done.stdout
    assert 'greeting {"type":"connected"' in done.stdout
    assert f'File "{path}", line 9, in session' in done.stdout


def test_ctrl_c_prints_what_there_is_and_ends_with_130():
    with login_process() as port:
        url = f"ws://127.0.0.1:{port}/ws"
        with process("loadgen-coord", "--trace", "--think", "0.01", url) as coord:
            while "ping" not in coord.stdout.readline():
                pass
            coord.send_signal(signal.SIGINT)
            out, _ = coord.communicate(timeout=60)
    found = lines(out)

    assert coord.returncode == 130
    assert "the operator ends the trace" in found
    assert "ledger: closed drained 1" in found


def test_a_refused_connection_fails_and_is_explained():
    done = run("loadgen-coord", "--trace", f"ws://127.0.0.1:{refusing_port()}/")

    assert done.returncode == 1
    assert "connection failed: refused" in done.stdout
    assert "the session failed" in done.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--users", "2"), "--trace plays one user; write --users 1"),
        (("--local", "1"), "--local has no effect"),
        (("--expect", "open_peak>=1"), "--expect has no effect"),
    ],
)
def test_options_without_effect_are_refused(options, says):
    done = run("loadgen-coord", "--trace", *options)

    assert done.returncode == 2
    assert says in done.stderr


def test_a_file_that_can_not_be_imported_is_one_line(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("1 / 0\nasync def session(user): pass\n")
    done = run("loadgen-coord", "--session", str(path), "--trace")

    assert done.returncode == 2
    assert f"loadgen-coord: {path}:1: ZeroDivisionError" in done.stderr
