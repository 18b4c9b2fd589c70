"""Memory of a connection under each setting of permessage-deflate.

The server is a lean one of this module: it chooses what it is told to, and sends each connection
one compressed message, long enough to fill every window. A session answers with another one.
"""

import asyncio
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from loadgen.net.deflate import RSV1
from loadgen.net.frames import TEXT
from loadgen.net.handshake import accept_of
from loadgen.plan.compress import Compress
from loadgen.plan.plan import Plan
from loadgen.plan.session_file import read_session
from loadgen.plan.sessions import PythonSession
from loadgen.plan.transport import Transport
from loadgen.wire import Sources
from tests.bench.goal import Goal
from tests.bench.job import seconds_of, working

USERS = 500
LOOP_USERS = 4_000
"""Users of a loop, which inflates nothing: enough that nothing else counts."""
RAMP = 4.0
HELD = 5.0
TALK = Path(__file__).with_name("talk.py")
TEXT_SENT = Random(1).randbytes(20_000).hex()
"""40,000 characters: more than the largest window, and it deflates to half of that."""
ANEW = Compress(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=9,
    client_max_window_bits=9,
)
NARROW = Compress(server_max_window_bits=9, client_max_window_bits=9)


def run() -> list[Goal]:
    """Returns the memory of connections of loops and of sessions, in KiB."""
    talk = read_session(TALK)
    pings = kib(None, None), kib(Compress(), None)
    figures = {
        "no compression": kib(None, talk),
        "window 2^15, context takeover": kib(Compress(), talk),
        "window 2^9, context takeover": kib(NARROW, talk),
        "window 2^9, no context takeover": kib(ANEW, talk),
    }
    without = figures["no compression"]
    return [
        Goal("a connection that only pings, no compression", pings[0], "KiB", None),
        Goal("a connection that only pings, compressed", pings[1], "KiB", None),
        *(Goal(f"a session's connection, {name}", one, "KiB") for name, one in figures.items()),
        Goal("only pings, compressed − not", pings[1] - pings[0], "KiB", 0.1),
        Goal("session, window 2^9, no takeover − none",
             figures["window 2^9, no context takeover"] - without, "KiB", 1.0),
        Goal("session, window 2^9, takeover − none",
             figures["window 2^9, context takeover"] - without, "KiB", 40.0),
        Goal("session, window 2^15, takeover − none",
             figures["window 2^15, context takeover"] - without, "KiB", 320.0),
    ]  # fmt: skip


def kib(compress: Compress | None, session: PythonSession | None) -> float:
    """Returns the KiB that a worker grows by for each connection.

    The first second does not count: in it the worker imports the library that judges compression,
    about 2 MiB once.
    """
    users = LOOP_USERS if session is None else USERS
    plan = Plan(
        rate=users / RAMP,
        max=users,
        think=60.0,
        hold=HELD,
        sessions=() if session is None else (session,),
        transport=Transport(compress=compress or False),
    )
    with _serving(compress) as port, working(port, plan, [_sources()]) as (process,):
        seconds = list(seconds_of(process, int(RAMP + HELD) - 1))
    first, end = seconds[0], seconds[-1]
    assert end.held.open == users, f"{end.held.open} of {users} are open"
    return (end.rss - first.rss) / (users - first.held.open) / 1024


def _sources() -> Sources:
    return Sources(("127.0.2.5",), 20_000, 60_000)


@contextmanager
def _serving(compress: Compress | None) -> Iterator[int]:
    """Yields the port of the server, in a process of its own."""
    chosen = "" if compress is None else _chosen(compress)
    command = [sys.executable, "-m", "tests.bench.compress", chosen]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _chosen(compress: Compress) -> str:
    """Returns the header by which a server agrees to all that is offered."""
    return compress.offer.removesuffix("; client_max_window_bits")


class Server(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(self, chosen: str, message: bytes) -> None:
        self._chosen = f"Sec-WebSocket-Extensions: {chosen}\r\n".encode() if chosen else b""
        self._message = message
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers the upgrade, and drops what comes after it."""
        if self._head.endswith(b"\r\n\r\n"):
            return
        self._head += data
        if self._head.endswith(b"\r\n\r\n"):
            (key,) = re.findall(rb"Sec-WebSocket-Key: (\S+)", self._head)
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + self._chosen
                + b"Sec-WebSocket-Accept: "
                + accept_of(key)
                + b"\r\n\r\n"
                + self._message
            )


async def serve(chosen: str) -> None:
    """Prints its port and serves until it is killed."""
    bits = re.search(r"server_max_window_bits=(\d+)", chosen)
    payload, bit = TEXT_SENT.encode(), 0
    if chosen:
        stream = zlib.compressobj(wbits=-int(bits[1]) if bits else -15)
        payload = (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
        bit = RSV1
    message = bytes((0x80 | bit | TEXT, 127)) + len(payload).to_bytes(8, "big") + payload
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(chosen, message), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
