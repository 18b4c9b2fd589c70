"""GraphQL by graphql-transport-ws: subscribes to a room, says things, checks that they come back.

loadgen-coord --session graphql_ws.py wss://chat.example/graphql
"""

import asyncio
import json
from contextlib import suppress

TOKEN = "secret"
TURNS = 4
SAID = "subscription ($room: String!) { said(room: $room) }"
SAY = "mutation ($room: String!, $text: String!) { say(room: $room, text: $text) }"


async def receive(user, ws):
    """Returns the next message; answers the pings before it."""
    while (message := json.loads(await ws.receive(timeout=30)))["type"] == "ping":
        await ws.send_json({"type": "pong"})
        user.count("pings_answered")
    user.check("no error", message["type"] != "error", sample=message, fatal=True)
    return message


async def wait(user, ws, seconds):
    """Waits, and answers pings meanwhile; what else comes is dropped."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                await receive(user, ws)


async def subscribe(ws, operation, query, **variables):
    payload = {"query": query, "variables": variables}
    await ws.send_json({"type": "subscribe", "id": operation, "payload": payload})


async def session(user):
    room = f"room-{user.number % 5}"
    ws = await user.connect(subprotocols=["graphql-transport-ws"])
    await ws.send_json({"type": "connection_init", "payload": {"token": TOKEN}})
    answer = await receive(user, ws)
    user.check("accepted", answer["type"] == "connection_ack", sample=answer, fatal=True)

    await subscribe(ws, "room", SAID, room=room)
    for turn in range(TURNS):
        await wait(user, ws, 0.3)
        text = f"{user.number}: {turn}"
        mine = {"id": "room", "type": "next", "payload": {"data": {"said": text}}}
        with user.time("round trip"):
            await subscribe(ws, f"say {turn}", SAY, room=room, text=text)
            while await receive(user, ws) != mine:
                pass  # what others say, and the mutation's own result

    await ws.send_json({"id": "room", "type": "complete"})
    await ws.close()
