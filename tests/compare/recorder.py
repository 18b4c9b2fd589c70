"""`python -m tests.compare.recorder PORT FILE`: the target of both tools, which writes down when
what arrived.

The path tells what it does:

- `/echo…` sends each message back, `/silent…` and any other path nothing.
- `/token…` answers each message with JSON: a token of this connection, some words, and what is
  `left` of 3 polls.
- `/ping` is an echo that sends a ping every 0.3 s, and one more just before each answer.
- `/bye` says goodbye (1001) after 0.3 s. `/burst` sends three messages after 0.3 s, and is an echo
  then.
- `/pieces` is an echo whose 101 comes in two pieces.

It says where it listens; when its standard input ends it writes its `Recording` as JSON into the
file, and is gone.
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
"""Seconds until the server does by itself what a path is for."""
UPGRADE = 2.0
"""Seconds that a connection may take to ask for its upgrade; then it is dropped."""
BETWEEN_PIECES = 0.05
WORDS = ["alpha", "beta", "gamma"]
BACKLOG = 4096
quiet = logging.getLogger("recorder")


class Pieces:
    """A transport whose first write goes out in two pieces; the rest is the transport's own."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.write = self._in_pieces

    def _in_pieces(self, data: bytes) -> None:
        half = len(data) // 2
        self._transport.write(data[:half])
        asyncio.get_running_loop().call_later(BETWEEN_PIECES, self._rest, data[half:])
        self.write = self._transport.write

    def _rest(self, data: bytes) -> None:
        with suppress(
            RuntimeError
        ):  # the client left after the first piece, and this side was shut down
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Recorded(ServerConnection):
    """A connection with its record, which begins with the TCP connection: whether an upgrade
    follows or not."""

    book: list[Connection]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Writes the arrival down."""
        self.record = Connection(len(self.book), monotonic())
        self.book.append(self.record)
        super().connection_made(transport)

    async def received(self) -> AsyncIterator[str | bytes]:
        """The client's messages, each written down."""
        async for message in self:
            text = message if isinstance(message, str) else message.decode(errors="replace")
            self.record.messages.append(
                Message(monotonic(), "text" if message is text else "binary", text)
            )
            yield message

    def ping_and_count(self) -> Awaitable[None]:
        """Sends a ping; its pong counts whenever it comes."""
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
    """Only listens."""
    async for _ in client.received():
        pass


async def token(client: Recorded) -> None:
    """Answers with a token and a countdown of the polls, both the client's own."""
    left = 3
    async for message in client.received():
        left -= message == "poll"
        answer = {"token": client.record.token, "left": left, "words": WORDS}
        await client.send(msgspec.json.encode(answer).decode())


async def ping(client: Recorded) -> None:
    """Pings all the time, and just before it answers."""
    pings: list[Awaitable[None]] = []

    async def regularly() -> None:
        while True:
            await asyncio.sleep(SOON)
            pings.append(client.ping_and_count())

    regular = asyncio.create_task(regularly())
    async for message in client.received():
        pings.append(client.ping_and_count())
        await asyncio.sleep(
            BETWEEN_PIECES
        )  # so that the ping is a chunk of its own, and what comes next another one
        await client.send(message)
    regular.cancel()
    await asyncio.gather(*pings)


async def bye(client: Recorded) -> None:
    """Ends the connection from its side."""
    asyncio.get_running_loop().call_later(SOON, lambda: asyncio.ensure_future(client.close(1001)))
    await silent(client)


async def burst(client: Recorded) -> None:
    """Sends what nobody asked for, and then what is."""
    await asyncio.sleep(SOON)
    for word in WORDS:
        await client.send(word)
    await echo(client)


ROLES: dict[str, Callable[[Recorded], Awaitable[None]]] = {
    "echo": echo, "token": token, "ping": ping, "bye": bye, "burst": burst, "pieces": echo,
}  # fmt: skip


async def play(client: ServerConnection) -> None:
    """One client from its upgrade to its end."""
    assert isinstance(client, Recorded)
    with suppress(ConnectionClosed):
        await ROLES.get(client.record.path.split("/")[1], silent)(client)
    await client.wait_closed()
    close = client.protocol.close_rcvd
    client.record.code = close.code if close else 0


def upgrade(client: ServerConnection, request: Request) -> None:
    """Writes down what is asked for."""
    assert isinstance(client, Recorded)
    client.record.path = request.path.partition("?")[0]
    if client.record.path == "/pieces":
        client.transport = cast("asyncio.Transport", Pieces(client.transport))


async def record(port: int) -> Recording:
    """What arrives until standard input ends."""
    book: list[Connection] = []
    kind = type("Recorded", (Recorded,), {"book": book})
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False  # what fails is in the record
    async with serve(
        play,
        "127.0.0.1",
        port,
        create_connection=kind,
        process_request=upgrade,
        ping_interval=None,
        compression=None,
        logger=quiet,
        backlog=BACKLOG,
        open_timeout=UPGRADE,
        close_timeout=SOON,
        server_header=None,
    ) as server:
        print(f"listening at {server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    return Recording(book)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(uvloop.run(record(int(sys.argv[1])))))
