"""GraphQL by graphql-transport-ws: subscribes to a room, says things, checks that they come back.

loadgen-coord --session graphql_ws.py wss://chat.example/graphql
"""

import json

TOKEN = "secret"
TURNS = 4
SAID = "subscription ($room: String!) { said(room: $room) }"
SAY = "mutation ($room: String!, $text: String!) { say(room: $room, text: $text) }"


async def subscribe(ws, operation, query, **variables):
    payload = {"query": query, "variables": variables}
    await ws.send_json({"type": "subscribe", "id": operation, "payload": payload})


async def session(user):
    room = f"room-{user.number % 5}"
    ws = await user.connect(subprotocols=["graphql-transport-ws"])

    def on_message(message):
        kind = json.loads(message)["type"]
        user.check("no error", kind != "error", sample=message)
        if kind == "ping":
            ws.send_soon('{"type":"pong"}')
            user.count("pings_answered")
            return True

    ws.on_message(on_message)
    await ws.send_json({"type": "connection_init", "payload": {"token": TOKEN}})
    answer = await ws.receive_json(timeout=30)
    user.check("accepted", answer["type"] == "connection_ack", sample=answer, fatal=True)

    await subscribe(ws, "room", SAID, room=room)
    for turn in range(TURNS):
        await user.think(0.3)
        text = f"{user.number}: {turn}"
        with user.time("round trip"):
            await subscribe(ws, f"say {turn}", SAY, room=room, text=text)
            await ws.receive_json(timeout=30, id="room", **{"payload.data.said": text})

    await ws.send_json({"type": "complete", "id": "room"})
    await ws.close()
