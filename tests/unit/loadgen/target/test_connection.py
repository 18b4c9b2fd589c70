"""An open connection: pings, messages, faults, the close."""

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from loadgen.net.frames import BINARY, CLOSE, TEXT, close_frame, frame
from loadgen.net.frames import PING as PING_OPCODE
from loadgen.target import connection as peer

MASK = 0x12345678


@pytest.mark.parametrize("payload", [b"", b"x", b"y" * 125])
async def test_answers_pings(serve, payload):
    async with serve() as server, connect(server.url, ping_interval=None) as client:
        await asyncio.wait_for(await client.ping(payload), 10)

        assert server.state.stats()["pings"] == 1


async def test_answers_pings_between_fragments(serve):
    async with serve() as server, connect(server.url, ping_interval=None) as client:

        async def parts():
            yield "one "
            await asyncio.wait_for(await client.ping(), 10)
            yield "message"

        await client.send(parts())

        assert await client.recv() == "one message"
        await server.until(pings=1, messages_received=1, messages=1)


@pytest.mark.parametrize("message", ["", "é", b"", b"\xff", "x" * 64_000, b"y" * 64_000])
async def test_echoes(serve, message):
    async with serve() as server, connect(server.url) as client:
        await client.send(message)

        assert await client.recv() == message


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x01x", 1002),
        (frame(TEXT, b"\xff", MASK), 1007),
        (frame(BINARY, b"x" * 64_001, MASK), 1009),
        (frame(BINARY, b"x" * 1_000_000, MASK), 1009),
    ],
)
async def test_a_client_fault_is_answered_with_a_close(serve, open_line, data, code):
    """Even while the client is still sending: a RST would overtake the CLOSE."""
    async with serve() as server, open_line(server) as line:
        line.writer.write(data)
        await asyncio.wait_for(line.writer.drain(), 10)

        assert await line.rest() == bytes((0x80 | CLOSE, 2)) + code.to_bytes(2, "big")
        await server.until(open=1)
        line.writer.write_eof()
        await server.until(open=0, closed=1)


async def test_a_client_that_stays_after_its_fault_is_aborted(serve, open_line, monkeypatch):
    monkeypatch.setattr(peer, "CLOSE_TIMEOUT", 0.05)
    async with serve() as server, open_line(server) as line:
        line.writer.write(b"\xff\xff")

        await server.until(closed=1)


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        (close_frame(1000, MASK), 1000),
        (close_frame(3456, MASK, b"why"), 3456),
        (frame(CLOSE, b"", MASK), 1000),
    ],
)
async def test_a_close_is_answered_with_its_code(serve, open_line, sent, echoed):
    async with serve() as server, open_line(server) as line:
        line.writer.write(sent)

        assert await line.rest() == bytes((0x80 | CLOSE, 2)) + echoed.to_bytes(2, "big")
        await server.until(open=0, closed=1)


async def test_a_client_that_vanishes_is_counted_as_closed(serve, open_line):
    async with serve() as server:
        async with open_line(server) as line:
            line.writer.write(b"\x81")  # in the middle of a frame
        await server.until(opened=1, closed=1)


async def test_a_client_that_does_not_read_is_not_read_from(serve, open_line):
    """Otherwise its echoes would fill the target's memory."""
    async with serve() as server, open_line(server) as line:
        message, count = frame(BINARY, b"x" * 64_000, MASK), 0
        while True:
            line.writer.write(message)
            count += 1
            try:
                await asyncio.wait_for(line.writer.drain(), 0.2)
            except TimeoutError:
                break
        read = 0
        while read < count * 64_004:
            read += len(await asyncio.wait_for(line.reader.read(1 << 20), 10))

        await server.until(messages_received=count, messages_sent=count)


async def test_appwrite_s_conversation(serve):
    async with serve(mode="appwrite") as server, connect(server.url) as client:
        assert (
            await client.recv() == '{"type":"connected","data":{"channels":["files"],"user":null}}'
        )
        await client.send('{"type":"ping"}')
        assert await client.recv() == '{"type":"pong"}'
        await client.send("hello")
        assert (
            await client.recv()
            == '{"type":"error","data":{"code":1003,"message":"Message format is not valid."}}'
        )
        await client.send('{"type":"pong"}')
        assert (
            await client.recv()
            == '{"type":"error","data":{"code":1003,"message":"Message type is not valid."}}'
        )
        await server.until(open=1, pings=1, messages_received=3, messages=4)


async def test_appwrite_closes_after_the_handshake_without_a_project(serve):
    async with serve(mode="appwrite") as server:
        async with connect(f"ws://127.0.0.1:{server.port}/v1/realtime?channels[]=files") as client:
            assert (
                await client.recv()
                == '{"type":"error","data":{"code":1008,"message":"Missing or unknown project ID"}}'
            )
            with pytest.raises(ConnectionClosed, match="1008"):
                await client.recv()
        await server.until(opened=1, closed=1, messages=1)


async def test_silent_mode_answers_pings_alone(serve):
    async with serve(mode="silent") as server, connect(server.url) as client:
        await client.send("hello")
        await asyncio.wait_for(await client.ping(), 10)
        await server.until(messages_received=1, messages=0)


async def test_broadcast_mode_sends_a_message_to_all_on_its_path(serve):
    room = "ws://127.0.0.1:{}/room"
    async with (
        serve(mode="broadcast") as server,
        connect(room.format(server.port)) as one,
        connect(room.format(server.port)) as other,
        connect(f"ws://127.0.0.1:{server.port}/elsewhere") as outside,
    ):
        await one.send("hello")
        assert [await one.recv(), await other.recv()] == ["hello", "hello"]
        await outside.send("alone")
        assert await outside.recv() == "alone"
        await server.until(messages=3)


@pytest.mark.parametrize("mode", ["echo", "appwrite"])
async def test_fault_no_pong(serve, open_line, mode):
    async with serve(mode=mode, faults=("no-pong",)) as server, open_line(server) as line:
        pings = frame(PING_OPCODE, b"whole", MASK), frame(PING_OPCODE, b"a", MASK) * 2
        for data in pings:
            line.writer.write(data)
            await asyncio.sleep(0)
        line.writer.write(frame(TEXT, b'{"type":"ping"}', MASK) + close_frame(1000, MASK))
        said = await line.rest()

        assert (b"pong" in said, b"\x8a" in said) == (False, False)
        assert server.state.stats()["pings"] == {"echo": 3, "appwrite": 4}[mode]
        assert server.state.stats()["pinged"] == 1


async def test_fault_split_frames_is_still_understood(serve):
    async with (
        serve(mode="appwrite", faults=("split-frames",)) as server,
        connect(server.url) as client,
    ):
        assert '"connected"' in await client.recv()
        await asyncio.wait_for(await client.ping(), 10)


async def test_fault_reset(serve, open_line):
    async with serve(faults=("reset=50ms",)) as server, open_line(server) as line:
        with pytest.raises(ConnectionResetError):
            await line.rest()
        await server.until(opened=1, closed=1)


async def test_faults_after_the_client_has_closed_do_nothing(serve, open_line):
    async with serve(faults=("reset=20ms", "close=10ms")) as server:
        async with open_line(server):
            pass
        await server.until(closed=1)
        async with open_line(
            server
        ) as line:  # closed, then reset: the other one's clock has run out by then
            assert await line.receive(4) == b"\x88\x02\x03\xe9"
            await server.until(closed=2)


async def test_fault_close(serve):
    async with serve(faults=("close=50ms",)) as server, connect(server.url) as client:
        with pytest.raises(ConnectionClosed, match="1001"):
            await client.recv()
        await server.until(opened=1, closed=1)
