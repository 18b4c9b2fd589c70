"""Sends texts and binary messages of many lengths to an echo server."""

SIZES = (0, 1, 125, 126, 4096, 65536)
LETTERS = "Grüße aus Köln 🙂 "
BYTES = bytes(range(256)) * (SIZES[-1] // 256 + 1)


async def session(user):
    user.count("sessions")
    ws = await user.connect()
    extensions = ws.headers.get("sec-websocket-extensions", "")
    user.count("compressed", int(extensions.startswith("permessage-deflate")))
    for size in SIZES:
        text = (LETTERS * (size // len(LETTERS) + 1))[:size]
        for message in (text, BYTES[user.number % 256 :][:size]):
            await ws.send(message)
            user.count("right", int(await ws.receive(timeout=30) == message))
        await ws.ping(timeout=30)
    await ws.close()
