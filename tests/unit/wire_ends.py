"""A connection on a real socket pair; the `websockets` library is the far end."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from loadgen.net.connection import Connection, Terms
from loadgen.net.handshake import Handshake
from loadgen.net.states import TRANSITIONS
from loadgen.net.transport import Transports
from loadgen.stats.recorder import Recorder
from loadgen.timers import Deadlines

THINK = 2.0
TERMS = Terms(Handshake("target:9505", "/v1/realtime"), THINK, Deadlines(5.0))


class Diary:
    """The owner of a connection; it records the calls of the connection."""

    number = 0

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.over = asyncio.Event()

    def opened(self, connection: Connection, now: float) -> None:
        """Records a valid 101."""
        self.entries.append("opened")

    def ended(self, connection: Connection, reason: str) -> None:
        """Records the end."""
        self.entries.append(reason)
        self.over.set()

    def close_all(self, reason: str) -> None:
        """Not called."""

    def abort_all(self, reason: str) -> None:
        """Not called."""


class Checked(Connection):
    """A connection that checks each of its transitions against the table."""

    def __setattr__(self, name, value):
        if name == "state" and hasattr(self, "state"):
            assert value in TRANSITIONS[self.state]
        super().__setattr__(name, value)


class FarSide:
    """The server's end of the pair; the library checks every frame that it gets."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.protocol = ServerProtocol()
        self.frames: list[Frame] = []

    async def upgrade(self, *, pieces: bool = False) -> None:
        """Answers the request with the library's response, whole or byte by byte."""
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
        """Returns the next frame from the client."""
        while not self.frames:
            self.frames += [event for event in await self._events() if isinstance(event, Frame)]
        return self.frames.pop(0)

    async def frames_now(self) -> list[Frame]:
        """Returns the next frames from the client, as many as have come."""
        first = await self.frame()
        found, self.frames = [first, *self.frames], []
        return found

    async def send(self, data: bytes) -> None:
        """Writes raw bytes to the client."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def send_frame(self, opcode: Opcode, payload: bytes) -> None:
        """Writes a frame that the library serialises."""
        await self.send(Frame(opcode, payload).serialize(mask=False))

    async def flush(self) -> None:
        """Writes the bytes that the protocol has for the client."""
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
    """Returns the two ends of one connection over loopback, both non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    near.setblocking(False)
    far.setblocking(False)
    return near, far


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Connection, Diary, FarSide, Recorder]]:
    """A connection that has sent its request, with owner, far side and recorder."""
    recorder = Recorder(seed=1, window=2)
    near, far = tcp_pair()
    diary = Diary()
    connection = Checked(recorder, TERMS, diary)
    transports = Transports(asyncio.get_running_loop(), near.family, lambda name: None, recorder)
    transports.open(near, connection)
    try:
        yield connection, diary, FarSide(far), recorder
    finally:
        transports.close()
        far.close()


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[Connection, Diary, FarSide, Recorder]]:
    """A connection after a valid 101, with owner, far side and recorder."""
    async with connected() as (connection, diary, far, recorder):
        await far.upgrade()
        await until(lambda: bool(diary.entries))
        yield connection, diary, far, recorder


async def until(condition, seconds: float = 5.0) -> None:
    """Waits until the condition holds; raises TimeoutError after a number of seconds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- conditions are about real sockets, which set no event
            await asyncio.sleep(0.001)
