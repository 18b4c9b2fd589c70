"""A new connection gets the right protocol.

Its request may arrive in any number of pieces.
"""

import asyncio
import contextlib
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from loadgen.net.frames import PING
from loadgen.net.frames import frame as masked_frame
from loadgen.target.request import MAX_HEAD

PING_FRAME = masked_frame(PING, b"abc", 0x12345678)
PONG_FRAME = b"\x8a\x03abc"


async def test_opens_a_websocket(serve):
    async with serve() as server, connect(server.url) as client:
        await client.send("hello")

        assert await client.recv() == "hello"
        await server.until(open=1, opened=1, messages_received=1, messages_sent=1)


async def test_takes_a_request_byte_by_byte_and_frames_behind_it(serve, accept):
    async with serve() as server, server.dial() as line:
        request = server.request() + PING_FRAME
        for at in range(len(request)):
            line.writer.write(request[at : at + 1])
            await asyncio.sleep(0)

        assert accept in await line.head()
        assert await line.receive(5) == PONG_FRAME


async def test_takes_request_and_frames_in_one_piece(serve, accept):
    async with serve() as server, server.dial() as line:
        line.writer.write(server.request() + PING_FRAME * 2)

        assert accept in await line.head()
        assert await line.receive(10) == PONG_FRAME * 2
        await server.until(pings=2)


async def test_a_bad_upgrade_is_refused(serve):
    async with serve(mode="appwrite") as server:
        for request, status in [
            (server.request("/elsewhere"), 404),
            (server.request().replace(b"13", b"12"), 426),
            (b"GET / HTTP/1.1\r\nX:" + b" " * MAX_HEAD, 431),
        ]:
            async with server.dial(request) as line:
                assert (await line.rest()).startswith(b"HTTP/1.1 %d " % status)
        await server.until(opened=0, refused=0)


async def test_leaves_other_http_to_aiohttp_in_pieces_too(serve):
    async with serve() as server, server.dial() as line:
        for piece in (
            b"GET /sta",
            b"ts HTTP/1.1\r\nHost: x\r\n",
            b"\r\nGET /v1/realtime HTTP/1.1\r\nHost: x\r\n\r\n",
        ):
            line.writer.write(piece)
            await asyncio.sleep(0)

        head = await line.head()
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert json.loads(await line.receive(size)) == server.state.stats()
        assert (await line.head()).startswith(b"HTTP/1.1 426 ")


async def test_past_the_limit_it_answers_503(serve):
    async with serve(limit=1) as server:
        async with connect(server.url):
            with pytest.raises(InvalidStatus, match="503"):
                await connect(server.url)
            await server.until(open=1, refused=1)
        await server.until(open=0)
        async with connect(server.url):
            await server.until(opened=2, refused=1)


async def test_greets_in_the_same_write_as_the_101(serve, accept):
    """Nothing runs between the two.

    So the bytes after the 101 are in the same read.
    """
    async with serve(mode="appwrite") as server, server.dial(server.request()) as line:
        data = await asyncio.wait_for(line.reader.read(4096), 10)

        assert accept + b"\r\n\r\n\x81\x3e" + b'{"type":"connected",' in data
        await server.until(messages_sent=1)


async def test_fault_refuse(serve):
    async with serve(faults=("refuse",)) as server:
        with pytest.raises(InvalidStatus, match="503"):
            await connect(server.url)
        await server.until(opened=0, refused=1)


async def test_fault_wrong_key(serve):
    async with serve(faults=("wrong-key",)) as server:
        with pytest.raises(InvalidHandshake, match="Sec-WebSocket-Accept"):
            await connect(server.url)
        await server.until(opened=0, refused=1)


async def test_fault_slow_accept_answers_later(serve):
    async with serve(faults=("slow-accept=50ms",)) as server:
        async with server.dial(server.request()) as line:
            line.writer.write(PING_FRAME)
            assert (await line.head()).startswith(b"HTTP/1.1 101 ")
            assert await line.receive(5) == PONG_FRAME
        await server.until(opened=1, closed=1)


async def test_fault_slow_accept_does_not_count_a_client_that_closed_meanwhile(serve):
    async with serve(faults=("slow-accept=50ms",)) as server:
        async with server.dial(server.request()):
            pass
        async with server.dial(server.request()) as line:
            await line.head()
            await server.until(opened=1)


async def test_fault_stall_never_answers(serve):
    async with serve(faults=("stall",)) as server, server.dial(server.request()) as line:
        line.writer.write(PING_FRAME)
        async with server.dial(
            b"GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ) as http:
            assert b'"opened": 0' in await http.rest()
        line.writer.write(b"x" * 2 * MAX_HEAD)  # more than a head may have

        with contextlib.suppress(ConnectionError):
            assert await line.rest() == b""
