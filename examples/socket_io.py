"""Socket.IO: logs in with a token, joins a room, and checks that what it says comes back.

pip install python-socketio        # its codec, on each agent
loadgen-coord --session socket_io.py 'wss://chat.example/socket.io/?EIO=4&transport=websocket'
"""

from socketio.packet import ACK, CONNECT, DISCONNECT, EVENT, Packet

TOKEN = "secret"
TURNS = 4
OPEN, PING, PONG, MESSAGE = "0", "2", "3", "4"  # of engine.io, which Socket.IO's packets travel in


async def send(ws, kind, data=None, number=None):
    await ws.send(MESSAGE + Packet(kind, data, id=number).encode())


async def receive(ws):
    message = await ws.receive(timeout=30)
    return Packet(encoded_packet=message.removeprefix(MESSAGE))


async def session(user):
    room = f"room-{user.number % 5}"
    ws = await user.connect()

    def heart_beat(message):
        if message == PING:
            ws.send_soon(PONG)
            user.count("pings_answered")
            return True

    ws.on_message(heart_beat)
    await ws.receive_until(lambda message: message.startswith(OPEN), timeout=30)
    await send(ws, CONNECT, {"token": TOKEN})
    welcome = await receive(ws)
    user.check("connected", welcome.packet_type == CONNECT, sample=welcome.data, fatal=True)

    await send(ws, EVENT, ["join", room], number=0)
    answer = await receive(ws)
    user.check("joined", (answer.packet_type, answer.data) == (ACK, ["joined"]), sample=answer.data)

    for turn in range(TURNS):
        await user.think(0.3)
        text = f"{user.number}: {turn}"
        with user.time("round trip"):
            await send(ws, EVENT, ["say", room, text])
            while (event := (await receive(ws)).data)[-1] != text:
                pass  # what others say
        user.check("own room", event == ["said", room, text], sample=event)

    await send(ws, DISCONNECT)
    await ws.close()
