"""Redirects of handshakes are followed on demand alone, and to allowed places."""

import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.sync.server import serve

from tests.processes import coordinator

COUNT = 4
STATUSES = (301, 302, 303, 307, 308)
OWN = {"Authorization": "Bearer s3cr3t", "Cookie": "id=s3cr3t", "X-Other": "1"}


class Server:
    """A WebSocket server that redirects some paths, and keeps what it was asked."""

    def __init__(self, redirects: dict[str, str], statuses: Iterable[int]) -> None:
        self._redirects = redirects
        self._statuses = cycle([HTTPStatus(status) for status in statuses])
        self.asked: list[str] = []
        """The paths that were asked for."""
        self.upgraded: list[Any] = []
        """The headers of the requests that were upgraded."""
        self.port = 0

    def answer(self, connection: Any, request: Any) -> Any:
        """Redirects, or lets the library upgrade."""
        self.asked.append(request.path)
        location = self._redirects.get(request.path)
        if location is None:
            self.upgraded.append(request.headers)
            return None
        reply = connection.respond(next(self._statuses), "moved\n")
        reply.headers["Location"] = location
        return reply


@contextmanager
def redirecting(
    redirects: dict[str, str] | None = None, *, statuses: Iterable[int] = (302,), tls: bool = False
) -> Iterator[Server]:
    """A server that redirects from paths to URLs, with one status after the other."""
    server = Server(redirects or {}, statuses)
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    def hold(connection: Any) -> None:
        for _ in connection:
            pass

    options: dict[str, Any] = {"process_request": server.answer, "ssl": context}
    with serve(hold, "127.0.0.1", 0, **options) as running:
        server.port = running.socket.getsockname()[1]
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield server
        running.shutdown()
        thread.join()


def loaded(
    tmp_path: Path, server: Server, *options: str, count: int = COUNT
) -> tuple[dict[str, Any], Path]:
    """Runs connections to /old; returns the summary and the run directory."""
    plan = tmp_path / "plan.toml"
    plan.write_text("hold = 1\nrate = 50\n[transport]\ntls_verify = false\n")
    headers = [word for name, value in OWN.items() for word in ("--header", f"{name}: {value}")]
    words = ["--plan", str(plan), "--local", "1", "--max", str(count), *headers, *options]
    url = f"ws://127.0.0.1:{server.port}/old"
    with coordinator(tmp_path / "runs", url, *words) as coord:
        assert coord.end() == 0, coord.err
        return coord.summary(), coord.folder


def test_a_redirect_within_a_server_changes_the_resource_alone(tmp_path):
    count = 2 * len(STATUSES)
    with redirecting({"/old": "/new?a=1#part"}, statuses=STATUSES) as server:
        summary, _ = loaded(tmp_path, server, "--follow-redirects", count=count)

    assert (summary["opened"], summary["failed"]) == (count, {})
    assert (summary["launched"], summary["redirects"]) == (count, count)
    assert server.asked.count("/new?a=1") == len(server.upgraded) == count
    for headers in server.upgraded:
        assert {name: headers[name] for name in OWN} == OWN


def test_credentials_stay_with_the_place_that_they_were_written_for(tmp_path):
    with ExitStack() as stack:
        other = stack.enter_context(redirecting())
        secure = stack.enter_context(
            redirecting({"/": f"http://127.0.0.1:{other.port}/c"}, tls=True)
        )
        first = stack.enter_context(redirecting({"/old": f"https://127.0.0.1:{secure.port}/"}))
        summary, _ = loaded(tmp_path, first, "--follow-redirects", "--header", "Host: own.test")

    assert (summary["opened"], summary["failed"]) == (COUNT, {})
    assert summary["redirects"] == 2 * COUNT
    assert summary["histograms"]["connect"]["count"] == 3 * COUNT
    assert len(other.upgraded) == COUNT
    for headers in other.upgraded:
        assert headers["X-Other"] == "1"
        assert headers["Host"] == f"127.0.0.1:{other.port}"
        assert "Authorization" not in headers
        assert "Cookie" not in headers


def test_sessions_in_python_and_scripts_follow_them_too(tmp_path):
    session = tmp_path / "mine.py"
    session.write_text(
        "async def session(user):\n"
        "    ws = await user.connect('/old', headers={'X-Mine': '2', 'Cookie': 'b=1'})\n"
        "    await ws.ping()\n"
        "    await ws.close()\n"
    )
    with ExitStack() as stack:
        other = stack.enter_context(redirecting())
        first = stack.enter_context(redirecting({"/old": f"ws://127.0.0.1:{other.port}/"}))
        options = ("--session", str(session), "--local", "1", "--max", str(COUNT), "--rate", "50")
        url = f"ws://127.0.0.1:{first.port}/x"
        with coordinator(tmp_path / "runs", url, *options, "--follow-redirects") as coord:
            assert coord.end() == 0, coord.err
            summary = coord.summary()

    assert (summary["closed"], summary["failed"]) == ({"done": COUNT}, {})
    assert [headers.get("X-Mine") for headers in other.upgraded] == ["2"] * COUNT
    assert not any("Cookie" in headers for headers in other.upgraded)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("ws://192.0.2.1:81/x", "refuses target 192.0.2.1: start the agent with --allow-target"),
        ("wss://rt.nowhere.invalid/x", "can't go there: target host 'rt.nowhere.invalid' does not"),
    ],
)
def test_a_place_that_may_not_be_loaded_is_a_reason_of_its_own(tmp_path, location, words):
    with redirecting({"/old": location}) as server:
        summary, folder = loaded(tmp_path, server, "--follow-redirects")

    assert (summary["failed"], summary["redirects"]) == ({"redirect_refused": COUNT}, 0)
    sample = (folder / "errors" / "redirect_refused.txt").read_text()
    assert f"/old redirects to {location}, and the agent {words}" in sample


@pytest.mark.parametrize(
    ("location", "options", "words"),
    [
        ("/old", ["--follow-redirects"], "only 5 redirects in a row are followed"),
        ("ftp://a/", ["--follow-redirects"], "can't be followed: target 'ftp://a/' is not a"),
        ("ws://u:pw@127.0.0.1/", ["--follow-redirects"], "can't be followed: target '…@127.0.0.1/"),
        ("/new", [], "redirects are not followed"),
    ],
)
def test_a_redirect_that_is_not_followed_says_why(tmp_path, location, options, words):
    with redirecting({"/old": location}) as server:
        summary, folder = loaded(tmp_path, server, *options)

    assert summary["failed"] == {"http_302": COUNT}
    sample = (folder / "errors" / "http_302.txt").read_text()
    assert words in sample
    assert "moved" in sample
    followed = 5 if location == "/old" else 0
    assert summary["redirects"] == followed * COUNT
