"""CPU of a worker for a message that it receives, beside three libraries.

A lone message is read by itself; sixteen coalesced ones come in one read. They are events of 150
bytes, as Appwrite sends them. Each client is a process of its own; its sender is this process.
"""

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import monotonic, sleep

from loadgen.net.handshake import accept_of
from loadgen.plan.plan import Plan
from loadgen.wire import Sources
from tests.bench.goal import Goal
from tests.bench.job import cpu_seconds, seconds_of, working
from tests.bench.receivers import OPENERS

CONNECTIONS = 200
ROUNDS = 3
LONE = 100
"""Messages of each connection, one every LONE_EVERY seconds."""
LONE_EVERY = 0.04
COALESCED = 25
"""Packets of each connection, one every COALESCED_EVERY seconds."""
COALESCED_EVERY = 0.2
TOGETHER = 16
"""Messages in such a packet."""
QUIET = 1.0
"""Seconds after the last message until a client has read it."""
TEXT = (
    b'{"type":"event","data":{"events":[],"channels":["files"],"timestamp":'
    b'"2026-11-28T18:00:00.000+00:00","payload":"0123456789abcdef0123456789ab"}}'
)
FRAME = b"\x81\x7e" + len(TEXT).to_bytes(2, "big") + TEXT
SENT = CONNECTIONS * (LONE + COALESCED * TOGETHER)


def run() -> list[Goal]:
    """Returns medians of three rounds, in which every client runs once."""
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in (*OPENERS, "worker")}
    for _ in range(ROUNDS):
        for name, figures in rounds.items():
            figures.append(_worker() if name == "worker" else _library(name))
    lone = {name: median(one for one, _ in figures) for name, figures in rounds.items()}
    coalesced = {name: median(one for _, one in figures) for name, figures in rounds.items()}
    return [
        *(Goal(f"{name}: a lone message", took, "µs") for name, took in lone.items()),
        *(Goal(f"{name}: a coalesced message", took, "µs") for name, took in coalesced.items()),
        Goal("lone ÷ websockets", lone["worker"] / lone["websockets"], "×", 0.5),
        Goal("coalesced ÷ websockets", coalesced["worker"] / coalesced["websockets"], "×", 0.4),
        Goal("lone ÷ picows", lone["worker"] / lone["picows"], "×", 1.2),
    ]


def _library(name: str) -> tuple[float, float]:
    with socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS) as listener:
        port = listener.getsockname()[1]
        words = [sys.executable, "-m", "tests.bench.receivers", name, str(CONNECTIONS), str(port)]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            sockets = [_upgraded(listener) for _ in range(CONNECTIONS)]
            assert process.stdout is not None
            assert process.stdin is not None
            process.stdout.readline()
            figures = _measured(sockets, lambda: cpu_seconds(process.pid))
            process.stdin.close()
            assert int(process.stdout.readline()) == SENT
            return figures


def _worker() -> tuple[float, float]:
    plan = Plan(rate=CONNECTIONS * 10, max=CONNECTIONS, ping="none", hold=600)
    with (
        socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS) as listener,
        working(listener.getsockname()[1], plan, [Sources(("127.0.2.6",), 20_000, 60_000)]) as (
            process,
        ),
    ):
        begin = monotonic()
        sockets = [_upgraded(listener) for _ in range(CONNECTIONS)]
        figures = _measured(sockets, lambda: cpu_seconds(process.pid))
        seconds = seconds_of(process, int(monotonic() - begin))
        assert sum(second.tally.messages_received for second in seconds) == SENT
        return figures


def _upgraded(listener: socket.socket) -> socket.socket:
    """Returns the server's end of the next connection, upgraded."""
    sock, _ = listener.accept()
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(4096)
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", head, re.IGNORECASE)
    assert key
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_of(key[1])
    )
    return sock


def _measured(sockets: list[socket.socket], cpu: Callable[[], float]) -> tuple[float, float]:
    """Sends all messages; returns a client's CPU for a lone and a coalesced one.

    In microseconds.
    """
    sleep(QUIET)
    before = cpu()
    _send(sockets, FRAME, LONE, LONE_EVERY)
    between = cpu()
    _send(sockets, FRAME * TOGETHER, COALESCED, COALESCED_EVERY)
    after = cpu()
    return (
        (between - before) / (CONNECTIONS * LONE) * 1e6,
        (after - between) / (CONNECTIONS * COALESCED * TOGETHER) * 1e6,
    )


def _send(sockets: list[socket.socket], data: bytes, count: int, every: float) -> None:
    due = monotonic()
    for _ in range(count):
        for sock in sockets:
            sock.sendall(data)
        due += every
        sleep(max(0.0, due - monotonic()))
    sleep(QUIET)
