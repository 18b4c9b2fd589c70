"""The target of both tools, which records what arrives.

`python -m tests.compare.recorder PORT FILE`. The path selects what it does:

- `/echo…` sends each message back, `/silent…` and any other path nothing.
- `/token…` answers each message with JSON: a token of this connection, some words, and how many of
  3 polls are `left`.
- `/ping` is an echo that sends a ping every 0.3 s, and one more just before each answer.
- `/bye` closes with 1001 after 0.3 s. `/burst` sends three messages after 0.3 s, and then is an
  echo.
- `/pieces` is an echo whose 101 comes in two pieces.

It prints its port. When its standard input ends, it writes its `Recording` as JSON to the file and
ends.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, cast

import msgspec
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from tests.compare.recording import Connection, Message, Recording

SOON = 0.3
"""Seconds until the server does what a path selects."""
UPGRADE_TIMEOUT = 2.0
"""Seconds that a connection may take to send its upgrade; then it is closed."""
BETWEEN_PIECES = 0.05
WORDS = ["alpha", "beta", "gamma"]
BACKLOG = 4096
quiet = logging.getLogger("recorder")


class Pieces:
    """A transport that sends its first write in two pieces."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.write = self._in_pieces

    def _in_pieces(self, data: bytes) -> None:
        half = len(data) // 2
        self._transport.write(data[:half])
        asyncio.get_running_loop().call_later(BETWEEN_PIECES, self._rest, data[half:])
        self.write = self._transport.write

    def _rest(self, data: bytes) -> None:
        with suppress(RuntimeError):  # the client closed after the first piece
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Recorded(ServerConnection):
    """A connection with its record, which begins before the upgrade."""

    connections: list[Connection]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Records the arrival."""
        self.record = Connection(len(self.connections), monotonic())
        self.connections.append(self.record)
        super().connection_made(transport)

    async def received(self) -> AsyncIterator[str | bytes]:
        """Yields the client's messages and records each."""
        async for message in self:
            text = message if isinstance(message, str) else message.decode(errors="replace")
            self.record.messages.append(
                Message(monotonic(), "text" if message is text else "binary", text)
            )
            yield message

    def ping_and_count(self) -> Awaitable[None]:
        """Sends a ping; its pong counts at any time."""
        return asyncio.ensure_future(self._ping())

    async def _ping(self) -> None:
        with suppress(ConnectionClosed):
            await (await self.ping())
            self.record.pongs += 1


async def echo(client: Recorded) -> None:
    """Sends each message back."""
    async for message in client.received():
        await client.send(message)


async def silent(client: Recorded) -> None:
    """Sends nothing."""
    async for _ in client.received():
        pass


async def token(client: Recorded) -> None:
    """Answers with the client's token and the countdown of its polls."""
    left = 3
    async for message in client.received():
        left -= message == "poll"
        answer = {"token": client.record.token, "left": left, "words": WORDS}
        await client.send(msgspec.json.encode(answer).decode())


async def ping(client: Recorded) -> None:
    """Sends pings throughout, and one just before each answer."""
    pings: list[Awaitable[None]] = []

    async def regularly() -> None:
        while True:
            await asyncio.sleep(SOON)
            pings.append(client.ping_and_count())

    regular = asyncio.create_task(regularly())
    async for message in client.received():
        pings.append(client.ping_and_count())
        await asyncio.sleep(BETWEEN_PIECES)  # so that ping and answer arrive as two chunks
        await client.send(message)
    regular.cancel()
    await asyncio.gather(*pings)


async def bye(client: Recorded) -> None:
    """Closes the connection."""
    asyncio.get_running_loop().call_later(SOON, lambda: asyncio.ensure_future(client.close(1001)))
    await silent(client)


async def burst(client: Recorded) -> None:
    """Sends unrequested messages, and then is an echo."""
    await asyncio.sleep(SOON)
    for word in WORDS:
        await client.send(word)
    await echo(client)


PATHS: dict[str, Callable[[Recorded], Awaitable[None]]] = {
    "echo": echo, "token": token, "ping": ping, "bye": bye, "burst": burst, "pieces": echo,
}  # fmt: skip


async def handle(client: ServerConnection) -> None:
    """Serves one client from its upgrade to its end."""
    assert isinstance(client, Recorded)
    with suppress(ConnectionClosed):
        await PATHS.get(client.record.path.split("/")[1], silent)(client)
    await client.wait_closed()
    close = client.protocol.close_rcvd
    client.record.code = close.code if close else 0


def upgrade(client: ServerConnection, request: Request) -> None:
    """Records the path of the upgrade."""
    assert isinstance(client, Recorded)
    client.record.path = request.path.partition("?")[0]
    if client.record.path == "/pieces":
        client.transport = cast("asyncio.Transport", Pieces(client.transport))


async def record(port: int) -> Recording:
    """Returns the recording of what arrives until standard input ends."""
    connections: list[Connection] = []
    kind = type("Recorded", (Recorded,), {"connections": connections})
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False  # failures are in the record
    async with serve(
        handle,
        "127.0.0.1",
        port,
        create_connection=kind,
        process_request=upgrade,
        ping_interval=None,
        compression=None,
        logger=quiet,
        backlog=BACKLOG,
        open_timeout=UPGRADE_TIMEOUT,
        close_timeout=SOON,
        server_header=None,
    ) as server:
        print(f"listening at {server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    return Recording(connections)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(uvloop.run(record(int(sys.argv[1])))))
