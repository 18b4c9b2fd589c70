"""A chat: joins a room, sends a message now and then, and times how long each takes to return."""

TURNS = 5


async def session(user):
    room = f"room-{user.number % 50}"
    ws = await user.connect(headers={"X-Room": room})
    for turn in range(TURNS):
        await user.think.exponential(1)
        await ws.send(f"{room}: message {turn} of {user.number}")
        with user.time("delivery"):
            await ws.receive_until(lambda message: message.startswith(room), timeout=5)
        user.count("delivered")
    await ws.close()
