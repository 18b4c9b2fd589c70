"""A port under strangers: they come slowly, in crowds, and without end, and who has something to
say is heard."""

import asyncio
import re
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from loadgen.http.server import HttpLimits, HttpServer
from loadgen.values import Endpoint

LONG = b"x" * (32 << 20)
"""An answer that no kernel's buffers hold."""
ASK = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"


async def healthy(_):
    return web.Response(text="ok")


async def long(_):
    return web.Response(body=LONG)


async def body(request):
    return web.Response(text=str(len(await request.read())))


@asynccontextmanager
async def server(**bounds):
    """A port with such bounds: what dials it and says something."""
    app = web.Application()
    app.add_routes([web.get("/healthz", healthy), web.get("/long", long), web.post("/body", body)])
    opened = HttpServer(app, HttpLimits(**bounds))
    endpoint, writers = await opened.open("--listen", Endpoint("127.0.0.1", 0)), []

    async def dial(said=b""):
        reader, writer = await asyncio.open_connection(*endpoint)
        writers.append(writer)
        writer.write(said)
        return reader, writer

    yield dial
    for writer in writers:
        writer.transport.abort()
    await opened.close()


async def ended(reader):
    """Waits for the end of a connection; what came before it."""
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""


async def ask(reader, writer):
    """The status of an answer."""
    writer.write(ASK)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(2)
    return int(head.split()[1])


async def test_a_head_that_does_not_come_ends_the_connection():
    async with server(idle_s=0.3) as dial:
        silent, _ = await dial()
        slow, _ = await dial(ASK[:-2])

        assert (await ended(silent), await ended(slow)) == (b"", b"")


async def test_one_that_speaks_now_and_then_stays():
    async with server(idle_s=0.5) as dial:
        reader, writer = await dial()
        for _ in range(8):
            assert await ask(reader, writer) == 200
            await asyncio.sleep(0.1)


async def test_a_body_that_does_not_come_is_an_answer_and_the_end():
    async with server(body_s=0.2, idle_s=5) as dial:
        reader, _ = await dial(
            b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nabc"
        )
        answer = await ended(reader)

        assert b"408" in answer.split(b"\r\n")[0]
        assert b"did not come within 0.2 s" in answer


async def test_an_answer_that_nobody_takes_ends_the_connection():
    async with server(idle_s=0.3) as dial:
        reader, _ = await dial(b"GET /long HTTP/1.1\r\nHost: here\r\n\r\n")
        await reader.readuntil(
            b"\r\n\r\n"
        )  # and from here on not a byte: the reader pauses its transport
        await asyncio.sleep(1.5)

        assert len(await ended(reader)) < len(LONG)


async def test_the_one_that_waits_longest_makes_place():
    async with server(connections=3, idle_s=60) as dial:
        agent = await dial()
        assert await ask(*agent) == 200
        crowd = []
        for _ in range(10):
            crowd.append(await dial())
            assert await ask(*agent) == 200, "who asks keeps its place"
        newcomer = await dial()

        assert await ask(*newcomer) == 200
        assert [await ended(reader) for reader, _ in crowd[:9]] == [b""] * 9


async def test_when_all_are_at_work_nobody_is_let_in():
    async with server(connections=2, idle_s=60, body_s=60) as dial:
        unsaid = b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n"
        working = [await dial(unsaid) for _ in range(2)]
        await asyncio.sleep(0.2)
        late, _ = await dial(ASK)

        assert await ended(late) == b""
        for reader, writer in working:
            writer.write(b"ab")
            assert b"200" in await reader.readline()


async def test_questions_beyond_the_bound_are_put_off():
    async with server(questions=5) as dial:
        reader, writer = await dial()
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
async def test_a_head_without_measure_is_refused(head):
    async with server() as dial:
        reader, _ = await dial(head)
        answer = await ended(reader)

        assert re.match(rb"HTTP/1\.[01] 400 ", answer)


async def test_what_is_packed_is_not_unpacked():
    async with server() as dial:
        packed = b"\x1f\x8b\x08" + bytes(1000)
        head = (
            b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Encoding: gzip\r\nContent-Length:"
            b" %d\r\n\r\n" % len(packed)
        )
        reader, _ = await dial(head + packed)

        assert b"200" in await reader.readline()
