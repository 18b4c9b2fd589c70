"""Speaks Socket.IO 4: opens, sends events, answers pings, leaves."""

import json

SIZES = (0, 1, 125, 126, 4096, 65536)
LETTERS = "Grüße aus Köln 🙂 "
BYTES = bytes(range(256)) * (SIZES[-1] // 256 + 1)
OPEN, PING, PONG, CONNECT, DISCONNECT, EVENT, BINARY_EVENT = "0", "2", "3", "40", "41", "42", "451-"


class Unwelcome(Exception):
    """Ends the session as `error_Unwelcome`."""


async def packet(user, ws):
    """Returns the next packet; the server's pings before it are answered."""
    while (message := await ws.receive(timeout=30)) == PING:
        await ws.send(PONG)
        user.count("pings_answered")
    return message


async def expect(user, ws, beginning):
    message = await packet(user, ws)
    if not message.startswith(beginning):
        raise Unwelcome(message)
    return message.removeprefix(beginning)


async def session(user):
    user.count("sessions")
    ws = await user.connect()
    extensions = ws.headers.get("sec-websocket-extensions", "")
    user.count("compressed", int(extensions.startswith("permessage-deflate")))
    await expect(user, ws, OPEN)
    await ws.send(CONNECT)
    await expect(user, ws, CONNECT)
    for size in SIZES:
        text = (LETTERS * (size // len(LETTERS) + 1))[:size]
        await ws.send(EVENT + json.dumps(["echo", text]))
        user.count("right", int(json.loads(await expect(user, ws, EVENT)) == ["echo", text]))
        data = BYTES[user.number % 256 :][:size]
        attached = ["echo", {"_placeholder": True, "num": 0}]
        await ws.send(BINARY_EVENT + json.dumps(attached))
        await ws.send(data)
        header = json.loads(await expect(user, ws, BINARY_EVENT))
        user.count("right", int(header == attached and await packet(user, ws) == data))
        await ws.ping(timeout=30)
    await ws.receive_until(lambda message: message == PING, timeout=30)
    await ws.send(PONG)
    user.count("pings_answered")
    await ws.send(DISCONNECT)
    await ws.close()
