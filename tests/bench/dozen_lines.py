"""A session of a dozen lines, as people write them."""


async def session(user):
    """Talks every few seconds, with numbers and variables of its own."""
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
