"""A session of a dozen lines, of the kind that users write."""


async def session(user):
    """Sends a message every few seconds, with random pauses and a variable."""
    ws = await user.connect()
    hello = await ws.receive(timeout=10)
    user.vars["hello"] = hello
    for turn in range(1000):
        pause = user.random.uniform(1, 3)
        await user.think(pause)
        with user.transaction("turn"):
            await ws.send_json({"type": "ping"})
            reply = await ws.receive(timeout=10)
        if "pong" not in reply:
            user.count("strange", turn)
    await ws.close()
