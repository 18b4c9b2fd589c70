"""The clients that loadgen is compared with as receivers.

`python -m tests.bench.receivers LIBRARY CONNECTIONS PORT` opens connections with one library's
leanest settings under uvloop, prints a line, reads messages until standard input ends, and prints
their number.
"""

import asyncio
import os
import sys
from typing import ClassVar

import aiohttp
import picows
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from tests.bench.yardsticks import RESOURCE


class Counting(picows.WSListener):
    """The listener of one connection of picows, and the count of all messages."""

    received: ClassVar[int] = 0

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Counts a message."""
        Counting.received += 1


async def open_picows(url: str) -> object:
    """Returns a connection of picows, which calls its listener."""
    return await picows.ws_connect(Counting, url, enable_auto_pong=False)


async def open_websockets(url: str) -> object:
    """Returns a task that reads a connection of websockets."""
    connection = await connect(url, compression=None, ping_interval=None, max_queue=None)
    return asyncio.create_task(_read_websockets(connection))


async def _read_websockets(connection: ClientConnection) -> None:
    async for _ in connection:
        Counting.received += 1


async def open_aiohttp(url: str) -> object:
    """Returns a task that reads a connection of aiohttp."""
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    connection = await session.ws_connect(url, autoping=False, compress=0)
    return asyncio.create_task(_read_aiohttp(connection))


async def _read_aiohttp(connection: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in connection:
        Counting.received += 1


OPENERS = {"picows": open_picows, "websockets": open_websockets, "aiohttp": open_aiohttp}


async def main(library: str, count: int, port: int) -> None:
    """Opens the connections, and prints how many messages came.

    It counts until standard input ends.
    """
    url = f"ws://127.0.0.1:{port}{RESOURCE}"
    kept = [await OPENERS[library](url) for _ in range(count)]
    print(len(kept), flush=True)
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    await over.wait()
    print(Counting.received, flush=True)
    os._exit(0)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
