"""Action Cable: subscribes to a channel, performs its action, and checks what is broadcast.

loadgen-coord --session action_cable.py wss://chat.example/cable
"""

import json

TOKEN = "secret"
TURNS = 4


async def session(user):
    name = f"u{user.number}"
    path = f"/cable?token={TOKEN}&user={name}"
    ws = await user.connect(path, subprotocols=["actioncable-v1-json"])

    def count_ping(message):
        pinged = json.loads(message).get("type") == "ping"  # it wants no answer
        user.count("pings", pinged)
        return pinged

    ws.on_message(count_ping)
    first = await ws.receive_json(timeout=10)
    user.check("welcome", first.get("type") == "welcome", sample=first, fatal=True)

    channel = json.dumps({"channel": "ChatChannel", "room": user.number % 5})
    await ws.send_json({"command": "subscribe", "identifier": channel})
    answer = await ws.receive_json(timeout=10, identifier=channel)
    confirmed = answer.get("type") == "confirm_subscription"
    user.check("subscribed", confirmed, sample=answer, fatal=True)

    for turn in range(TURNS):
        await user.think(0.4)
        text = f"message {turn}"
        action = json.dumps({"action": "say", "text": text})
        with user.time("round trip"):
            await ws.send_json({"command": "message", "identifier": channel, "data": action})
            said = await ws.receive_json(timeout=10, **{"message.user": name})
        user.check("own message", said["message"]["text"] == text, sample=said)
    await ws.send_json({"command": "unsubscribe", "identifier": channel})
    await ws.close()
