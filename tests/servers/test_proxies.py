"""Connections go through real proxies, from Debian.

They are tinyproxy (CONNECT) and microsocks (SOCKS5). HAProxy takes the PROXY protocol, and says
which addresses it learned.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.sync.server import serve

from loadgen.net.proxy_protocol import source_of
from tests.debian import installed
from tests.login_server import login_process
from tests.processes import (
    closing_command,
    coordinator,
    environment,
    eventually,
    free_port,
    refusing_port,
    run,
    target,
)

USER, PASSWORD = "load", "s3cr3t%2Dword"
PLAIN_PASSWORD = "s3cr3t-word"
"""As the proxy knows it; in a URL it is percent-encoded."""
COUNT = 6


@pytest.fixture
def server() -> Iterator[Any]:
    with target() as address:
        yield address


@contextmanager
def tinyproxy(folder: Path, *lines: str) -> Iterator[int]:
    """A proxy that knows CONNECT; yields its port."""
    port = free_port()
    folder.mkdir()
    settings = [f"Port {port}", "Listen 127.0.0.1", "Timeout 600", "MaxClients 50", *lines]
    if os.geteuid() == 0:
        settings += ["User nobody", "Group nogroup"]
    config = folder / "tinyproxy.conf"
    config.write_text("\n".join((*settings, "")))
    with closing_command([installed("tinyproxy"), "-d", "-c", str(config)]):
        eventually(lambda: listens(port), "tinyproxy listens")
        yield port


@contextmanager
def microsocks(*options: str) -> Iterator[int]:
    """A proxy that knows SOCKS5; yields its port."""
    port = free_port()
    command = [installed("microsocks"), "-i", "127.0.0.1", "-p", str(port), *options]
    with closing_command(command):
        eventually(lambda: listens(port), "microsocks listens")
        yield port


def listens(port: int) -> bool:
    """True once something accepts connections on a port of loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def loaded(tmp_path: Path, *options: str, **more: Any) -> tuple[dict[str, Any], Any]:
    """Runs COUNT connections of a local agent; returns the summary and the command."""
    out = tmp_path / "runs"
    words = ("--local", "1", "--max", str(COUNT), "--rate", "50", "--hold", "1", *options)
    with coordinator(out, *words, **more) as coord:
        assert coord.end() == 0, coord.err
        return coord.summary(), Said(coord.out + coord.err, coord.folder)


class Said:
    """The output of a run, and its directory."""

    def __init__(self, text: str, folder: Path) -> None:
        self.text = text
        self.folder = folder


def sample(said: Said, reason: str) -> str:
    """Returns the sample of a reason."""
    return (said.folder / "errors" / f"{reason}.txt").read_text()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_connections_go_through_socks5_with_credentials(tmp_path, server, scheme, host):
    with microsocks("-u", USER, "-P", PLAIN_PASSWORD) as port:
        proxy = f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{port}"
        url = server.ws.replace("127.0.0.1", host)
        summary, said = loaded(tmp_path, url, "--proxy", proxy)

    assert (summary["opened"], summary["failed"]) == (COUNT, {})
    assert summary["closed"] == {"drained": COUNT}
    assert summary["histograms"]["connect"]["count"] == COUNT
    assert_secret(said)


def test_connections_go_through_connect_with_credentials(tmp_path, server):
    with tinyproxy(tmp_path / "proxy", f"BasicAuth {USER} {PLAIN_PASSWORD}") as port:
        proxy = f"http://{USER}:{PASSWORD}@127.0.0.1:{port}"
        summary, said = loaded(tmp_path, server.ws, "--proxy", proxy)

    assert (summary["opened"], summary["failed"]) == (COUNT, {})
    assert summary["closed"] == {"drained": COUNT}
    assert server.stats()["opened"] == COUNT
    assert_secret(said)


def test_http_requests_go_through_the_proxy_too(tmp_path):
    session = str(Path(__file__).parents[2] / "examples" / "login.py")
    with (
        login_process() as port,
        tinyproxy(tmp_path / "proxy", f"BasicAuth {USER} {PLAIN_PASSWORD}") as proxy_port,
    ):
        proxy = f"http://{USER}:{PASSWORD}@127.0.0.1:{proxy_port}"
        url = f"ws://127.0.0.1:{port}/ws"
        summary, said = loaded(tmp_path, url, "--session", session, "--proxy", proxy)

    assert summary["closed"] == {"done": COUNT}
    assert (summary["http_replies"], summary["http_failed"]) == ({"200": 2 * COUNT}, {})
    assert summary["checks"]["same user"] == {"passed": COUNT, "failed": 0}
    assert_secret(said)


def assert_secret(said: Said) -> None:
    """The password is in the plan of the run directory, and shown nowhere."""
    files = [path for path in said.folder.rglob("*") if path.is_file()]
    holding = {path.name for path in files if PASSWORD.encode() in path.read_bytes()}
    assert holding <= {"plan.toml", "journal.ndjson"}
    assert "plan.toml" in holding
    assert PASSWORD not in said.text


@pytest.mark.parametrize(
    ("userinfo", "answer"),
    [("", "407 Proxy Authentication Required"), (f"{USER}:wrong@", "401 Unauthorized")],
)
def test_a_proxy_that_wants_other_credentials_is_a_reason_of_its_own(
    tmp_path, server, userinfo, answer
):
    with tinyproxy(tmp_path / "proxy", f"BasicAuth {USER} {PLAIN_PASSWORD}") as port:
        summary, said = loaded(tmp_path, server.ws, "--proxy", f"http://{userinfo}127.0.0.1:{port}")

    assert summary["failed"] == {"proxy_auth": COUNT}
    text = sample(said, "proxy_auth")
    assert f"answered {answer}" in text
    assert "-Authenticate: Basic" in text
    assert "<html" in text
    assert "wrong" not in text


@pytest.mark.parametrize(
    ("userinfo", "words"),
    [("", "asks for credentials"), (f"{USER}:wrong@", "does not accept user and password")],
)
def test_a_socks_login_that_fails_is_a_reason_of_its_own(tmp_path, server, userinfo, words):
    with microsocks("-u", USER, "-P", PLAIN_PASSWORD) as port:
        proxy = f"socks5://{userinfo}127.0.0.1:{port}"
        summary, said = loaded(tmp_path, server.ws, "--proxy", proxy)

    assert summary["failed"] == {"proxy_auth": COUNT}
    assert words in sample(said, "proxy_auth")


def test_a_target_that_the_proxy_does_not_reach_is_refused_in_its_words(tmp_path):
    url = f"ws://127.0.0.1:{refusing_port()}/"
    with microsocks() as port:
        summary, said = loaded(tmp_path / "a", url, "--proxy", f"socks5://127.0.0.1:{port}")
    assert summary["failed"] == {"proxy_refused": COUNT}
    assert "answered 5: connection refused" in sample(said, "proxy_refused")

    with tinyproxy(tmp_path / "proxy", "ConnectPort 443") as port:
        summary, said = loaded(tmp_path / "b", url, "--proxy", f"http://127.0.0.1:{port}")
    assert summary["failed"] == {"proxy_refused": COUNT}
    assert "answered 403 Access violation" in sample(said, "proxy_refused")


def test_a_proxy_that_does_not_listen_is_refused_like_a_target(tmp_path, server):
    proxy = f"http://127.0.0.1:{refusing_port()}"
    summary, _ = loaded(tmp_path, server.ws, "--proxy", proxy)

    assert summary["failed"] == {"refused": COUNT}


def test_a_proxy_of_the_environment_is_ignored_aloud(tmp_path):
    """No program's own proxy changes what is measured; the line names the option."""
    more = environment() | {"HTTPS_PROXY": f"http://u:{PASSWORD}@127.0.0.1:{refusing_port()}"}
    planned = ("--dry-run", "--local", "1", "--max", str(COUNT))
    ended = run("loadgen-coord", "wss://192.0.2.1/", *planned, env=more)

    assert ended.returncode == 0, ended.stderr
    assert "HTTPS_PROXY of the environment is ignored" in ended.stdout
    assert '--proxy "$HTTPS_PROXY"' in ended.stdout
    assert PASSWORD not in ended.stdout


def test_a_dry_run_shows_the_proxy_without_its_credentials():
    proxy = f"socks5h://{USER}:{PASSWORD}@127.0.0.1:1080"
    planned = ("--dry-run", "--local", "1", "--max", str(COUNT), "--proxy", proxy)
    ended = run("loadgen-coord", "wss://rt.nowhere.test/", *planned)

    assert ended.returncode == 0, ended.stderr
    assert "target rt.nowhere.test is resolved by the proxy, port 443" in ended.stdout
    assert "proxy socks5h://***:***@127.0.0.1:1080 is 127.0.0.1, port 1080" in ended.stdout
    assert PASSWORD not in ended.stdout + ended.stderr


@contextmanager
def remembering() -> Iterator[tuple[int, list[tuple[str, int]]]]:
    """A WebSocket server; yields its port and the clients that a balancer named."""
    named: list[tuple[str, int]] = []

    def note(_: Any, request: Any) -> None:
        named.append((request.headers["X-Forwarded-For"], int(request.headers["X-Source-Port"])))

    def hold(connection: Any) -> None:
        for _ in connection:
            pass

    with serve(hold, "127.0.0.1", 0, process_request=note) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1], named
        server.shutdown()
        thread.join()


@contextmanager
def haproxy(folder: Path, backend: int) -> Iterator[dict[str, int]]:
    """A balancer that demands the PROXY protocol; yields its ports by their kind."""
    ports = {kind: free_port() for kind in ("plain", "tls", "ipv6")}
    folder.mkdir()
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(folder / "both.pem")
    )
    config = folder / "haproxy.cfg"
    config.write_text(f"""
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend in
    bind 127.0.0.1:{ports["plain"]} accept-proxy
    bind 127.0.0.1:{ports["tls"]} accept-proxy ssl crt {folder}/both.pem
    bind [::1]:{ports["ipv6"]} accept-proxy
    option forwardfor
    http-request set-header X-Source-Port %[src_port]
    default_backend out
backend out
    server one 127.0.0.1:{backend}
""")
    with closing_command([installed("haproxy"), "-db", "-f", str(config)]):
        eventually(lambda: listens(ports["plain"]), "haproxy listens")
        yield ports


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("kind", ["plain", "tls", "ipv6"])
def test_a_balancer_learns_an_address_of_each_users_own(tmp_path, version, kind):
    scheme, host = ("wss" if kind == "tls" else "ws"), ("[::1]" if kind == "ipv6" else "127.0.0.1")
    plan = tmp_path / "plan.toml"
    plan.write_text("hold = 1\nrate = 50\n[transport]\ntls_verify = false\n")
    with remembering() as (backend, named), haproxy(tmp_path / "balancer", backend) as ports:
        url = f"{scheme}://{host}:{ports[kind]}/"
        options = ("--plan", str(plan), "--proxy-protocol", version)
        summary, _ = loaded(tmp_path, url, *options)

    assert (summary["opened"], summary["failed"]) == (COUNT, {})
    assert sorted(named) == sorted(source_of(n, ipv6=kind == "ipv6") for n in range(COUNT))


def test_the_protocol_is_spoken_with_the_balancer_not_with_a_proxy_on_the_way(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text("hold = 1\nrate = 50\n[transport]\ntls_verify = false\nproxy_protocol = 2\n")
    with (
        remembering() as (backend, named),
        haproxy(tmp_path / "balancer", backend) as ports,
        tinyproxy(tmp_path / "proxy") as port,
    ):
        options = ("--plan", str(plan), "--proxy", f"http://127.0.0.1:{port}")
        summary, _ = loaded(tmp_path, f"wss://127.0.0.1:{ports['tls']}/", *options)

    assert (summary["opened"], summary["failed"]) == (COUNT, {})
    assert sorted(named) == sorted(source_of(n, ipv6=False) for n in range(COUNT))
