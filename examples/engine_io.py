"""Bare engine.io: sends messages and checks their echoes; answers the server's pings.

loadgen-coord --session engine_io.py 'wss://rt.example/engine.io/?EIO=4&transport=websocket'
"""

import json

TOKEN = "secret"
TURNS = 4
OPEN, PING, PONG, MESSAGE = "0", "2", "3", "4"


async def session(user):
    ws = await user.connect(headers={"Authorization": f"Bearer {TOKEN}"})

    def heart_beat(message):
        if message == PING:
            ws.send_soon(PONG)
            user.count("pings_answered")
            return True

    ws.on_message(heart_beat)
    packet = await ws.receive(timeout=30)
    opened = packet.startswith(OPEN) and json.loads(packet[1:])
    user.check("opened", opened and opened["sid"], sample=packet, fatal=True)
    for turn in range(TURNS):
        await user.think(0.3)
        message = f"{MESSAGE}{user.number}: {turn}"
        with user.time("echo"):
            await ws.send(message)
            packet = await ws.receive(timeout=30)
        user.check("echo", packet == message, sample=packet)
    await ws.close()
