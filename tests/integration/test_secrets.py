"""No secret of a plan, or of a reply, stands in any output.

Each of them is a text of its own, so that a leak names the field that it comes from.
"""

import asyncio
import gzip
import io
import json
import shutil
import signal
import tarfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from coordinator.cli.report import FORMATS
from coordinator.report.export import comparison_report
from coordinator.storage.reader import read_run
from tests.integration.secret_plan import Secrets, plan_with
from tests.processes import PATIENCE, Coordinator, children, coordinator, eventually, run

OWNERS = ("plan.toml", "feeders", "journal.ndjson")
"""What of a run directory may have secrets: its owner alone may read it, and nothing serves it."""


RUNTIME = ("header", "location", "cookie")
"""What replies hand out besides their body."""


@contextmanager
def tunnel() -> Iterator[int]:
    """Runs a proxy of HTTP; yields its port."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, url = head.decode().split()[:2]
        to = url if method == "CONNECT" else urlsplit(url).netloc
        host, _, port = to.rpartition(":")
        there, out = await asyncio.open_connection(host, int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            out.write(head)
        await asyncio.gather(pipe(reader, out), pipe(there, writer))

    async def serve(up: threading.Event, ports: list[int]) -> None:
        async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
            ports.append(server.sockets[0].getsockname()[1])
            up.set()
            await asyncio.get_running_loop().create_future()

    with in_a_thread(serve) as port:
        yield port


@contextmanager
def in_a_thread(serve) -> Iterator[int]:
    """Runs a server, which says its port, on a loop of its own."""
    up, ports, loop = threading.Event(), [], asyncio.new_event_loop()
    task = loop.create_task(serve(up, ports))

    def work() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            loop.run_until_complete(loop.shutdown_asyncgens())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert up.wait(PATIENCE)
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loop.close()


class Server:
    """A server that hands out secrets in replies, headers, cookies and messages."""

    def __init__(self, secret: Secrets) -> None:
        self._secret = secret
        self.exported = b""
        """The lines of --export that came."""
        self.asked: set[str] = set()
        """The paths that were asked for."""

    async def http(self, request: web.Request) -> web.StreamResponse:
        """Answers a request by its path."""
        self.asked.add(request.path)
        secret = self._secret
        if request.path == "/write":
            self.exported += await request.read()
            return web.Response(status=204)
        if request.path == "/ws":
            return await self._talk(request)
        status = {"/login": 200, "/denied": 401, "/publish": 500}.get(request.path, 403)
        at = request.path[1:]
        body = json.dumps({"token": secret(f"{at}.body"), "admin": False})
        reply = web.Response(status=status, text=body, content_type="application/json")
        reply.headers["X-Auth-Token"] = secret(f"{at}.header")
        reply.headers["Location"] = f"/elsewhere?token={secret(f'{at}.location')}"
        reply.set_cookie("sid", secret(f"{at}.cookie"))
        return reply

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        ws.set_cookie("sid", self._secret("ws.cookie"))
        await ws.prepare(request)
        await ws.send_str("hello")
        async for _ in ws:
            await ws.send_json({"token": self._secret("ws.message"), "more": "x" * 50})
        return ws

    async def serve(self, up: threading.Event, ports: list[int]) -> None:
        """Serves on a free port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.http)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports.append(runner.addresses[0][1])
        up.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await runner.cleanup()


def family(pid: int) -> Iterator[int]:
    """Yields the processes below one."""
    for child in children(pid):
        yield child
        yield from family(child)


def fetch(url: str, token: str) -> bytes:
    """Returns the beginning of a reply's body."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), None, 30) as reply:
        return b"".join(reply.read1() for _ in range(2)) if "events" in url else reply.read()


def served(coord: Coordinator, token: str) -> Iterator[tuple[str, bytes]]:
    """Yields all that the port of a running coordinator serves."""
    for path in (
        "/", "/v1/run", "/v1/run/seconds?since=0", "/events", "/metrics", "/v1/sd", "/runs",
        "/healthz", "/openapi.json", "/es/ts_api:status",
    ):  # fmt: skip
        for who in ("", token):
            yield (
                f"{path} {'with the token' if who else 'for everybody'}",
                fetch(coord.url + path, who),
            )
    run_name = coord.folder.name
    for file in sorted((coord.folder / "errors").iterdir()):
        path = f"/runs/{run_name}/errors/{file.name}"
        yield path, fetch(coord.url + path, token)
    yield "the archive", archived(coord, token)


def archived(coord: Coordinator, token: str) -> bytes:
    """Returns the archive of the run as a plain tar."""
    packed = fetch(f"{coord.url}/runs/{coord.folder.name}.tar.gz", token)
    return gzip.decompress(packed)


def shown_of(folder: Path, where: str) -> Iterator[tuple[str, bytes]]:
    """Yields all that loadgen-report shows of a run directory."""
    record = read_run(folder)
    texts = {form: render(record) for form, render in FORMATS.items()}
    texts["comparison"] = comparison_report([record, record], 5.0, "text")
    for form, text in texts.items():
        yield f"{form} of {where}", text if isinstance(text, bytes) else text.encode()


def test_no_secret_stands_in_any_output(tmp_path):
    secret = Secrets()
    server = Server(secret)
    outputs: dict[str, bytes] = {}
    token = tmp_path / "token"
    token.write_text("a-token-of-the-fleet-0123456789\n")
    token.chmod(0o600)
    with in_a_thread(server.serve) as port, tunnel() as proxy:
        plan = plan_with(secret, tmp_path, port, proxy)
        at = f"127.0.0.1:{port}"
        options = (
            *("--local", "1", "--plan", str(plan), "--token-file", str(token), "--public-view"),
            *("--watch", f"db=http://me:{secret('watch.user')}@{at}/no?token={secret('watch')}"),
            *("--export", f"http://:{secret('export.user')}@{at}/write?p={secret('export')}"),
            *("--json", "--tsung-log", "json"),
        )
        with coordinator(tmp_path / "runs", *options) as coord:
            coord.says("agents join at")  # now it has a run directory
            samples = {"http_403", "http_replies.401", "check.admin", "check.more"}
            samples |= {"error_ValueError"}
            eventually(
                lambda: (
                    samples <= {path.stem for path in coord.folder.glob("errors/*")}
                    and "a publication could not be sent" in coord.err
                ),
                lambda: f"samples: {[*coord.folder.glob('errors/*')]} {coord.out} {coord.err}",
            )
            eventually(lambda: server.exported, "an export")
            for process in family(coord.pid):
                outputs[f"ps of {process}"] = Path(f"/proc/{process}/cmdline").read_bytes()
            outputs |= served(coord, token.read_text().strip())
            for name in ("plan.toml", "journal.ndjson", "feeders/logins.jsonl"):
                assert (coord.folder / name).stat().st_mode & 0o077 == 0, name
                assert f"/{name}".encode() not in outputs["the archive"] or name == "plan.toml"
            coord.send(signal.SIGINT)
            assert coord.end() == 130, coord.out + coord.err
            folder = coord.folder
            outputs["stdout"], outputs["stderr"] = coord.out.encode(), coord.err.encode()
            assert b"can't be scraped" in outputs["stderr"]
            assert b"a publication could not be sent" in outputs["stderr"]
        outputs["--export"] = server.exported
        dry = run("loadgen-coord", "--plan", str(plan), "--dry-run", "--local", "1")
        assert dry.returncode == 0, dry.stderr
        outputs["--dry-run"] = (dry.stdout + dry.stderr).encode()
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        if path.is_file() and inside.parts[0] not in OWNERS:
            outputs[str(inside)] = path.read_bytes()
    outputs |= shown_of(folder, "the run")
    with tarfile.open(fileobj=io.BytesIO(outputs["the archive"])) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    shutil.copy(folder / "summary.json", tmp_path / "unpacked" / folder.name)
    outputs |= shown_of(tmp_path / "unpacked" / folder.name, "the archive")

    leaks = {name: secret.found_in(data) for name, data in outputs.items()}
    assert {name: found for name, found in leaks.items() if found} == {}
    assert len(secret.found_in((folder / "plan.toml").read_bytes())) > 25
    assert b"agents/local-1.log" in outputs["the archive"]
    assert b"steps" in outputs["/v1/run for everybody"]


def test_a_trace_shows_payloads_and_no_secret_of_urls_and_headers(tmp_path):
    secret = Secrets()
    server = Server(secret)
    with in_a_thread(server.serve) as port, tunnel() as proxy:
        plan = plan_with(secret, tmp_path, port, proxy)
        lines = plan.read_text().split("[[sessions]]")
        plan.write_text("[[sessions]]".join([lines[0], lines[2]]))  # the script alone
        done = run("loadgen-coord", "--plan", str(plan), "--trace")

    text = (done.stdout + done.stderr).encode()
    found = {*secret.found_in(text)}
    assert {"send.text", "http.json"} <= found, done.stdout + done.stderr
    named = {"header", "http.url", "connect.path", "subprotocol", "connect.subprotocol"}
    named |= {f"{at}.{what}" for at in ("login", "denied", "refused") for what in RUNTIME}
    named |= {"targets.0", "targets.1", "auth.user", "auth.password", "ws.cookie"}
    named |= {"proxy.user", "proxy.password"}
    named.remove("login.cookie")  # the plan sends it on in a header with a name of its own
    assert found & named == set(), done.stdout
