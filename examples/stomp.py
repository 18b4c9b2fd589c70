"""STOMP 1.2: logs in, subscribes to a topic, sends to it, and checks that it comes back.

pip install stompman        # its codec, on each agent
loadgen-coord --session stomp.py wss://broker.example/ws
"""

from stompman.frames import (
    ConnectedFrame,
    ConnectFrame,
    DisconnectFrame,
    HeartbeatFrame,
    ReceiptFrame,
    SendFrame,
    SubscribeFrame,
)
from stompman.serde import FrameParser, dump_frame

LOGIN = {"login": "guest", "passcode": "guest"}
VERSION = {"accept-version": "1.2", "host": "/", "heart-beat": "1000,1000"}
TURNS = 4


async def send(ws, frame):
    await ws.send(dump_frame(frame).decode())


async def receive(user, ws):
    """Returns the next frame; answers the heart-beats before it."""
    while True:
        message = await ws.receive(timeout=30)
        frame = next(FrameParser().parse_frames_from_chunk(message.encode()))
        if not isinstance(frame, HeartbeatFrame):
            return frame
        await ws.send("\n")
        user.count("heart_beats")


async def session(user):
    topic = f"/topic/room-{user.number % 5}"
    ws = await user.connect(subprotocols=["v12.stomp"])
    await send(ws, ConnectFrame(headers=VERSION | LOGIN))
    answer = await receive(user, ws)
    user.check("connected", isinstance(answer, ConnectedFrame), sample=answer, fatal=True)

    await send(ws, SubscribeFrame(headers={"id": "room", "destination": topic, "receipt": "1"}))
    answer = await receive(user, ws)
    user.check("subscribed", isinstance(answer, ReceiptFrame), sample=answer, fatal=True)

    for turn in range(TURNS):
        await user.think(0.5)
        body = f"{user.number}: {turn}".encode()
        with user.time("round trip"):
            await send(ws, SendFrame(headers={"destination": topic}, body=body))
            while (message := await receive(user, ws)).body != body:
                own = message.headers["destination"] == topic
                user.check("own topic", own, sample=message)

    await send(ws, DisconnectFrame(headers={"receipt": "bye"}))
    await ws.close()
