"""A target that is hostile in one way.

The command is `python -m tests.hostile.server KIND HOST PORT`. It shares no code with loadgen, and
has a ledger of its own: `GET /stats`.
"""

import asyncio
import base64
import hashlib
import json
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
FORGED = "\x1b]0;owned\x07\x1b[2J\nloadgen-coord: all is well\r\x9b31m\u202e\u2028"
"""A text that commands a terminal, forges a line and turns the order of letters around."""


def frame(opcode: int, payload: bytes) -> bytes:
    """Returns a whole frame of a server."""
    size = len(payload)
    length = bytes((size,)) if size < 126 else struct.pack(">BH", 126, size)
    return bytes((0x80 | opcode,)) + length + payload


async def pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends PINGs without an end, and reads no PONG."""
    _stop_reading(writer)
    many = frame(PING, bytes(125)) * 500
    while True:
        writer.write(many)
        await writer.drain()


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads nothing; it notices the end of a connection by what it sends."""
    _stop_reading(writer)
    while True:
        writer.write(frame(PONG, b""))
        await writer.drain()
        await asyncio.sleep(0.2)


def _stop_reading(writer: asyncio.StreamWriter) -> None:
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.pause_reading()


async def surrogates(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends JSON with half a character, and then waits for the end."""
    writer.write(frame(TEXT, json.dumps({"reason": "\ud800", "big": "x" * 1000}).encode()))
    await _answer_close(reader, writer)


async def forged_reason(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Closes with a reason that commands terminals."""
    await asyncio.sleep(0.5)
    writer.write(frame(CLOSE, struct.pack(">H", 4000) + FORGED.encode()))
    await reader.read()


async def texts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends texts without an end, as fast as they are taken."""
    reading = asyncio.create_task(_answer_close(reader, writer))
    many = frame(TEXT, b"x" * 50_000) * 4
    while not reading.done():
        writer.write(many)
        await writer.drain()


async def _log_in(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Gives a client that posts a name a token and a cookie, which contain it."""
    size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    token = f"t-{json.loads(await reader.readexactly(size))['user']}"
    body = json.dumps({"token": token}).encode()
    lines = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: sid=c-{token}\r\n"
    writer.write(f"{lines}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()


async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers what it has to, as a good server does."""
    await _answer_close(reader, writer)


async def _answer_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers PINGs and the CLOSE of a client."""
    while True:
        first, second = await reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack(">H", await reader.readexactly(2))[0]
        mask = await reader.readexactly(4)
        masked = await reader.readexactly(size)
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))
        if first & 0x0F == CLOSE:
            writer.write(frame(CLOSE, payload))
            return
        if first & 0x0F == PING:
            writer.write(frame(PONG, payload))


async def endless_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers the handshake with headers without an end."""
    number = 0
    while True:
        number += 1
        writer.write(b"X-%d: %s\r\n" % (number, b"x" * 1000))
        await writer.drain()


async def forged_refusal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Refuses with a phrase and headers that command terminals."""
    text = FORGED.replace("\n", "").replace("\r", "").encode()
    body = FORGED.encode()
    writer.write(b" 403 " + text + b"\r\nServer: " + text)
    writer.write(b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()


Kind = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
KINDS: dict[str, Kind] = {
    kind.__name__: kind for kind in (pings, deaf, surrogates, forged_reason, texts, quiet)
}
"""What happens after a valid handshake."""
REFUSALS: dict[str, tuple[bytes, Kind]] = {
    "endless_head": (b"HTTP/1.1 101 Switching Protocols\r\n", endless_head),
    "forged_refusal": (b"HTTP/1.1", forged_refusal),
}
"""How the handshake is refused, and the beginning of the answer."""


class HostileServer:
    """A listening server of one kind, and its ledger."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._opened = 0
        self._closed = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        with suppress(OSError, EOFError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /stats "):
                counts = {"opened": self._opened, "closed": self._closed}
                body = json.dumps(counts | {"open": self._opened - self._closed}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
            elif head.startswith(b"POST /login "):
                await _log_in(head, reader, writer)
            elif self._kind in REFUSALS:
                begin, refuse = REFUSALS[self._kind]
                writer.write(begin)
                await refuse(reader, writer)
            else:
                await self._open(head, reader, writer)
        writer.close()

    async def _open(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        key = head.lower().partition(b"sec-websocket-key:")[2].partition(b"\r\n")[0].strip()
        key = head[head.lower().index(key) :][: len(key)]
        digest = base64.b64encode(hashlib.sha1(key + GUID.encode()).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %s\r\n\r\n" % digest
        )
        self._opened += 1
        try:
            await KINDS[self._kind](reader, writer)
        finally:
            self._closed += 1


async def main(kind: str, host: str, port: str) -> None:
    """Listens for ever."""
    hostile = HostileServer(kind)
    server = await asyncio.start_server(hostile.serve, host, int(port), backlog=1024)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
