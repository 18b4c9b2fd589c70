"""STOMP 1.2: logs in, subscribes to a topic, sends to it, and checks that it comes back.

pip install stompman        # its codec, on each agent
loadgen-coord --session stomp.py wss://broker.example/ws
"""

import asyncio
from contextlib import suppress

from stompman import frames
from stompman.serde import FrameParser, dump_frame

LOGIN = {"login": "guest", "passcode": "guest"}
VERSION = {"accept-version": "1.2", "host": "/", "heart-beat": "1000,1000"}
HEART_BEAT = "\n"
TURNS = 4


async def send(ws, frame):
    await ws.send(dump_frame(frame).decode())


async def receive(user, ws):
    """Returns the next frame; answers the heart-beats before it."""
    while (message := await ws.receive(timeout=30)) == HEART_BEAT:
        await ws.send(HEART_BEAT)
        user.count("heart_beats")
    return next(FrameParser().parse_frames_from_chunk(message.encode()))


async def wait(user, ws, seconds):
    """Waits, and answers heart-beats meanwhile; what else comes is dropped."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                await receive(user, ws)


async def session(user):
    topic = f"/topic/room-{user.number % 5}"
    ws = await user.connect(subprotocols=["v12.stomp"])
    await send(ws, frames.ConnectFrame(headers=VERSION | LOGIN))
    answer = await receive(user, ws)
    user.check("connected", isinstance(answer, frames.ConnectedFrame), sample=answer, fatal=True)

    room = {"id": "room", "destination": topic, "receipt": "1"}
    await send(ws, frames.SubscribeFrame(headers=room))
    answer = await receive(user, ws)
    user.check("subscribed", isinstance(answer, frames.ReceiptFrame), sample=answer, fatal=True)

    for turn in range(TURNS):
        await wait(user, ws, 0.5)
        body = f"{user.number}: {turn}".encode()
        with user.time("round trip"):
            await send(ws, frames.SendFrame(headers={"destination": topic}, body=body))
            while (message := await receive(user, ws)).body != body:
                pass  # what others send
        user.check("own topic", message.headers["destination"] == topic, sample=message)
    await send(ws, frames.DisconnectFrame(headers={"receipt": "bye"}))
    await ws.close()
