"""Whole runs against servers with TLS: authorities, certificates, failures."""

import asyncio
import json
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve

from tests.processes import run

USERS = 6
FAST = ("--rate", "100", "--max", str(USERS), "--hold", "0")
AUTHORITY, ELSE = trustme.CA(), trustme.CA()
EXPIRED = datetime(2020, 1, 1, tzinfo=UTC)


class Door:
    """A server with TLS; it notes the names in its clients' certificates."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.names: Counter[str] = Counter()
        self.protocols: Counter[str | None] = Counter()

    @property
    def url(self) -> str:
        """The URL of the server, by the name in its certificate."""
        return f"wss://localhost:{self.port}/"


def context(
    name: str = "localhost", *, wants: bool = False, until: datetime | None = None
) -> ssl.SSLContext:
    """Returns a server's context; `wants` a certificate of its clients."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(name, not_after=until).configure_cert(made)
    made.set_alpn_protocols(["http/1.1"])
    if wants:
        AUTHORITY.configure_trust(made)
        made.verify_mode = ssl.CERT_REQUIRED
    return made


@asynccontextmanager
async def door(tls: ssl.SSLContext | None) -> AsyncIterator[Door]:
    """A server on a free port."""

    async def meet(connection: ServerConnection) -> None:
        secure = connection.transport.get_extra_info("ssl_object")
        shown = (secure.getpeercert() or {}).get("subject", ()) if secure else ()
        found.names.update(value for ((_, value),) in shown)
        found.protocols[secure.selected_alpn_protocol() if secure else None] += 1
        await connection.wait_closed()

    async with serve(meet, "localhost", 0, ssl=tls, family=2) as server:
        found = Door(server.sockets[0].getsockname()[1])
        yield found


@contextmanager
def blocking_door(tls: ssl.SSLContext) -> Iterator[str]:
    """A server that is no asyncio's, which drops OpenSSL's alerts; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def shake_hands(sock: socket.socket) -> None:
            with suppress(OSError), sock, tls.wrap_socket(sock, server_side=True) as secure:
                secure.recv(65536)

        def accept() -> None:
            for _ in range(USERS):
                threading.Thread(target=shake_hands, args=listener.accept()[:1]).start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        yield f"wss://localhost:{listener.getsockname()[1]}/"
        accepting.join()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with an authority, and a certificate of a client with its key."""
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ELSE.cert_pem.write_to_path(str(tmp_path / "else.pem"))
    (tmp_path / "users").mkdir()
    for name in ("ann", "bob", "eve"):
        issued = AUTHORITY.issue_cert(common_name=name)
        issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / f"users/{name}.pem"))
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.crt"))
    for key in (*tmp_path.glob("*.key"), *tmp_path.glob("users/*")):
        key.chmod(0o600)
    return tmp_path


async def played(files: Path, *options: str) -> tuple[dict, str, Path]:
    """Runs with one local agent; returns summary.json, stderr and the run directory."""
    fixed = ("--local", "1", "--listen", "127.0.0.1:0", "--out", str(files / "runs"), "--json")
    ended = await asyncio.to_thread(run, "loadgen-coord", *fixed, *options)
    assert ended.returncode == 0, ended.stderr
    (directory,) = (files / "runs").iterdir()
    samples = {path.name: path.read_text() for path in directory.glob("errors/*")}
    summary = json.loads(ended.stdout.splitlines()[-1]) | {"samples": samples}
    return summary, ended.stderr, directory


async def test_an_authority_and_a_certificate_of_ones_own_open_a_door_that_asks_for_both(files):
    mine = ("--target-ca", "ca.pem", "--target-cert", "ann.crt", "--target-key", "ann.key")
    paths = [str(files / one) if "." in one else one for one in mine]
    async with door(context(wants=True)) as server:
        summary, errors, directory = await played(files, server.url, *FAST, *paths)

    assert (summary["opened"], summary["failed"], summary["insecure"]) == (USERS, {}, False)
    assert server.names["ann"] == server.protocols["http/1.1"] == USERS
    assert "INSECURE" not in errors
    assert "can be read by others" not in errors
    parts = [summary["histograms"][name] for name in ("tcp", "tls", "upgrade")]
    assert [part["count"] for part in parts] == [USERS] * 3
    assert (summary["tls_handshakes"], summary["tls_resumed"]) == (USERS, 0)
    assert_no_key_in(files, directory)


def assert_no_key_in(files: Path, directory: Path) -> None:
    """Asserts that no file of a run has a key; plan.toml has the paths."""
    assert f'tls_key = "{files}/ann.key"' in (directory / "plan.toml").read_text()
    for path in directory.rglob("*"):
        if path.is_file():
            assert b"PRIVATE KEY" not in path.read_bytes(), path


async def test_each_user_shows_a_certificate_of_its_own_from_a_plan(files):
    plan = files / "plan.toml"
    async with door(context(wants=True)) as server:
        plan.write_text(
            f'target = "{server.url}"\nrate = 100\nmax = {USERS}\nhold = 0\n[transport]\n'
            'tls_ca = "ca.pem"\ntls_cert = "users"\ntls_resume = true\n'
        )
        summary, _, _ = await played(files, "--plan", str(plan))

    assert (summary["opened"], summary["failed"]) == (USERS, {})
    names = {name: server.names[name] for name in ("ann", "bob", "eve")}
    assert names == dict.fromkeys(names, USERS // 3)
    assert summary["tls_handshakes"] == USERS


FAILURES = {
    "untrusted": ({"name": "localhost"}, "else.pem", "unable to get local issuer certificate"),
    "wrong name": ({"name": "rt.test"}, "ca.pem", "certificate is not valid for 'localhost'"),
    "expired": ({"until": EXPIRED}, "ca.pem", "certificate has expired"),
}


@pytest.mark.parametrize(("served", "trusted", "words"), FAILURES.values(), ids=FAILURES)
async def test_a_certificate_that_proves_nothing_is_told_in_openssls_words(
    files, served, trusted, words
):
    async with door(context(**served)) as server:
        summary, _, _ = await played(files, server.url, *FAST, "--target-ca", str(files / trusted))

    assert (summary["opened"], summary["failed"]) == (0, {"tls": USERS})
    assert words in summary["samples"]["tls.txt"]


async def test_a_door_that_wants_a_certificate_says_so_after_the_handshake(files):
    """With TLS 1.3 a client's handshake is over before that."""
    with blocking_door(context(wants=True)) as url:
        summary, _, _ = await played(files, url, *FAST, "--target-ca", str(files / "ca.pem"))

    assert (summary["opened"], summary["failed"]) == (0, {"tls": USERS})
    assert "TLSV13_ALERT_CERTIFICATE_REQUIRED" in summary["samples"]["tls.txt"]


async def test_a_port_without_tls_is_told_apart(files):
    """It answers, or ends in silence: each to every second user."""
    answers = cycle([b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(next(answers))
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        summary, _, _ = await played(files, f"wss://localhost:{port}/", *FAST)

    assert (summary["opened"], summary["failed"]) == (0, {"tls": USERS // 2, "reset": USERS // 2})
    assert "most likely the port speaks no TLS" in summary["samples"]["tls.txt"]
    silent = "ended TCP in the middle of the TLS handshake; perhaps the port speaks no"
    assert silent in summary["samples"]["reset.txt"]


async def test_insecure_is_said_loudly(files):
    async with door(context("rt.test")) as server:
        summary, errors, directory = await played(files, server.url, *FAST, "--insecure")

    assert (summary["opened"], summary["failed"], summary["insecure"]) == (USERS, {}, True)
    assert "\nloadgen-coord: INSECURE: the certificates of the servers are not verified" in errors
    assert "certificates NOT verified" in errors
    report = (directory / "report.html").read_text()
    assert "The certificates of the servers were not verified" in report
    assert re.search("their certificates were\\s+not verified", report)


async def test_publications_trust_the_authority_and_show_the_certificate_too(files):
    async def publish(request: web.Request) -> web.Response:
        shown = request.transport.get_extra_info("peercert") if request.transport else None
        published.append(shown)
        return web.Response()

    async def hold(request: web.Request) -> web.WebSocketResponse:
        await (connection := web.WebSocketResponse()).prepare(request)
        async for _ in connection:
            pass
        return connection

    published: list[object] = []
    application = web.Application()
    application.add_routes([web.post("/publish", publish), web.get("/", hold)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context(wants=True)).start()
    port = runner.addresses[0][1]
    try:
        summary, errors, _ = await played(
            files,
            f"wss://localhost:{port}/?channels[]=a",
            *FAST[:4],
            *("--hold", "8", "--publish", "target", "--publish-rate", "5"),
            *("--target-ca", str(files / "ca.pem"), "--target-cert", str(files / "users/ann.pem")),
        )
    finally:
        await runner.cleanup()

    assert summary["opened"] == USERS
    assert summary["publications"]["sent"] > 0, errors
    assert summary["publications"]["sent"] == len(published)
    assert all(published)


def test_a_wrong_file_is_one_line_before_the_run(files):
    (files / "no.pem").write_text("hello\n")
    wrong = {
        ("--target-ca", "no.pem"): "`tls_ca` {}/no.pem: it holds no certificate;",
        ("--target-ca", "nowhere.pem"): "`tls_ca` {}/nowhere.pem: can't be read (No such file",
        ("--target-cert", "ann.crt"): "`tls_cert` {}/ann.crt: its certificate has no key;",
        ("--target-cert", "ann.crt", "--target-key", "bob.key"): (
            "`tls_cert` {}/ann.crt with `tls_key` {}/bob.key: the key does not fit the certificate"
        ),
        ("--target-key", "ann.key"): "`transport.tls_key` is a key without its certificate;",
    }
    for options, said in wrong.items():
        paths = [str(files / one) if "." in one else one for one in options]
        ended = run("loadgen-coord", "wss://localhost:9/", "--dry-run", *paths)

        assert (ended.returncode, ended.stdout) == (2, ""), options
        assert ended.stderr.startswith(f"loadgen-coord: {said.replace('{}', str(files))}")
        assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--target-key", "--target-cert"])
def test_a_key_that_others_can_read_is_warned_of(files, option):
    key = files / ("ann.key" if option == "--target-key" else "users/ann.pem")
    key.chmod(0o644)
    certificate = files / "ann.crt" if option == "--target-key" else key
    paths = ("--target-cert", str(certificate), option, str(key))
    fixed = ("--agents", "1", "--wait", "0", "--listen", "127.0.0.1:0", "--out", str(files))
    ended = run("loadgen-coord", "wss://127.0.0.1:9/", *FAST, *fixed, *paths)

    assert ended.returncode == 3
    assert f"{option} {key} can be read by others" in ended.stderr
