"""Plays the case of its number on a fuzzing server: sends every message back."""


async def session(user):
    ws = await user.connect(f"/runCase?case={user.number + 1}&agent=loadgen")
    while ws.open:
        await ws.send(await ws.receive())
