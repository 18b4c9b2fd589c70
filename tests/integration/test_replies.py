"""Automatic replies of a plan, against a server that beats."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from tests.processes import coordinator

USERS = 30
BEATS = 3
PLAN = """
target = "ws://127.0.0.1:{port}/"
rate = 100
max = 30
hold = "sessions"
[[sessions]]
kind = "loop"
name = "pings"
think = 0.2
loops = 3
reply = [{{ match = '^beat (?P<number>[0-9]+)$', send = "alive %%number%%" }}]

[[sessions]]
kind = "python"
name = "thinks"
file = "thinks.py"
reply = [
  {{ json = {{ op = "beat" }}, send = '{{"alive":%%n%%}}' }},
  {{ match = "^beat", send = "alive" }},
]

[[sessions]]
kind = "script"
name = "waits"
reply = [{{ match = "^beat", send = "alive" }}]
steps = [
  {{ do = "connect", path = "/" }},
  {{ do = "receive", extract = [{{ var = "told", by = "re", expr = "(.*)" }}] }},
  {{ do = "send", text = "told %%_told%%", subst = true }},
  {{ do = "close" }},
]
"""
THINKS = """
async def session(user):
    ws = await user.connect()
    await user.think(0.5)
    news = await ws.receive_json(timeout=5, type="news")
    user.check("only news", news == {"type": "news"})
    await ws.send("told")
    await ws.close()
"""


@pytest.fixture
def server() -> Iterator[tuple[int, list[str]]]:
    """A server that sends beats and news; gives its port and what it got."""
    got: list[str] = []

    def beat(connection):
        for number in range(BEATS):
            connection.send(f"beat {number}")
        connection.send(json.dumps({"op": "beat", "n": 7}))
        with suppress(ConnectionClosed):  # of a script, which may be done
            connection.send(json.dumps({"type": "news"}))
        got.extend(connection)

    with serve(beat, "127.0.0.1", 0, compression=None) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield running.socket.getsockname()[1], got
        finally:
            running.shutdown()
            thread.join()


def test_users_of_every_kind_answer_whatever_they_wait_for(tmp_path, server):
    port, got = server
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.format(port=port))
    (tmp_path / "thinks.py").write_text(THINKS)
    expected = ("--expect", "replies>=90", "--expect", "replies_unsent==0")
    with coordinator(tmp_path / "runs", "--local", "1", "--plan", str(plan), *expected) as coord:
        assert coord.end(seconds=60) == 0, coord.err + coord.out
        summary = coord.summary()

    assert (summary["closed"], summary["failed"]) == ({"done": USERS}, {})
    kinds = len([text for text in got if text == "alive 0"])  # users of the loop
    thought = len([text for text in got if text == "told"])
    assert kinds + thought + len([text for text in got if text.startswith("told {")]) == USERS
    assert got.count("alive 1") == got.count("alive 2") == kinds
    assert got.count('{"alive":7}') == thought == summary["checks"]["only news"]["passed"]
    assert summary["replies"] == len([text for text in got if "alive" in text])
