"""Logs in over the socket, checks the answer, and stays; the login is a transaction."""

import json

STAY = 3


class Unwelcome(Exception):
    """Ends the session as `error_Unwelcome`."""


async def session(user):
    ws = await user.connect()
    with user.transaction("login"):
        with user.time("greeting"):
            greeting = json.loads(await ws.receive(timeout=5))
        if greeting["type"] != "connected":
            raise Unwelcome(greeting)
        await ws.send_json({"type": "authentication", "data": {"session": f"secret-{user.number}"}})
        answer = json.loads(await ws.receive(timeout=5))
    user.count("logins" if answer["type"] == "response" else "guests")
    for _ in range(STAY):
        await user.think.uniform(0.5, 1.5)
        user.count("slow_pings", await ws.ping(timeout=5) > 0.5)
    await ws.close()
