"""STOMP 1.2: logs in, subscribes to a topic, sends to it, and checks that it comes back.

pip install stompman        # its codec, on each agent
loadgen-coord --session stomp.py wss://broker.example/ws
"""

from stompman import frames
from stompman.serde import FrameParser, dump_frame

LOGIN = {"login": "guest", "passcode": "guest"}
VERSION = {"accept-version": "1.2", "host": "/", "heart-beat": "1000,1000"}
HEART_BEAT = "\n"
TURNS = 4


async def send(ws, frame):
    await ws.send(dump_frame(frame).decode())


async def receive(ws):
    message = await ws.receive(timeout=30)
    return next(FrameParser().parse_frames_from_chunk(message.encode()))


async def session(user):
    topic = f"/topic/room-{user.number % 5}"
    ws = await user.connect(subprotocols=["v12.stomp"])

    def heart_beat(message):
        if message == HEART_BEAT:
            ws.send_soon(HEART_BEAT)
            user.count("heart_beats")
            return True

    ws.on_message(heart_beat)
    await send(ws, frames.ConnectFrame(headers=VERSION | LOGIN))
    answer = await receive(ws)
    user.check("connected", isinstance(answer, frames.ConnectedFrame), sample=answer, fatal=True)

    room = {"id": "room", "destination": topic, "receipt": "1"}
    await send(ws, frames.SubscribeFrame(headers=room))
    answer = await receive(ws)
    user.check("subscribed", isinstance(answer, frames.ReceiptFrame), sample=answer, fatal=True)

    for turn in range(TURNS):
        await user.think(0.5)
        body = f"{user.number}: {turn}".encode()
        with user.time("round trip"):
            await send(ws, frames.SendFrame(headers={"destination": topic}, body=body))
            while (message := await receive(ws)).body != body:
                pass  # what others send
        user.check("own topic", message.headers["destination"] == topic, sample=message)
    await send(ws, frames.DisconnectFrame(headers={"receipt": "bye"}))
    await ws.close()
