"""A client that bothers a server.

The command is `python -m tests.hostile.stranger KIND HOST PORT PATH`. It ends by itself, and prints
how often it was answered with each status.
"""

import asyncio
import json
import socket
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import click
import uvloop


class Bother(NamedTuple):
    """The errand of a stranger."""

    host: str
    port: int
    path: str
    deadline: float
    """On the monotonic clock, in seconds."""
    body: int
    """The bytes of a POST's body."""
    header: str
    answers: Counter[str]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Returns a new connection with a small receive buffer."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (self.host, self.port))
        return await asyncio.open_connection(sock=sock)

    def request(self, method: str) -> bytes:
        """Returns one request, without the body."""
        lines = [f"{method} {self.path} HTTP/1.1", f"Host: {self.host}:{self.port}", self.header]
        lines += [f"Content-Length: {self.body}"] if method == "POST" else []
        return "".join(f"{line}\r\n" for line in lines if line).encode() + b"\r\n"


async def get(bother: Bother) -> None:
    """Asks again as soon as it is answered."""
    await _flood(bother, bother.request("GET"))


async def post(bother: Bother) -> None:
    """Posts again as soon as it is answered."""
    await _flood(bother, bother.request("POST") + b" " * bother.body)


async def _flood(bother: Bother, request: bytes) -> None:
    reader, writer = await bother.connect()
    try:
        while time.monotonic() < bother.deadline:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            bother.answers[head.split(b" ", 2)[1].decode()] += 1
            lines = head.lower().split(b"\r\n")
            sizes = [line[15:] for line in lines if line.startswith(b"content-length:")]
            await reader.readexactly(int(sizes[0]) if sizes else 0)
            if b"connection: close" in lines:
                return
    finally:
        writer.close()


async def slow(bother: Bother) -> None:
    """Asks, and never reads the answer."""
    reader, writer = await bother.connect()
    writer.transport.pause_reading()
    writer.write(bother.request("GET"))
    bother.answers["asked"] += 1
    await asyncio.sleep(bother.deadline - time.monotonic())
    del reader
    writer.transport.abort()


async def abandon(bother: Bother) -> None:
    """Asks, and goes away at once."""
    _, writer = await bother.connect()
    writer.write(bother.request("GET"))
    bother.answers["asked"] += 1
    await asyncio.sleep(0.02)
    writer.transport.abort()


async def silent(bother: Bother) -> None:
    """Connects, and says nothing."""
    reader, writer = await bother.connect()
    bother.answers["connected"] += 1
    async with asyncio.timeout(max(0.0, bother.deadline - time.monotonic())):
        await reader.read()
    writer.close()


async def half_greeting(bother: Bother) -> None:
    """Begins a TLS handshake, and goes no further."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    greeting = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="x")
    with suppress(ssl.SSLWantReadError):
        greeting.do_handshake()
    _, writer = await bother.connect()
    writer.write(outgoing.read()[:100])
    bother.answers["connected"] += 1
    await asyncio.sleep(max(0.0, bother.deadline - time.monotonic()))
    writer.transport.abort()


KINDS: dict[str, Callable[[Bother], Awaitable[None]]] = {
    kind.__name__.replace("_", "-"): kind
    for kind in (get, post, slow, abandon, silent, half_greeting)
}


async def _again(kind: str, bother: Bother) -> None:
    while time.monotonic() < bother.deadline:
        try:
            await KINDS[kind](bother)
        except (OSError, EOFError, TimeoutError):  # refused, or ended by the server
            bother.answers["ended"] += 1
            await asyncio.sleep(0.01)


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("host")
@click.argument("port", type=int)
@click.argument("path", default="/")
@click.option("--connections", default=8)
@click.option("--seconds", default=5.0)
@click.option("--body", default=0)
@click.option("--header", default="")
def command(
    kind: str,
    host: str,
    port: int,
    path: str,
    connections: int,
    seconds: float,
    body: int,
    header: str,
) -> None:
    """Bother a server by many connections at once for some seconds."""
    bother = Bother(host, port, path, time.monotonic() + seconds, body, header, Counter())

    async def all_at_once() -> None:
        await asyncio.gather(*(_again(kind, bother) for _ in range(connections)))

    uvloop.run(all_at_once())
    click.echo(json.dumps(bother.answers))


if __name__ == "__main__":
    command()
