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


async def receive(user, ws):
    """Returns the next packet of Socket.IO; answers the pings before it."""
    while (message := await ws.receive(timeout=30)) == PING:
        await ws.send(PONG)
        user.count("pings_answered")
    return Packet(encoded_packet=message.removeprefix(MESSAGE))


async def session(user):
    room = f"room-{user.number % 5}"
    ws = await user.connect()
    await ws.receive_until(lambda message: message.startswith(OPEN), timeout=30)

    await send(ws, CONNECT, {"token": TOKEN})
    welcome = await receive(user, ws)
    user.check("connected", welcome.packet_type == CONNECT, sample=welcome.data, fatal=True)

    await send(ws, EVENT, ["join", room], number=0)
    answer = await receive(user, ws)
    user.check("joined", (answer.packet_type, answer.data) == (ACK, ["joined"]), sample=answer.data)

    for turn in range(TURNS):
        await user.think(0.3)
        mine = ["said", room, f"{user.number}: {turn}"]
        with user.time("round trip"):
            await send(ws, EVENT, ["say", *mine[1:]])
            while (event := await receive(user, ws)).data != mine:
                user.check("own room", event.data[:2] == mine[:2], sample=event.data)

    await send(ws, DISCONNECT)
    await ws.close()
