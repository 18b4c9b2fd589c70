"""One worker's server inside the test's own loop, on a real port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

import pytest
from aiohttp import web

from loadgen.net.handshake import Handshake
from loadgen.target.bus import Bus, mailboxes
from loadgen.target.counters import Counters
from loadgen.target.http import application
from loadgen.target.settings import Faults, TargetSettings
from loadgen.target.state import WorkerState
from loadgen.target.upgrade import UpgradeProtocol
from loadgen.values import Endpoint

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
PATIENCE = 10.0


class Line(NamedTuple):
    """A client's raw connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def receive(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(size), PATIENCE)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), PATIENCE)


class Served(NamedTuple):
    """A running server with its state."""

    state: WorkerState
    port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime?project=console&channels[]=files"

    def request(self, resource: str = "/v1/realtime?project=console&channels[]=files") -> bytes:
        return Handshake(f"127.0.0.1:{self.port}", resource).request(KEY)

    @asynccontextmanager
    async def dial(self, data: bytes = b"") -> AsyncIterator[Line]:
        """Opens a connection and sends some bytes on it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            yield Line(reader, writer)
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def until(self, **expected: int) -> None:
        """Waits until GET /stats has these values."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while {name: self.state.stats()[name] for name in expected} != expected:
            assert asyncio.get_running_loop().time() < end, (self.state.stats(), expected)
            await asyncio.sleep(0.002)


@asynccontextmanager
async def served(
    mode: str = "echo", faults: tuple[str, ...] = (), limit: int = 100
) -> AsyncIterator[Served]:
    settings = TargetSettings(Endpoint("127.0.0.1", 0), 1, limit, mode, Faults.parse(faults))
    counters = Counters(1, limit, 1000)
    counters.running[0] = 1
    state = WorkerState(settings, counters, 0)
    boxes = mailboxes(1)
    bus = Bus(0, boxes, state.deliver, lambda: 1)
    runner = web.AppRunner(application(state, bus), access_log=None)
    await runner.setup()
    server = await asyncio.get_running_loop().create_server(
        lambda: UpgradeProtocol(state, runner.server), "127.0.0.1", 0
    )
    try:
        yield Served(state, server.sockets[0].getsockname()[1])
        await Served(state, 0).until(open=0)
    finally:
        server.close()
        await runner.cleanup()
        for end in boxes[0]:
            end.close()


@pytest.fixture
def serve() -> Callable[..., AbstractAsyncContextManager[Served]]:
    """Starts a server: `serve(mode, faults, limit)`."""
    return served


@pytest.fixture
def accept() -> bytes:
    """The accept key that answers every `request()`."""
    return ACCEPT


@pytest.fixture
def open_line(accept: bytes) -> Callable[..., AbstractAsyncContextManager[Line]]:
    """Opens a raw WebSocket connection to a server."""

    @asynccontextmanager
    async def opened(server: Served, *resource: str) -> AsyncIterator[Line]:
        async with server.dial(server.request(*resource)) as line:
            assert accept in await line.head()
            yield line

    return opened
