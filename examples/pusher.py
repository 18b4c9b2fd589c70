"""Pusher Channels: subscribes to a private channel, publishes, and checks the events.

loadgen-coord --session pusher.py 'wss://ws-eu.pusher.com/app/KEY?protocol=7'
"""

import hashlib
import hmac
import json
import time

APP, KEY, SECRET = "1", "key", "secret"
TURNS = 4
PING, PONG = "pusher:ping", '{"event":"pusher:pong","data":{}}'


def signature_of(text):
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


async def publish(user, channel, event, data):
    """Publishes over the HTTP API, as the application's backend does."""
    path = f"/apps/{APP}/events"
    body = json.dumps({"name": event, "channel": channel, "data": json.dumps(data)})
    digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    query = f"auth_key={KEY}&auth_timestamp={int(time.time())}&auth_version=1.0&body_md5={digest}"
    signature = signature_of(f"POST\n{path}\n{query}")
    url = f"{path}?{query}&auth_signature={signature}"
    json_type = {"Content-Type": "application/json"}
    reply = await user.http.post(url, data=body, headers=json_type, name="publish")
    user.check("published", reply.status == 200, sample=await reply.text())


async def session(user):
    channel = f"private-room-{user.number % 5}"
    ws = await user.connect()

    def answer_ping(message):
        if json.loads(message)["event"] == PING:
            ws.send_soon(PONG)
            user.count("pings_answered")
            return True

    ws.on_message(answer_ping)
    first = await ws.receive_json(timeout=10)
    greeted = first["event"] == "pusher:connection_established"
    user.check("connected", greeted, sample=first, fatal=True)
    socket = json.loads(first["data"])["socket_id"]
    auth = f"{KEY}:{signature_of(f'{socket}:{channel}')}"
    await ws.send_json({"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth}})
    answer = await ws.receive_json(timeout=10)
    subscribed = answer["event"] == "pusher_internal:subscription_succeeded"
    user.check("subscribed", subscribed, sample=answer, fatal=True)

    for turn in range(TURNS):
        await user.think(0.4)
        data = {"user": user.number, "text": f"message {turn}"}
        with user.time("round trip"):
            await publish(user, channel, "said", data)
            await ws.receive_json(timeout=10, event="said", channel=channel, data=json.dumps(data))
    await ws.close()
