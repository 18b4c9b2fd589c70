"""Sessions in Python: agents run a file of which they have no copy."""

import asyncio
import shutil
from contextlib import contextmanager
from time import monotonic

import msgspec
import pytest

from coordinator.http.server import Server
from coordinator.run.run import Run
from loadgen.plan.plan import Plan
from loadgen.plan.session_file import read_session
from loadgen.values import Endpoint
from tests.processes import PATIENCE, agent, coordinator, opens, target

LOAD = ("--max", "40", "--rate", "200", "--hold", "30")
CHAT = """
print("hello from the file")

async def session(user):
    ws = await user.connect()
    with user.transaction("hello"):
        await ws.receive(timeout=5)
    user.count("greeted")
    if user.number % 4 == 0:
        print("user", user.number)
        {}["no such key"]
    await user.think(0.1)
    await ws.close()
"""


@pytest.fixture(scope="module")
def server():
    """One target for all these tests; it greets each connection, as Appwrite does."""
    with target("--workers", "1", "--mode", "appwrite") as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_left(server):
    """After every test nothing is open once its processes have ended."""
    yield
    opens(server, 0)


@pytest.fixture
def chat(tmp_path):
    """The file of a session."""
    path = tmp_path / "chat.py"
    path.write_text(CHAT)
    return path


@contextmanager
def conducted(folder, path, server, *options):
    """A coordinator that runs this session."""
    with coordinator(folder / "runs", *LOAD, "--session", str(path), server.ws, *options) as coord:
        yield coord


def test_a_session_is_run_by_agents_that_have_no_copy_of_its_file(tmp_path, chat, server):
    (tmp_path / "elsewhere").mkdir()
    options = (
        "--agents",
        "1",
        "--expect",
        "counter.greeted==40",
        "--expect",
        "timing.tr_hello_p99<5s",
    )
    with conducted(tmp_path, chat, server, *options) as coord:
        url = coord.url
        chat.unlink()
        with agent(
            url, "--allow-sessions", "--name", "far", "--once", cwd=tmp_path / "elsewhere"
        ) as far:
            assert coord.end() == 0, coord.err
            assert far.end() == 0
        assert "10 of 40 sessions failed (error_KeyError)" in coord.out
    summary = coord.summary()

    assert (summary["opened"], summary["failed"]) == (40, {})
    assert summary["closed"] == {"done": 30, "error_KeyError": 10}
    assert summary["counters"] == {"greeted": 40}
    assert summary["timings"]["tr_hello"]["count"] == 40
    figures = ("sessions_started", "sessions_done", "sessions_failed")
    assert [summary[figure] for figure in figures] == [40, 30, 10]
    sample = (coord.folder / summary["tracebacks"]["error_KeyError"]).read_text()
    assert sample.startswith("error_KeyError\n\nTraceback")
    assert '{}["no such key"]' in sample
    log = (coord.folder / "agents" / "far.log").read_text()
    assert log.count("printed: hello from the file") == 1
    assert log.count("printed: user ") == 10


def test_a_folder_travels_and_the_run_directorys_plan_runs_it_again(
    tmp_path, chat, server, monkeypatch
):
    """Its package, a neighbour and data come along, are not shown, and leave no file."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    folder = tmp_path / "shop"
    (folder / "rooms").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "rooms" / "lobby.py").write_text("NAME = 'lobby'\n")
    (folder / "words.txt").write_text("secret words")
    (folder / "photo.bin").write_bytes(b"\xff\xfe")
    beside = (
        "from pathlib import Path\nfrom .rooms import lobby\nHERE = Path(__file__).parent\n"
        "assert (HERE / 'words.txt').read_text() == 'secret words'\n"
        "assert (HERE / 'photo.bin').read_bytes() == b'\\xff\\xfe' and lobby.NAME == 'lobby'\n"
    )
    (folder / "session.py").write_text(beside + CHAT)
    with conducted(tmp_path, folder, server, "--local", "1") as coord:
        coord.says("on the page|local-1|open")
        (session,) = coord.state()["plan"]["sessions"]
        assert coord.end() == 0, coord.err
    shown = {file["path"]: file for file in session["files"]}
    assert set(shown) == {"__init__.py", "photo.bin", "rooms/lobby.py", "words.txt"}
    assert set(shown["words.txt"]) == {"path", "sha256"}
    sample = (coord.folder / "errors" / "error_KeyError.txt").read_text()
    assert "shop/session.py" in sample
    assert list((tmp_path / "tmp").glob("loadgen-session-*")) == []
    plan = coord.folder / "plan.toml"
    shutil.rmtree(folder)

    with coordinator(tmp_path / "again", "--plan", str(plan), "--local", "2") as again:
        assert again.end() == 0, again.err

    assert again.summary()["closed"] == coord.summary()["closed"]


def test_an_agent_runs_no_session_without_allow_sessions(tmp_path, chat, server):
    with (
        conducted(tmp_path, chat, server, "--agents", "1", "--wait", "600") as coord,
        agent(coord.url) as careful,
    ):
        coord.says(
            r"refuses: runs no session in Python \(.*chat\.py\): start the agent with"
            r" --allow-sessions"
        )
        careful.says("start the agent with --allow-sessions")
        assert coord.state()["ledger"]["launched"] == 0


async def test_a_file_that_was_altered_on_the_way_is_not_run(tmp_path, chat, server):
    chat.write_text(f"import os\nos.mkdir({str(tmp_path / 'it-ran')!r})\n{CHAT}")
    session = msgspec.structs.replace(read_session(chat), sha256="0" * 64)
    altered = Run(Plan(target=server.ws, sessions=(session,)), 1)
    serving = Server(altered, monotonic)
    listen = await serving.start(Endpoint("127.0.0.1", 0))
    try:
        with agent(f"http://{listen}", "--allow-sessions"):
            async with asyncio.timeout(PATIENCE):
                while not any(  # noqa: ASYNC110 -- the coordinator's state sets no event
                    member.ready or member.refusal for member in altered.agents.by_id.values()
                ):
                    await asyncio.sleep(0.05)
            (refusal,) = (member.refusal for member in altered.agents.by_id.values())
    finally:
        await serving.stop()

    assert "chat.py with another SHA-256 than the plan says" in refusal
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "import no_such_module\n",
            "lacks the library no_such_module, which",
        ),
        ("import sys\nsys.exit('not today')\n", "chat.py:2: SystemExit: not today"),
        (
            "import os\nos._exit(7)\n",
            "a worker ended while it imported the session (it ended with exit code 7)",
        ),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "(it was killed by SIGSEGV"),
    ],
)
def test_a_file_that_fails_on_the_agents_ends_the_run_at_once(
    tmp_path, chat, server, source, words
):
    chat.write_text(source + CHAT)
    with conducted(tmp_path, chat, server, "--local", "1", "--wait", "600") as coord:
        assert coord.end() == 3
        last = coord.err.splitlines()[-1]
        assert last.startswith("loadgen-coord: 0 of 1 agents were ready after ")
        assert words in last
        assert last.endswith("; fix that")
        if "chat.py:" in words:
            shown = (coord.folder / "errors" / "session_file.txt").read_text()
            assert source.splitlines()[-1] in shown
        assert coord.summary()["launched"] == 0


def test_a_session_can_not_disturb_the_pipes_of_its_worker(tmp_path, chat, server):
    chat.write_text(
        "import os, sys, logging\n"
        "async def session(user):\n"
        "    ws = await user.connect()\n"
        "    os.write(1, b'{\"second\": 1}\\n')\n"
        "    print('{}')\n"
        "    logging.warning('a warning')\n"
        "    sys.stdin.readline()\n"
    )
    with conducted(tmp_path, chat, server, "--local", "1") as coord:
        assert coord.end() == 0, coord.err
    log = (coord.folder / "agents" / "local-1.log").read_text()

    assert coord.summary()["closed"] == {"done": 40}
    assert log.count("printed: {}") == 40
    assert log.count("printed: WARNING:root:a warning") == 40


def test_the_state_of_the_run_does_not_show_the_file(tmp_path, chat, server):
    with conducted(tmp_path, chat, server, "--agents", "1") as coord:
        (session,) = coord.state()["plan"]["sessions"]

    assert (session["name"], session["source"], len(session["sha256"])) == ("chat", "", 64)
