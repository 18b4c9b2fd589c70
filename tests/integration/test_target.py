"""loadgen-target from outside: real processes on real sockets."""

import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from loadgen.net.frames import PING, TEXT, frame
from tests.processes import PATIENCE, eventually, get_json, process, run

start = partial(process, "loadgen-target")
RESOURCE = "/v1/realtime?project=console&channels[]=files"


class Target:
    """A running loadgen-target."""

    def __init__(self, process: subprocess.Popen[str], line: str) -> None:
        self.process = process
        self.line = line
        self.port = int(line.partition("/v1/")[0].rpartition(":")[2])

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        pid = self.process.pid
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]

    def url(self, resource: str = RESOURCE) -> str:
        return f"ws://127.0.0.1:{self.port}{resource}"

    def connect(self, resource: str = RESOURCE) -> ClientConnection:
        return connect(
            self.url(resource), ping_interval=None, open_timeout=PATIENCE, close_timeout=PATIENCE
        )

    def stats(self) -> dict[str, int]:
        return get_json(f"http://127.0.0.1:{self.port}/stats")

    def publish(self, **body) -> dict[str, int]:
        url = f"http://127.0.0.1:{self.port}/publish"
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=PATIENCE) as reply:
            return json.load(reply)

    def until(self, **expected: int) -> None:
        """Waits until GET /stats has these values."""
        eventually(lambda: expected.items() <= self.stats().items(), f"stats of {expected}")

    @contextmanager
    def dial(self, data: bytes = b"") -> Iterator[socket.socket]:
        """Opens a raw connection and sends a request and the given bytes on it."""
        request = (
            f"GET {RESOURCE} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as line:
            line.sendall(request.encode() + data)
            yield line


def take(line: socket.socket, size: int) -> bytes:
    """Receives exactly this number of bytes."""
    data = b""
    while len(data) < size:
        more = line.recv(size - len(data))
        assert more, data
        data += more
    return data


def head(line: socket.socket) -> bytes:
    """Receives an HTTP head byte by byte.

    The bytes after it stay in the socket.
    """
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += take(line, 1)
    return data


def readable(line: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        return bool(selector.select(0))


def is_gone(pid: int) -> bool:
    """Returns whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@contextmanager
def started(*options: str) -> Iterator[Target]:
    """Starts a target and waits until it accepts."""
    with start("--listen", "127.0.0.1:0", *options) as running:
        yield Target(running, running.stdout.readline())


@contextmanager
def running(*options: str) -> Iterator[Target]:
    """Starts a target, which must end with exit code 0 and without output on SIGTERM."""
    with started(*options) as target:
        yield target
        target.process.terminate()
        out, err = target.process.communicate(timeout=PATIENCE)
        assert (target.process.returncode, out, err) == (0, "", "")


def test_prints_where_it_listens_and_ends_on_sigterm():
    with running("--workers", "3", "--limit", "7", "--mode", "appwrite") as target:
        workers = target.workers()
        expected = f"ws://127.0.0.1:{target.port}/v1/realtime (3 workers, limit 7, mode appwrite)"

        assert target.line == f"loadgen-target: listening on {expected}\n"
        assert target.port > 0
        assert len(workers) == 3
    assert all(map(is_gone, workers))


def test_by_default_a_worker_per_core_or_more():
    with running("--limit", "1") as target:
        assert target.stats()["workers"] == len(target.workers()) == len(os.sched_getaffinity(0))


def test_ends_on_a_ctrl_c_with_connections_open():
    """A terminal's Ctrl-C goes to the workers as well."""
    with started("--workers", "2") as target, target.connect() as client:
        everyone = [target.process.pid, *target.workers()]
        for pid in everyone[1:]:
            os.kill(pid, signal.SIGINT)
        assert client.ping().wait(PATIENCE)
        os.kill(everyone[0], signal.SIGINT)

        assert target.process.wait(PATIENCE) == 0
        assert target.process.stderr.read() == warning(2)
        assert all(map(is_gone, everyone))
        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE)


def warning(workers: int) -> str:
    """Returns the warning of a target with too few descriptors; or "".

    The workers of the target have too few for the default limit. "" is for a machine where they
    have enough.
    """
    descriptors = int(
        subprocess.check_output(["/bin/sh", "-c", "ulimit -Hn"], text=True).replace(
            "unlimited", "999999999"
        )
    )
    if workers * 0.95 * descriptors >= 1_000_000:
        return ""
    return (
        f"loadgen-target: --workers {workers} at {descriptors} descriptors each can hold about "
        f"{int(workers * 0.95 * descriptors)} connections, fewer than the limit of 1000000\n"
    )


def test_workers_do_not_outlive_a_killed_parent():
    with started("--workers", "3", "--limit", "9") as target:
        workers = target.workers()
        with target.connect():
            target.process.kill()

            eventually(lambda: all(map(is_gone, workers)), "no worker is left")


def test_a_dead_worker_ends_the_target():
    with started("--workers", "3", "--limit", "9") as target:
        workers = target.workers()
        os.kill(workers[1], signal.SIGKILL)

        assert target.process.wait(PATIENCE) == 1
        assert all(map(is_gone, workers))
        said = target.process.stderr.read()
        assert said.startswith(f"loadgen-target: worker 1 (pid {workers[1]}) was killed by SIGKILL")
        assert said.count("\n") == 1


def test_a_busy_port_is_refused():
    with running("--limit", "1") as target:
        done = run("loadgen-target", "--listen", f"127.0.0.1:{target.port}")

        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(
            f"loadgen-target: can't listen on 127.0.0.1:{target.port}: it is in use"
        )
        assert done.stderr.count("\n") == 1
        assert target.stats()["open"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--vice", "sloth"], "the legal ones are refuse, slow-accept"),
        (["--vice", "reset=soon"], "not a duration"),
        (["--mode", "chat"], "chat"),
        (["--workers", "0"], "workers"),
        (["--limit", "-1"], "limit"),
        (["--listen", "9505"], "HOST:PORT"),
    ],
)
def test_a_mistake_is_one_line(options, said):
    done = run("loadgen-target", *options)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("loadgen-target: ")
    assert said in done.stderr


def test_runs_as_a_module():
    words = [sys.executable, "-m", "loadgen.cli.target", "--version"]
    assert "loadgen-target" in subprocess.check_output(words, text=True, timeout=PATIENCE)


def test_echo_and_the_counters_add_up():
    with running("--workers", "2", "--limit", "100") as target, ExitStack() as stack:
        clients = [stack.enter_context(target.connect()) for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(f"number {number}")
            client.send([b"in ", b"frag", b"ments"])
            assert client.ping().wait(PATIENCE)
        for number, client in enumerate(clients):
            assert client.recv(PATIENCE) == f"number {number}"
            assert client.recv(PATIENCE) == b"in fragments"
        for client in clients[:5]:
            client.close(3000)

        target.until(closed=5)
        assert target.stats() == {
            "open": 15,
            "opened": 20,
            "closed": 5,
            "pings": 20,
            "pinged": 20,
            "messages": 40,
            "refused": 0,
            "messages_received": 40,
            "messages_sent": 40,
            "workers": 2,
            "limit": 100,
            "mode": "echo",
        }
        assert {client.close_code for client in clients[:5]} == {3000}


def test_a_message_too_long():
    with running("--limit", "9") as target, target.connect() as client:
        client.send(b"x" * 64_000)
        assert len(client.recv(PATIENCE)) == 64_000
        client.send(b"x" * 64_001)
        with pytest.raises(ConnectionClosed, match="1009"):
            client.recv(PATIENCE)


def test_appwrite():
    with running("--mode", "appwrite", "--limit", "9") as target:
        with target.connect() as client:
            assert (
                client.recv(PATIENCE)
                == '{"type":"connected","data":{"channels":["files"],"user":null}}'
            )
            client.send('{"type":"ping"}')
            assert client.recv(PATIENCE) == '{"type":"pong"}'
            client.send("{")
            assert json.loads(client.recv(PATIENCE))["data"]["code"] == 1003
        with target.connect("/v1/realtime?channels%5B%5D=files") as client:
            assert (
                json.loads(client.recv(PATIENCE))["data"]["message"]
                == "Missing or unknown project ID"
            )
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE)
        target.until(opened=2, closed=2, pings=1, messages=4)


def test_the_limit_is_exact_over_all_workers():
    with running("--workers", "3", "--limit", "20") as target, ExitStack() as stack:
        opened, refused = gather(stack.enter_context(target.dial()) for _ in range(60))
        assert (len(opened), len(refused)) == (20, 40)
        target.until(open=20, opened=20, refused=40)

        for line in opened[:6]:
            line.close()
        target.until(open=14, closed=6)

        opened, refused = gather(stack.enter_context(target.dial()) for _ in range(30))
        assert (len(opened), len(refused)) == (6, 24)
        target.until(open=20, opened=26, closed=6, refused=64)


def gather(lines: Iterator[socket.socket]) -> tuple[list[socket.socket], list[socket.socket]]:
    """Returns the connections that were accepted and those that were refused.

    All are dialed before any answer is read.
    """
    opened, refused = [], []
    for line in list(lines):
        status = head(line).split(b" ")[1]
        {b"101": opened, b"503": refused}[status].append(line)
    return opened, refused


def test_publish_reaches_the_subscribers_of_all_workers():
    with running("--workers", "3", "--limit", "100") as target, ExitStack() as stack:
        both = "/v1/realtime?channels[]=files&channels[]=teams"
        subscribers = [stack.enter_context(target.connect(both)) for _ in range(30)]
        others = [
            stack.enter_context(target.connect("/v1/realtime?channels[]=other")) for _ in range(6)
        ]
        for turn in range(3):  # whichever worker takes the request
            answer = target.publish(
                channels=["teams", "files"], payload={"turn": turn}, events=["files.create"]
            )
            assert answer == {"subscribers": 30}

        for client in subscribers:
            events = [json.loads(client.recv(PATIENCE)) for _ in range(3)]
            assert [event["data"].pop("timestamp")[-6:] for event in events] == ["+00:00"] * 3
            assert events == [
                {
                    "type": "event",
                    "data": {
                        "events": ["files.create"],
                        "channels": ["teams", "files"],
                        "payload": {"turn": turn},
                    },
                }
                for turn in range(3)
            ]
        for client in [*subscribers, *others]:
            client.send("nothing came before this")
            assert client.recv(PATIENCE) == "nothing came before this"
        assert target.publish(channels=["nobody"]) == {"subscribers": 0}
        target.until(messages=90 + 36)


def test_fault_refuse():
    with running("--limit", "9", "--vice", "refuse") as target:
        with pytest.raises(InvalidStatus, match="503"):
            target.connect()
        target.until(opened=0, refused=1)


def test_fault_wrong_key():
    with running("--limit", "9", "--vice", "wrong-key") as target:
        with pytest.raises(InvalidHandshake, match="Accept"):
            target.connect()
        target.until(opened=0, refused=1)


def test_fault_slow_accept():
    with (
        running("--workers", "1", "--limit", "9", "--vice", "slow-accept=1h") as target,
        target.dial() as line,
    ):
        assert target.stats()["opened"] == 0
        assert not readable(line)
    with running("--limit", "9", "--vice", "slow-accept=0.05") as target, target.connect():
        target.until(open=1)


def test_fault_stall():
    with (
        running("--workers", "1", "--limit", "9", "--vice", "stall") as target,
        target.dial() as line,
    ):
        stats = target.stats()  # one worker takes things in turn: it has seen the request by now

        assert (stats["opened"], stats["refused"]) == (0, 0)
        assert not readable(line)


def test_fault_no_pong():
    pings = frame(PING, b"", 1) + frame(PING, b"abc", 2) + frame(TEXT, b'{"type":"ping"}', 3)
    with (
        running("--mode", "appwrite", "--vice", "no-pong", "--limit", "9") as target,
        target.dial() as line,
    ):
        head(line)
        greeting = b'{"type":"connected","data":{"channels":["files"],"user":null}}'
        assert take(line, 2 + len(greeting))[2:] == greeting
        line.sendall(pings)
        target.until(pings=3)

        assert not readable(line)


def test_fault_split_frames():
    """The kernel counts one segment for each byte (struct tcp_info, linux/tcp.h)."""
    with (
        running("--mode", "appwrite", "--vice", "split-frames", "--limit", "9") as target,
        target.dial() as line,
    ):
        size = len(head(line)) + 64
        assert take(line, 64).endswith(b'"user":null}}')
        info = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
        received, segments = (
            struct.unpack_from("=Q", info, 128)[0],
            struct.unpack_from("=I", info, 152)[0],
        )

        assert received == segments == size


def test_fault_reset():
    with running("--limit", "9", "--vice", "reset=50ms") as target, target.dial() as line:
        head(line)
        with pytest.raises(ConnectionResetError):
            line.recv(1)
        target.until(opened=1, closed=1)


def test_fault_close():
    with running("--limit", "9", "--vice", "close=50ms") as target, target.connect() as client:
        with pytest.raises(ConnectionClosed, match="1001"):
            client.recv(PATIENCE)
        target.until(opened=1, closed=1)
