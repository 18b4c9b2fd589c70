"""Centrifugo: connects with a token, subscribes, publishes, and checks what comes back.

loadgen-coord --session centrifugo.py wss://rt.example/connection/websocket
"""

import hmac
import json
from base64 import urlsafe_b64encode
from collections import deque

SECRET = b"secret"  # the server's `client.token.hmac_secret_key`
PING = PONG = "{}"
TURNS = 4


def token_of(name):
    """Returns the JSON web token of a user, signed by HS256."""
    parts = {"alg": "HS256", "typ": "JWT"}, {"sub": name}
    texts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    signature = urlsafe_b64encode(hmac.digest(SECRET, b".".join(texts), "sha256")).rstrip(b"=")
    return b".".join([*texts, signature]).decode()


async def receive(ws, lines):
    """Returns the next line of JSON; a message has one or more."""
    while not lines:
        lines.extend((await ws.receive(timeout=10)).splitlines())
    return json.loads(lines.popleft())


async def session(user):
    channel = f"chat:{user.number % 5}"
    ws = await user.connect()
    lines = deque()

    def answer_ping(message):
        if PING in message.splitlines():
            ws.send_soon(PONG)
            user.count("pings_answered")

    async def call(number, **command):
        """Sends a command and returns its reply; drops what comes before it."""
        await ws.send_json({"id": number, **command})
        while (reply := await receive(ws, lines)).get("id") != number:
            pass
        user.check("no error", "error" not in reply, sample=reply, fatal=True)
        return reply

    ws.on_message(answer_ping)
    reply = await call(1, connect={"token": token_of(f"u{user.number}")})
    user.check("connected", reply["connect"]["client"], sample=reply)
    await call(2, subscribe={"channel": channel})
    for turn in range(TURNS):
        await user.think(0.5)
        data = {"user": user.number, "text": f"message {turn}"}
        with user.time("round trip"):
            await ws.send_json({"id": 3 + turn, "publish": {"channel": channel, "data": data}})
            while (await receive(ws, lines)).get("push", {}).get("pub", {}).get("data") != data:
                pass  # pings, replies, and what others publish
    await ws.close()
