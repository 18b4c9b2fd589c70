"""The clients that loadgen is compared with.

`python -m tests.bench.yardsticks MODE CONNECTIONS RATE THINK SECONDS PORT`

MODE `websockets` is the library's asyncio client under uvloop. MODE `lean` is the least that a
client in Python can do: a slotted protocol without ledger, histograms and session. It prints one
JSON object: CPU microseconds per open and per ping (user + system, this process), KiB of resident
memory per connection.
"""

import asyncio
import gc
import json
import os
import random
import socket
import sys
from collections.abc import Awaitable, Callable
from time import perf_counter, process_time
from typing import ClassVar

import uvloop
from websockets.asyncio.client import connect

from loadgen.net.handshake import Handshake, accept_of, key_of
from loadgen.worker.main import ResidentMemory

RESOURCE = "/v1/realtime?project=console&channels[]=files"
STEP = 0.001
"""Seconds between two looks at what is due: a worker launches and pings to the millisecond."""
PINGS = [b"\x89\x80" + random.getrandbits(32).to_bytes(4, "big") for _ in range(1024)]


class Lean(asyncio.Protocol):
    """A connection that checks only its accept key."""

    __slots__ = ("accept", "opened", "sent", "write")
    handshake: Handshake
    round_trips: ClassVar[list[float]] = []

    def __init__(self, opened: list[Callable[[], None]]) -> None:
        self.opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = transport.write  # type: ignore[attr-defined]
        key = key_of(random.getrandbits(128))
        self.accept: bytes | None = accept_of(key)
        self.write(self.handshake.request(key))

    def data_received(self, data: bytes) -> None:
        if self.accept is None:
            if data[0] == 0x8A:
                self.round_trips.append(perf_counter() - self.sent)
            return
        assert self.accept in data
        self.accept = None
        self.opened.append(self.ping)

    def ping(self) -> None:
        self.sent = perf_counter()
        self.write(PINGS[random.getrandbits(10)])

    def connection_lost(self, exc: Exception | None) -> None:
        self.write = None


async def dial_lean(number: int, port: int, opened: list[Callable[[], None]]) -> None:
    """Opens a connection from the source port 20,000 + `number`."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.2.1", 20_000 + number))
    sock.connect_ex(("127.0.0.1", port))
    await asyncio.get_running_loop().create_connection(lambda: Lean(opened), sock=sock)


async def dial_library(number: int, port: int, opened: list[Callable[[], None]]) -> None:
    """Opens a connection of the library's with its leanest settings."""
    url = f"ws://127.0.0.1:{port}{RESOURCE}"
    client = await connect(url, compression=None, ping_interval=None, max_queue=None)

    async def ping() -> None:
        begin = perf_counter()
        await (await client.ping())
        Lean.round_trips.append(perf_counter() - begin)

    running: set[asyncio.Task[None]] = set()

    def start() -> None:
        task = asyncio.create_task(ping())
        running.add(task)
        task.add_done_callback(running.discard)

    opened.append(start)


async def open_all(
    dial: Callable[..., Awaitable[None]], count: int, rate: float, port: int
) -> list[Callable[[], None]]:
    """Opens `count` connections at `rate` per second; returns their ping functions."""
    opened: list[Callable[[], None]] = []
    begin = perf_counter()
    tasks = set()
    number = 0
    while number < count:
        while number < min(count, (perf_counter() - begin) * rate):
            task = asyncio.ensure_future(dial(number, port, opened))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        await asyncio.sleep(STEP)
    async with asyncio.timeout(60):
        while len(opened) < count:  # noqa: ASYNC110 -- a yardstick may wait as it likes
            await asyncio.sleep(0.01)
    return opened


async def ping_all(opened: list[Callable[[], None]], think: float, seconds: float) -> int:
    """Sends a ping on each connection every `think` seconds; returns their number.

    They go out in steps of STEP.
    """
    steps = max(1, int(think / STEP))
    slots = [opened[first::steps] for first in range(steps)]
    begin = perf_counter()
    step = 0
    pings = 0
    while perf_counter() - begin < seconds:
        while step < (perf_counter() - begin) / STEP:
            for ping in slots[step % steps]:
                ping()
            pings += len(slots[step % steps])
            step += 1
        await asyncio.sleep(STEP)
    async with asyncio.timeout(30):
        while len(Lean.round_trips) < pings:  # noqa: ASYNC110 -- a yardstick may wait as it likes
            await asyncio.sleep(0.01)
    return pings


async def main(mode: str, count: int, rate: float, think: float, seconds: float, port: int) -> None:
    """Opens the connections, pings on them and prints the figures."""
    Lean.handshake = Handshake(f"127.0.0.1:{port}", RESOURCE)
    gc.collect()
    gc.freeze()
    gc.disable()
    resident = ResidentMemory()
    memory = resident.bytes()
    cpu = process_time()
    opened = await open_all(dial_lean if mode == "lean" else dial_library, count, rate, port)
    per_open = (process_time() - cpu) / count
    await asyncio.sleep(0.5)
    per_connection = (resident.bytes() - memory) / count
    cpu = process_time()
    pings = await ping_all(opened, think, seconds)
    per_ping = (process_time() - cpu) / pings
    assert len(Lean.round_trips) == pings
    figures = {"open_us": per_open * 1e6, "ping_us": per_ping * 1e6, "kib": per_connection / 1024}
    print(json.dumps(figures), flush=True)
    os._exit(0)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:6]), int(sys.argv[6])))
