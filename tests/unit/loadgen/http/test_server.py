"""A port among slow clients, crowds and floods.

It serves those within the limits.
"""

import asyncio
import re
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from loadgen.http.server import HttpLimits, HttpServer
from loadgen.values import Endpoint
from tests.unit.timing import MS
from tests.unit.wire_ends import until

LONG = b"x" * (32 << 20)
"""An answer that is too long for the kernel's buffers."""
ASK = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"


class Port:
    """A port with limits, and what a client does with it."""

    def __init__(self, limits):
        app = web.Application()
        app.router.add_get("/healthz", self.health)
        app.router.add_get("/long", self.long)
        app.router.add_post("/body", self.body)
        self.server = HttpServer(app, HttpLimits(**limits))
        self.endpoint = None
        self.bodies = 0
        """Requests of /body whose handlers have begun."""
        self.writers = []

    async def health(self, _):
        return web.Response(text="ok")

    async def long(self, _):
        return web.Response(body=LONG)

    async def body(self, request):
        self.bodies += 1
        return web.Response(text=str(len(await request.read())))

    async def dial(self, sent=b""):
        """A connection on which some bytes were sent: its reader and writer."""
        reader, writer = await asyncio.open_connection(*self.endpoint)
        self.writers.append(writer)
        writer.write(sent)
        return reader, writer


@asynccontextmanager
async def listening(**limits):
    """A port with such limits; its connections end with the block."""
    port = Port(limits)
    port.endpoint = await port.server.open("--listen", Endpoint("127.0.0.1", 0))
    yield port
    for writer in port.writers:
        writer.transport.abort()
    await port.server.close()


async def ended(reader):
    """Waits for the end of a connection; returns what came before it."""
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""


async def ask(reader, writer):
    """Sends a request; returns the status of its answer."""
    writer.write(ASK)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(2)
    return int(head.split()[1])


async def test_a_connection_without_a_whole_request_is_aborted():
    async with listening(idle_s=300 * MS) as port:
        silent, _ = await port.dial()
        slow, _ = await port.dial(ASK[:-2])

        assert (await ended(silent), await ended(slow)) == (b"", b"")


async def test_a_connection_with_a_request_now_and_then_stays():
    async with listening(idle_s=500 * MS) as port:
        reader, writer = await port.dial()
        for _ in range(8):
            assert await ask(reader, writer) == 200
            await asyncio.sleep(100 * MS)


async def test_a_body_that_does_not_come_is_refused_and_its_connection_ends():
    async with listening(body_s=200 * MS, idle_s=5) as port:
        reader, _ = await port.dial(
            b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nabc"
        )
        answer = await ended(reader)

        assert b"408" in answer.split(b"\r\n")[0]
        assert b"did not come within %g s" % (200 * MS) in answer


async def test_a_connection_that_does_not_read_its_answer_is_aborted():
    async with listening(idle_s=300 * MS) as port:
        reader, _ = await port.dial(b"GET /long HTTP/1.1\r\nHost: here\r\n\r\n")
        await reader.readuntil(
            b"\r\n\r\n"
        )  # and from here on not a byte: the reader pauses its transport
        await asyncio.sleep(1500 * MS)

        assert len(await ended(reader)) < len(LONG)


async def test_the_connection_that_is_idle_for_longest_is_replaced():
    async with listening(connections=3, idle_s=60) as port:
        agent = await port.dial()
        assert await ask(*agent) == 200
        crowd = []
        for _ in range(10):
            crowd.append(await port.dial())
            assert await ask(*agent) == 200, "a client that sends requests keeps its connection"
        newcomer = await port.dial()

        assert await ask(*newcomer) == 200
        assert [await ended(reader) for reader, _ in crowd[:9]] == [b""] * 9


async def test_while_all_connections_are_busy_a_new_one_is_refused():
    async with listening(connections=2, idle_s=60, body_s=60) as port:
        head = b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n"
        busy = [await port.dial(head) for _ in range(2)]
        await until(lambda: port.bodies == 2)
        late, _ = await port.dial(ASK)

        assert await ended(late) == b""
        for reader, writer in busy:
            writer.write(b"ab")
            assert b"200" in await reader.readline()


async def test_requests_beyond_the_rate_are_refused():
    async with listening(requests=5) as port:
        reader, writer = await port.dial()
        writer.write(ASK * 30)
        statuses = [int((await reader.readuntil(b"\r\n\r\n")).split()[1])]
        while len(statuses) < 30:
            answer = await reader.readuntil(b"\r\n\r\n")
            statuses.append(int(answer.partition(b"HTTP/1.1 ")[2].split()[0]))

        assert set(statuses) == {200, 429}
        assert statuses.count(200) < 20


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\n"
        + b"".join(b"X-%d: y\r\n" % n for n in range(200))
        + b"\r\n",
    ],
    ids=["line", "header", "headers"],
)
async def test_a_head_beyond_the_limits_is_refused(head):
    async with listening() as port:
        reader, _ = await port.dial(head)
        answer = await ended(reader)

        assert re.match(rb"HTTP/1\.[01] 400 ", answer)


async def test_a_compressed_body_is_not_decompressed():
    async with listening() as port:
        compressed = b"\x1f\x8b\x08" + bytes(1000)
        head = (
            b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Encoding: gzip\r\nContent-Length:"
            b" %d\r\n\r\n" % len(compressed)
        )
        reader, _ = await port.dial(head + compressed)

        assert b"200" in await reader.readline()
