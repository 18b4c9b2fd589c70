"""A reader in a task of its own counts what comes, while the session goes on with its story."""

import asyncio


async def read(user, ws):
    while True:
        await ws.receive()
        user.count("echoes")


async def session(user):
    ws = await user.connect()
    reader = asyncio.create_task(read(user, ws))
    for turn in range(3):
        await ws.send(f"hello {turn}")
        await user.think(1)
    reader.cancel()
    await ws.close()
