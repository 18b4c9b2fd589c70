"""SignalR: negotiates, joins a group, and checks what the hub calls.

loadgen-coord --session signalr.py wss://chat.example/chat
"""

import asyncio
import json
from collections import deque

TOKEN = {"Authorization": "Bearer secret"}
HEART_BEAT = 0.5  # seconds; SignalR's own client has 15, and its server waits 30
TURNS = 4
END = "\x1e"
INVOCATION, PING, CLOSE = 1, 6, 7


async def send(ws, **record):
    await ws.send(json.dumps(record) + END)


async def heart_beat(user, ws):
    while True:
        await asyncio.sleep(HEART_BEAT)
        await send(ws, type=PING)
        user.count("pings_sent")


async def receive(user, ws, records):
    """Returns the next record; a message has one or more, each with its end."""
    while not records:
        records.extend((await ws.receive(timeout=10)).split(END)[:-1])
    record = json.loads(records.popleft())
    user.check("stays open", record.get("type") != CLOSE, sample=record, fatal=True)
    return record


async def session(user):
    reply = await user.http.post("/chat/negotiate?negotiateVersion=1", headers=TOKEN)
    user.check("negotiated", reply.status == 200, sample=await reply.text(), fatal=True)
    connection = (await reply.json())["connectionToken"]
    ws = await user.connect(f"/chat?id={connection}", headers=TOKEN)
    records = deque()
    await send(ws, protocol="json", version=1)
    answer = await receive(user, ws, records)
    user.check("connected", answer == {}, sample=answer, fatal=True)
    beating = asyncio.create_task(heart_beat(user, ws))
    group = f"room-{user.number % 5}"
    await send(ws, type=INVOCATION, invocationId="join", target="Join", arguments=[group])
    while (record := await receive(user, ws, records)).get("invocationId") != "join":
        pass  # pings, and what others say
    user.check("joined", "error" not in record, sample=record, fatal=True)
    for turn in range(TURNS):
        await user.think(0.4)
        said = [group, f"{user.number}: {turn}"]
        with user.time("round trip"):
            await send(ws, type=INVOCATION, target="Say", arguments=said)
            while (await receive(user, ws, records)).get("arguments") != said:
                pass  # pings, results, and what others say
    beating.cancel()
    await ws.close()
