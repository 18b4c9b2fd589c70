"""The target of the comparison sees all that a client does.

The clients are a real one of the websockets library, and bare sockets.
"""

import asyncio
import json
import socket
import subprocess
import sys
from contextlib import contextmanager

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.compare.recording import Recording
from tests.processes import PATIENCE


@contextmanager
def recorder(tmp_path):
    """A recorder on a free port, and where its recording will be."""
    file = tmp_path / "recording.json"
    words = [sys.executable, "-m", "tests.compare.recorder", "0", str(file)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        try:
            yield int(server.stdout.readline().split()[-1]), lambda: ended(server, file)
        finally:
            server.kill()


def ended(server, file):
    server.communicate(timeout=PATIENCE)
    return msgspec.json.decode(file.read_bytes(), type=Recording)


def url(port, path):
    return f"ws://127.0.0.1:{port}{path}"


async def test_messages_tokens_and_close_frames_are_written_down(tmp_path):
    with recorder(tmp_path) as (port, recording):
        async with connect(url(port, "/silent?more")) as silent:
            await silent.send(b"bytes")
        async with connect(url(port, "/token/room-7")) as client:
            await client.send("poll")
            answer = json.loads(await client.recv())
            await client.send(f"token={answer['token']}")
            await client.recv()
            await client.send("token=t0 left=2")
            await client.recv()
            await client.close(1001)
        counts = (await asyncio.to_thread(recording)).counts()

    assert answer["left"] == 2
    assert counts == {
        "TCP connections": 2,
        "upgrades": 2,
        "users of /silent": 1,
        "users of /token/room-#": 1,
        "ends with close frame 1000": 1,
        "ends with close frame 1001": 1,
        "binary messages": 1,
        "text messages": 3,
        "“bytes”": 1,
        "“poll”": 1,
        "“token=its own token”": 1,
        "“token=t# left=#”": 1,
    }


async def test_times_are_those_between_messages_and_between_upgrades(tmp_path):
    with recorder(tmp_path) as (port, recording):
        async with connect(url(port, "/echo")) as one:
            await one.send("think")
            await one.recv()
            with socket.create_connection(
                ("127.0.0.1", port)
            ) as bare:  # no user: it asks for no upgrade
                bare.send(b"frame")
            async with connect(url(port, "/echo")) as other:
                await one.send("done")
                await one.recv()
                await other.close()
        recorded = await asyncio.to_thread(recording)

    assert (len(recorded.connections), len(recorded.upgraded)) == (3, 2)
    assert len(recorded.arrival_gaps()) == 1
    assert len(recorded.think_times("think")) == 1
    assert recorded.think_times("done") == []
    assert recorded.arrival_gaps()[0] > 0
    assert 0 < recorded.think_times("think")[0] < PATIENCE


async def test_a_client_that_vanishes_sent_no_close_frame(tmp_path):
    with recorder(tmp_path) as (port, recording):
        async with connect(url(port, "/echo")) as client:
            await client.send("hello")
            await client.recv()
            client.transport.abort()
        counts = (await asyncio.to_thread(recording)).counts()

    assert counts["ends with no close frame"] == 1


async def test_the_server_pings_and_its_pongs_count(tmp_path):
    with recorder(tmp_path) as (port, recording):
        async with connect(url(port, "/ping")) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
        counts = (await asyncio.to_thread(recording)).counts()

    assert counts["pongs"] >= 1


async def test_the_server_says_goodbye_speaks_unasked_and_upgrades_in_pieces(tmp_path):
    with recorder(tmp_path) as (port, recording):
        async with connect(url(port, "/burst")) as client:
            assert [await client.recv() for _ in range(3)] == ["alpha", "beta", "gamma"]
        async with connect(url(port, "/pieces")) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
        async with connect(url(port, "/bye")) as client:
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1001
        counts = (await asyncio.to_thread(recording)).counts()

    assert counts["ends with close frame 1001"] == 1


async def test_the_first_piece_of_an_upgrade_is_none_yet(tmp_path):
    with recorder(tmp_path) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"GET /pieces HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection:"
            " Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version:"
            " 13\r\n\r\n".encode()
        )
        first = await reader.read(4096)
        writer.close()

    assert first.startswith(b"HTTP/1.1 101")
    assert not first.endswith(b"\r\n\r\n")
