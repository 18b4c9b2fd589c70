"""Whole runs against a server that is particular about the requests it gets."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from loadgen.version import VERSION
from tests.processes import run

USERS = 6
FAST = f"rate = 100\nmax = {USERS}\n"


class Particular:
    """A server that records the requests, and refuses what a strict server refuses."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Request] = []
        self.server_names: list[str | None] = []

    def url(self, resource: str, scheme: str = "ws") -> str:
        """Returns the URL of a resource."""
        return f"{scheme}://127.0.0.1:{self.port}{resource}"

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuses two Host lines, another virtual host, and a return without cookies."""
        self.requests.append(request)
        query = parse_qs(urlsplit(request.path).query)
        hosts = request.headers.get_all("Host")
        if len(hosts) != 1:
            return connection.respond(HTTPStatus.BAD_REQUEST, "one Host, please")
        if query.get("vhost", hosts) != hosts:
            return connection.respond(HTTPStatus.NOT_FOUND, "no such site")
        jar = request.headers.get("Cookie", "").split("; ")
        if query.get("sticky") == ["back"] and {*jar} != {"lb=node3", "lbcors=node3"}:
            return connection.respond(HTTPStatus.CONFLICT, "another node has you")
        return None

    def greet(self, connection: ServerConnection, request: Request, response: Response) -> None:
        """Sets the two cookies of a load balancer."""
        response.headers["Set-Cookie"] = "lb=node3; Path=/"
        response.headers["Set-Cookie"] = "lbcors=node3; Path=/; SameSite=None"

    async def echo(self, connection: ServerConnection) -> None:
        """Sends each message back."""
        async for message in connection:
            await connection.send(message)


@asynccontextmanager
async def particular(tls: ssl.SSLContext | None = None) -> AsyncIterator[Particular]:
    """A server on a free port."""
    server = Particular()
    if tls is not None:
        tls.sni_callback = lambda _, name, __: server.server_names.append(name)
    listening = serve(
        server.echo,
        "127.0.0.1",
        0,
        ssl=tls,
        process_request=server.check,
        process_response=server.greet,
    )
    async with listening as found:
        server.port = found.sockets[0].getsockname()[1]
        yield server


async def summary_of(folder: Path, *options: str, env: dict[str, str] | None = None) -> dict:
    """Runs with one local agent; returns summary.json, and samples by their files."""
    fixed = ("--local", "1", "--listen", "127.0.0.1:0", "--out", str(folder / "runs"), "--json")
    ended = await asyncio.to_thread(run, "loadgen-coord", *fixed, *options, env=env)
    assert ended.returncode == 0, ended.stderr
    (directory,) = (folder / "runs").iterdir()
    samples = {path.name: path.read_text() for path in directory.glob("errors/*")}
    return json.loads(ended.stdout.splitlines()[-1]) | {"samples": samples}


def plan_in(folder: Path, text: str) -> str:
    """Writes a plan; returns its path."""
    path = folder / "plan.toml"
    path.write_text(text)
    return str(path)


async def test_an_own_host_is_the_only_one(tmp_path):
    headers = 'headers = { "User-Agent" = "x", Host = "rt.example.com" }'
    async with particular() as server:
        target = server.url("/hold?vhost=rt.example.com")
        plan = f'target = "{target}"\n{FAST}hold = 0\n[transport]\n{headers}\n'
        summary = await summary_of(tmp_path, "--plan", plan_in(tmp_path, plan))

    assert (summary["opened"], summary["failed"]) == (USERS, {})
    assert {request.headers["User-Agent"] for request in server.requests} == {"x"}


async def test_headers_of_the_command_line_are_sent(tmp_path):
    options = ("--header", "Host: rt.test", "--header", "Authorization: Bearer s3cret: x")
    async with particular() as server:
        fixed = ("--max", str(USERS), "--rate", "100", "--hold", "0")
        summary = await summary_of(tmp_path, server.url("/?vhost=rt.test"), *fixed, *options)

    assert (summary["opened"], summary["failed"]) == (USERS, {})
    for request in server.requests:
        assert request.headers["Authorization"] == "Bearer s3cret: x"
        assert request.headers["User-Agent"] == f"loadgen/{VERSION}"


FOLLOW = r"""
hold = "sessions"
[[sessions]]
kind = "script"
name = "follow"
steps = [
  { do = "connect" },
  { do = "send", text = "next=/a HTTP/1.1\r\nX-From-Server: yes", ack = true, extract = [
    { var = "next", expr = "(?s)next=(.*)" },
  ] },
  { do = "close" },
  { do = "connect", path = "%%_next%%", subst = true },
  { do = "close" },
]
"""
FILL = r"""
hold = "sessions"
[[sessions]]
kind = "script"
name = "fill"
steps = [
  { do = "set", names = ["who"], source = "value", value = "x HTTP/1.1\r\nX-Injected: yes" },
  { do = "connect", HERE, subst = true },
  { do = "close" },
]
"""
INJECTIONS = {
    "a reply": (FOLLOW, USERS),
    "a path": (FILL.replace("HERE", 'path = "/hold?name=%%_who%%"'), 0),
    "a header": (FILL.replace("HERE", 'headers = { X-Name = "%%_who%%" }'), 0),
}


@pytest.mark.parametrize(("session", "opened"), INJECTIONS.values(), ids=INJECTIONS)
async def test_no_value_adds_a_header(tmp_path, session, opened):
    async with particular() as server:
        plan = f'target = "{server.url("/echo")}"\n{FAST}{session}'
        summary = await summary_of(tmp_path, "--plan", plan_in(tmp_path, plan))

    assert (summary["opened"], summary["failed"]) == (opened, {"bad_request": USERS})
    assert "has the character '\\r' at place" in summary["samples"]["bad_request.txt"]
    assert len(server.requests) == opened
    names = {name for request in server.requests for name, _ in request.headers.raw_items()}
    assert not [name for name in names if name.startswith("X-")]


SPLIT = """
async def session(user):
    ws = await user.connect("/hold?sticky=set")
    cookies = ws.headers["set-cookie"]
    user.count("cookies_seen", cookies.count("="))
    jar = "; ".join(part.split(";")[0] for part in cookies.split(", ") if part)
    await ws.close()
    ws = await user.connect("/hold?sticky=back", headers={"Cookie": jar})
    await ws.close()
"""
JAR = """
async def session(user):
    ws = await user.connect("/hold?sticky=set")
    user.count("cookies_seen", len(ws.headers.getall("Set-Cookie")))
    await ws.close()
    cookie = "; ".join(f"{name}={value}" for name, value in ws.cookies.items())
    ws = await user.connect("/hold?sticky=back", headers={"Cookie": cookie})
    await ws.close()
"""


@pytest.mark.parametrize(("session", "seen"), [(SPLIT, 5), (JAR, 2)], ids=["headers", "cookies"])
async def test_all_cookies_of_a_handshake_come_back_with_the_next(tmp_path, session, seen):
    path = tmp_path / "cookies.py"
    path.write_text(session)
    async with particular() as server:
        fixed = ("--max", str(USERS), "--rate", "100", "--hold", "sessions")
        summary = await summary_of(tmp_path, server.url("/"), *fixed, "--session", str(path))

    assert (summary["opened"], summary["failed"]) == (2 * USERS, {})
    assert summary["counters"]["cookies_seen"] == seen * USERS


def test_a_header_that_offers_an_extension_is_refused_with_its_line(tmp_path):
    offer = '"Sec-WebSocket-Extensions" = "permessage-deflate; client_max_window_bits"'
    plan = f'target = "ws://127.0.0.1:9/"\n{FAST}[transport]\nheaders = {{ {offer} }}\n'
    ended = run("loadgen-coord", "--plan", plan_in(tmp_path, plan), "--dry-run")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(
        f"loadgen-coord: {tmp_path}/plan.toml, line 5:"
        " `transport.headers.Sec-WebSocket-Extensions` belongs to the handshake"
    )


@pytest.mark.parametrize(
    ("name", "opened", "sent"),
    [
        ('"rt.example.com"', USERS, {"rt.example.com"}),
        ("true", 0, {None}),
        ('"else.example.com"', 0, {"else.example.com"}),
    ],
)
async def test_the_certificate_may_have_another_name_than_the_url(tmp_path, name, opened, sent):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("rt.example.com").configure_cert(tls)
    trusting = os.environ | {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
    async with particular(tls) as server:
        target = server.url("/", "wss")
        plan = f'target = "{target}"\n{FAST}hold = 0\n[transport]\ntls_server_name = {name}\n'
        summary = await summary_of(tmp_path, "--plan", plan_in(tmp_path, plan), env=trusting)

    assert summary["opened"] == opened
    assert summary["failed"] == ({} if opened else {"tls": USERS})
    assert {*server.server_names} == sent
