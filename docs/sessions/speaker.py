"""A speaker: sends a stamped message to its room now and then; the readers measure its way."""

import json

TURNS = 5


async def session(user):
    ws = await user.connect()
    for _ in range(TURNS):
        await user.think(1)
        await ws.send(json.dumps({"room": "lobby", "text": f"hello {user.stamp()}"}))
    await user.think(10)
