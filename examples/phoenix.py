"""Phoenix channels: joins a room, says things, and checks that they come back.

loadgen-coord --session phoenix.py wss://chat.example/socket/websocket
"""

import asyncio
from itertools import count

TOKEN = "secret"
HEART_BEAT = 0.5  # seconds; Phoenix's own client has 30, and its server waits 60
TURNS = 4
REF, EVENT, PAYLOAD = "[1]", "[3]", 4  # where they are in a message


async def heart_beat(user, ws, refs):
    while True:
        await asyncio.sleep(HEART_BEAT)
        await ws.send_json([None, next(refs), "phoenix", "heartbeat", {}])
        user.count("heart_beats")


async def session(user):
    room = f"room:{user.number % 5}"
    refs = map(str, count(1))
    ws = await user.connect(f"/socket/websocket?vsn=2.0.0&token={TOKEN}")
    beating = asyncio.create_task(heart_beat(user, ws, refs))

    async def push(event, payload):
        """Sends a message and returns its reply; drops what comes before it."""
        ref = next(refs)
        await ws.send_json([join, ref, room, event, payload])
        reply = await ws.receive_json(timeout=10, **{REF: ref, EVENT: "phx_reply"})
        return reply[PAYLOAD]

    join = next(refs)
    reply = await push("phx_join", {})
    user.check("joined", reply["status"] == "ok", sample=reply, fatal=True)
    for turn in range(TURNS):
        await user.think(0.4)
        payload = {"user": user.number, "text": f"message {turn}"}
        with user.time("round trip"):
            await ws.send_json([join, next(refs), room, "say", payload])
            said = await ws.receive_json(timeout=10, **{EVENT: "said", "[4].user": user.number})
        user.check("own message", said[PAYLOAD] == payload, sample=said)
    reply = await push("phx_leave", {})
    user.check("left", reply["status"] == "ok", sample=reply)
    beating.cancel()
    await ws.close()
