"""Bare engine.io: sends messages and checks their echoes; answers the server's pings.

loadgen-coord --session engine_io.py 'wss://rt.example/engine.io/?EIO=4&transport=websocket'
"""

import asyncio
import json
from contextlib import suppress

TOKEN = "secret"
TURNS = 4
OPEN, PING, PONG, MESSAGE = "0", "2", "3", "4"


async def receive(user, ws):
    """Returns the next packet; answers the pings before it."""
    while (packet := await ws.receive(timeout=30)) == PING:
        await ws.send(PONG)
        user.count("pings_answered")
    return packet


async def wait(user, ws, seconds):
    """Waits, and answers pings meanwhile; what else comes is dropped."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                await receive(user, ws)


async def session(user):
    ws = await user.connect(headers={"Authorization": f"Bearer {TOKEN}"})
    packet = await receive(user, ws)
    opened = packet.startswith(OPEN) and json.loads(packet[1:])
    user.check("opened", opened and opened["sid"], sample=packet, fatal=True)
    for turn in range(TURNS):
        await wait(user, ws, 0.3)
        message = f"{MESSAGE}{user.number}: {turn}"
        with user.time("echo"):
            await ws.send(message)
            packet = await receive(user, ws)
        user.check("echo", packet == message, sample=packet)
    await ws.close()
