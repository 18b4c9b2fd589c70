"""A session under way against a server that a test commands."""

import asyncio
import socket
from contextlib import asynccontextmanager

from websockets.asyncio.server import serve

from loadgen.plan.plan import Plan
from loadgen.sessions.websocket import MAX_BYTES
from tests.unit.loads import Load
from tests.unit.wire_ends import FarSide


@asynccontextmanager
async def load(session):
    """A session under way against a server that obeys.

    Its orders are the messages `close`, `close 1000`, `cut off` and `flood`.
    """

    async def obey(connection):
        async for message in connection:
            if message == "close":
                await connection.send("last words")
                await connection.close(4001)
            elif message == "close 1000":
                await connection.send("last words")
                await connection.close(1000)
            elif message == "cut off":
                connection.transport.abort()
            elif message == "flood":
                await connection.send(bytes(MAX_BYTES + 1))
            else:
                await connection.send(message)

    async with serve(obey, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        plan = Plan(rate=500.0, max=1, hold=0.0)
        running = Load(plan, port, source="127.0.9.9", ports=range(24_500, 24_520), session=session)
        try:
            yield running
        finally:
            await running.end()


@asynccontextmanager
async def by_hand(session):
    """A session under way; the test answers its frames itself at the far end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        plan = Plan(rate=500.0, max=1, hold=0.0)
        port = listener.getsockname()[1]
        running = Load(plan, port, source="127.0.9.9", ports=range(24_500, 24_520), session=session)
        sock, _ = await asyncio.get_running_loop().sock_accept(listener)
        sock.setblocking(False)
        try:
            with sock:
                far = FarSide(sock)
                await far.upgrade()
                yield running, far
        finally:
            await running.end()


def settled(tally):
    """Returns what became of all pings: pongs, skipped and missing."""
    found = (tally.pongs, tally.pongs_skipped, tally.pongs_missing)
    assert sum(found) == tally.pings == tally.ping_rtt.total == tally.ping_rtt_sent.total
    return found


def pong(number):
    """Returns the payload of the pong to a ping."""
    return number.to_bytes(4, "big")


CLOSE_1001 = b"\x88\x02\x03\xe9"
LAST = b"\x81\x04last"
