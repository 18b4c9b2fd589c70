"""Whole runs against servers that do not take, answer or stop what they should."""

import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme

from loadgen.net.handshake import accept_of
from loadgen.net.transport import HIGH_WATER
from tests.processes import coordinator, eventually

FLOOD = """
async def session(user):
    ws = await user.connect()
    while True:
        await ws.send("x" * 65_536)
        user.count("sent")
"""
POLITE = """
async def session(user):
    ws = await user.connect()
    if user.number:
        await ws.close()
    else:
        await user.think(600)
"""
HANGING = """
async def session(user):
    ws = await user.connect()
    while True:
        pass
"""
ONLY_SENDS = """
async def session(user):
    ws = await user.connect()
    if user.number == 0:
        while True:
            await ws.send("x")
    for _ in range(20):
        await ws.ping(timeout=30)
    user.count("answered")
    await ws.close()
"""


class RawServer:
    """Upgrades every connection, and then does only what it is asked to."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        self.url = f"{'wss' if context else 'ws'}://127.0.0.1:{listener.getsockname()[1]}/"
        self.connections: list[socket.socket] = []
        self._listener = listener
        self._context = context
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:  # it is closed: the test is over
                return
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(4096)
            lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
            sock.sendall(
                b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept_of(lines[b"Sec-WebSocket-Key"]) + b"\r\n\r\n"
            )
            self.connections.append(sock)


@contextmanager
def raw_server(*, tls: bool = False) -> Iterator[RawServer]:
    """A server that reads nothing of an open connection."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = RawServer(listener, context)
        try:
            yield server
        finally:
            for sock in server.connections:
                sock.close()


def plan_of(folder, url: str, session: str, users: int) -> str:
    """Returns the file of a plan whose users have this session."""
    (folder / "mine.py").write_text(session)
    plan = folder / "plan.toml"
    plan.write_text(
        f'target = "{url}"\nrate = 500.0\nmax = {users}\nhold = 600.0\n'
        "[transport]\ntls_verify = false\n"
        '[[sessions]]\nkind = "python"\nname = "mine"\nfile = "mine.py"\n'
    )
    return str(plan)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_session_waits_for_a_server_that_reads_nothing(tmp_path, tls):
    with (
        raw_server(tls=tls) as server,
        coordinator(
            tmp_path / "runs", "--plan", plan_of(tmp_path, server.url, FLOOD, 3), "--local", "1"
        ) as coord,
    ):
        sent = []

        def settled() -> bool:
            sent.append(coord.state()["counters"].get("sent", 0))
            return len(sent) > 200 and sent[-1] > 0 and len({*sent[-200:]}) == 1

        eventually(settled, lambda: f"nothing more is sent: {sent}")
        coord.send(signal.SIGTERM)  # drains the run
        assert coord.end(60.0) == 130
        summary = coord.summary()
    assert summary["closed"] == {"drained": 3}
    assert summary["drained_unanswered"] == 3
    assert summary["lost"] == 0
    # Each waits in its last send: the kernel has what is before it, but for the high-water mark.
    assert 3 <= summary["messages_unsent"] <= 3 * (2 + HIGH_WATER // 65_536)
    assert summary["messages_sent"] <= summary["bytes_sent"] // 65_536


def test_a_close_that_no_server_answers_is_unclean_and_a_drained_one_is_counted(tmp_path):
    with (
        raw_server() as server,
        coordinator(
            tmp_path / "runs", "--plan", plan_of(tmp_path, server.url, POLITE, 4), "--local", "1"
        ) as coord,
    ):
        eventually(lambda: coord.state()["ledger"]["closed"] == {"unclean_close": 3}, "3 closed")
        coord.send(signal.SIGTERM)
        assert coord.end(60.0) == 130
        summary = coord.summary()
        assert "3 given up by loadgen for the server's fault (unclean_close)" in coord.out
    assert summary["closed"] == {"drained": 1, "unclean_close": 3}
    assert (summary["drained_unanswered"], summary["unexpected"]) == (4, 3)


def test_a_session_that_only_sends_lets_the_others_of_its_worker_live(tmp_path):
    plan = tmp_path / "only.py"
    plan.write_text(ONLY_SENDS)
    load = ("--with-target", "--max", "5", "--hold", "600", "--local", "1", "--session", str(plan))
    with coordinator(tmp_path / "runs", *load) as coord:
        eventually(lambda: coord.state()["counters"].get("answered") == 4, "4 had their pongs")
        coord.send(signal.SIGTERM)
        assert coord.end(60.0) == 130
        summary = coord.summary()
    assert summary["lost"] == 0
    assert summary["closed"] == {"done": 4, "drained": 1}


def test_a_session_that_hangs_its_worker_is_named_in_log_and_sample(tmp_path):
    with (
        raw_server() as server,
        coordinator(
            tmp_path / "runs", "--plan", plan_of(tmp_path, server.url, HANGING, 1), "--local", "1"
        ) as coord,
    ):
        coord.says("running: hold")
        log = coord.folder / "agents" / "local-1.log"
        named = "worker 0 reported nothing for 10 s in session mine of user 0 (mine.py:"
        eventually(lambda: log.exists() and named in log.read_text(), "the session is named")
        coord.send(signal.SIGTERM)
        coord.send(signal.SIGTERM)
        coord.end(60.0)
        sample = coord.folder / "errors" / "hung_worker.txt"
        assert 'mine.py", line ' in sample.read_text()
