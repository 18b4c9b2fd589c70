"""Socket.IO: logs in with a token, joins a room, and checks that what it says comes back.

pip install python-socketio        # its codec, on each agent
loadgen-coord --session socket_io.py 'wss://chat.example/socket.io/?EIO=4&transport=websocket'
"""

import asyncio
from contextlib import suppress

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


async def wait(user, ws, seconds):
    """Waits, and answers pings meanwhile; what else comes is dropped."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                await receive(user, ws)


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
        await wait(user, ws, 0.3)
        text = f"{user.number}: {turn}"
        with user.time("round trip"):
            await send(ws, EVENT, ["say", room, text])
            while (event := (await receive(user, ws)).data)[-1] != text:
                pass  # what others say
        user.check("own room", event == ["said", room, text], sample=event)

    await send(ws, DISCONNECT)
    await ws.close()
