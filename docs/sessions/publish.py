"""Publishes over HTTP with aiohttp, and awaits the event on the socket."""

import json
from functools import cache
from urllib.parse import urlsplit

import aiohttp


@cache
def http():
    """One pool of connections for all users of a worker."""
    return aiohttp.ClientSession()


async def session(user):
    channel = f"user-{user.number}"
    ws = await user.connect(f"/v1/realtime?project=console&channels[]={channel}")
    await ws.receive(timeout=5)
    url = f"http://{urlsplit(user.target).netloc}/publish"
    for turn in range(3):
        await user.think(1)
        with user.transaction("publish"):
            async with http().post(url, json={"channels": [channel], "payload": turn}) as reply:
                reply.raise_for_status()
            event = json.loads(await ws.receive(timeout=5))
        if event["data"]["payload"] != turn:
            user.count("out_of_order")
    await ws.close()
