"""Appwrite: logs in, subscribes to a collection, creates documents, and checks their events.

loadgen-coord --session appwrite.py 'wss://appwrite.example/v1/realtime?project=demo'
"""

import asyncio
import json
from urllib.parse import urlencode

PROJECT = {"X-Appwrite-Project": "demo"}
CHANNEL = "databases.main.collections.news.documents"
DOCUMENTS = "/v1/databases/main/collections/news/documents"
HEART_BEAT = 0.5  # seconds between pings; Appwrite's own clients use 20
TURNS = 4


async def log_in(user):
    account = {"email": f"u{user.number}@example.com", "password": "secret"}
    async with user.http.post(
        "/v1/account/sessions/email", json=account, headers=PROJECT, name="login"
    ) as reply:
        user.check("logged in", reply.status == 201, sample=await reply.text(), fatal=True)
        return (await reply.json())["userId"]


async def heart_beat(user, ws):
    while True:
        await asyncio.sleep(HEART_BEAT)
        await ws.send_json({"type": "ping"})
        user.count("pings_sent")


async def session(user):
    account = await log_in(user)
    cookie = "; ".join(f"{name}={value}" for name, value in user.http.cookies.items())
    query = urlencode({"project": "demo", "channels[]": CHANNEL})
    ws = await user.connect(f"/v1/realtime?{query}", headers={"Cookie": cookie})
    first = json.loads(await ws.receive(timeout=10))
    own = first["type"] == "connected" and first["data"]["user"]["$id"] == account
    user.check("connected as the user", own, sample=first, fatal=True)
    beating = asyncio.create_task(heart_beat(user, ws))

    for turn in range(TURNS):
        await user.think(0.3)
        data = {"text": f"{user.number}: {turn}"}
        body = {"documentId": "unique()", "data": data}
        with user.time("round trip"):
            reply = await user.http.post(DOCUMENTS, json=body, headers=PROJECT, name="create")
            created = await reply.json()
            while True:
                event = json.loads(await ws.receive(timeout=10))
                if event["type"] == "event" and event["data"]["payload"]["$id"] == created["$id"]:
                    break
        user.check("event", event["data"]["payload"]["text"] == data["text"], sample=event)
    beating.cancel()
    await ws.close()
