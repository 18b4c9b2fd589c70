"""A connection on a real socket pair, whose far side is the `websockets` library's server
protocol, driven by hand."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from loadgen.net.connection import TRANSITIONS, Connection, Terms
from loadgen.net.handshake import Handshake
from loadgen.net.transport import Transports
from loadgen.stats.recorder import Recorder
from loadgen.timers import Deadlines

THINK = 2.0
TERMS = Terms(Handshake("target:9505", "/v1/realtime"), THINK, Deadlines(5.0))


class Diary:
    """The owner of a connection, who writes down what it is told."""

    number = 0

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.over = asyncio.Event()

    def opened(self, connection: Connection, now: float) -> None:
        """The 101 was valid."""
        self.entries.append("opened")

    def ended(self, connection: Connection, reason: str) -> None:
        """It is gone."""
        self.entries.append(reason)
        self.over.set()

    def close_all(self, reason: str) -> None:
        """Not called."""

    def abort_all(self, reason: str) -> None:
        """Not called."""


class Checked(Connection):
    """A connection that holds its every transition to the table."""

    def __setattr__(self, name, value):
        if name == "state" and hasattr(self, "state"):
            assert value in TRANSITIONS[self.state]
        super().__setattr__(name, value)


class FarSide:
    """The server's end of the pair: bytes go through the library's protocol, which judges every
    frame it gets."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.protocol = ServerProtocol()
        self.frames: list[Frame] = []

    async def upgrade(self, *, pieces: bool = False) -> None:
        """Answers the request with the library's own response, in one piece or byte by byte."""
        while True:
            for event in await self._events():
                if isinstance(event, Request):
                    self.protocol.send_response(self.protocol.accept(event))
                    for data in self.protocol.data_to_send():
                        for piece in (
                            [data[at : at + 1] for at in range(len(data))] if pieces else [data]
                        ):
                            await self.send(piece)
                            await asyncio.sleep(0)
                    return

    async def frame(self) -> Frame:
        """The next frame from the client, whatever it is."""
        while not self.frames:
            self.frames += [event for event in await self._events() if isinstance(event, Frame)]
        return self.frames.pop(0)

    async def send(self, data: bytes) -> None:
        """Writes raw bytes to the client."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def send_frame(self, opcode: Opcode, payload: bytes) -> None:
        """Writes a frame as the library serialises it."""
        await self.send(Frame(opcode, payload).serialize(mask=False))

    async def flush(self) -> None:
        """Writes what the protocol wants to say."""
        for data in self.protocol.data_to_send():
            if data:
                await self.send(data)

    async def _events(self) -> list[object]:
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, 65536), 5)
        if not data:
            raise EOFError
        self.protocol.receive_data(data)
        return list(self.protocol.events_received())


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of one connection over loopback, neither of them blocking."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    near.setblocking(False)
    far.setblocking(False)
    return near, far


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Connection, Diary, FarSide, Recorder]]:
    """A connection that has asked for its upgrade, its owner, the far side, and the book it
    writes into."""
    recorder = Recorder(seed=1)
    near, far = tcp_pair()
    diary = Diary()
    connection = Checked(recorder, TERMS, diary)
    streams = Transports(asyncio.get_running_loop(), near.family, lambda name: None)
    streams.open(near, connection)
    try:
        yield connection, diary, FarSide(far), recorder
    finally:
        streams.close()
        far.close()


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[Connection, Diary, FarSide, Recorder]]:
    """The same after a valid 101."""
    async with connected() as (connection, diary, far, recorder):
        await far.upgrade()
        await until(lambda: bool(diary.entries))
        yield connection, diary, far, recorder


async def until(condition, seconds: float = 5.0) -> None:
    """Lets the loop run until the condition holds; fails when it never does."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- conditions are about real sockets, which set no event
            await asyncio.sleep(0.001)
