"""The pongs of connections beside one whose server floods it with empty frames.

`python -m tests.bench.fairness KIND` is that server: it prints its port, answers pings, and floods
its first connection with `texts` or `pings` after a while, or with nothing (`none`).
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from time import sleep

import uvloop

from loadgen.net.handshake import accept_of
from loadgen.plan.plan import Plan
from loadgen.stats.histogram import Histogram
from loadgen.wire import Sources
from tests.bench.goal import Goal
from tests.bench.job import seconds_of, working

USERS = 201
THINK = 0.5
QUIET = 3.0
"""Seconds from the first connection to the flood: all are open and ping by then."""
LAST_SECOND = 8
FLOODS = {"none": b"", "texts": b"\x81\x00", "pings": b"\x89\x00"}


def run() -> list[Goal]:
    """Returns the p99 of pings beside a flood, as a multiple of that without one."""
    p99 = {kind: ping_p99(kind) for kind in FLOODS}
    return [
        Goal("ping p99 of 200 connections", p99["none"], "ms"),
        *(
            Goal(
                f"the same beside a flood of empty {kind} ÷ without",
                p99[kind] / p99["none"],
                "×",
                15,
            )
            for kind in ("texts", "pings")
        ),
    ]


def ping_p99(kind: str) -> float:
    """Returns the p99 of a worker's pings in milliseconds, from the flood on."""
    plan = Plan(rate=400.0, max=USERS, think=THINK, hold=60.0)
    rtts = Histogram()
    sources = [Sources(("127.0.2.4",), 20_000, 30_000)]
    with server(kind) as port, working(port, plan, sources) as (process,):
        for second in seconds_of(process, LAST_SECOND):
            if second.number > QUIET:
                rtts.merge(second.tally.ping_rtt)
    return rtts.summary()["p99"]


@contextmanager
def server(kind: str) -> Iterator[int]:
    """Starts a server that floods its first connection; yields its port."""
    command = [sys.executable, "-m", "tests.bench.fairness", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


class FloodingServer(asyncio.Protocol):
    """The server's end of one connection."""

    flood = b""
    flooded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.upgraded = False
        self.mine = not FloodingServer.flooded
        FloodingServer.flooded = True

    def data_received(self, data: bytes) -> None:
        if not self.upgraded:
            self.upgraded = True
            key = data.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
            self.transport.write(
                b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept_of(key) + b"\r\n\r\n"
            )
            if self.mine and self.flood:
                sock = self.transport.get_extra_info("socket")
                Thread(target=self._flood, args=(os.dup(sock.fileno()),), daemon=True).start()
        elif not self.mine and data[0] == 0x89:  # a ping of four bytes, masked
            mask, payload = data[2:6], data[6:10]
            self.transport.write(b"\x8a\x04" + bytes(map(int.__xor__, mask, payload)))

    def _flood(self, fd: int) -> None:
        sleep(QUIET)
        with socket.socket(fileno=fd) as sock:
            sock.setblocking(True)
            with suppress(OSError):  # the worker is gone
                while True:
                    sock.sendall(self.flood)


async def serve(kind: str) -> None:
    """Serves for ever; prints the port."""
    FloodingServer.flood = FLOODS[kind] * 16_384
    serving = await asyncio.get_running_loop().create_server(FloodingServer, "127.0.0.1", 0)
    print(serving.sockets[0].getsockname()[1], flush=True)
    await serving.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
