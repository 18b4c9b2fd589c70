"""XMPP over WebSocket (RFC 7395): logs in, joins a room, and checks that its messages come back.

loadgen-coord --session xmpp.py wss://chat.example/xmpp-websocket
"""

import asyncio
from base64 import b64encode
from contextlib import suppress
from xml.etree import ElementTree

LOGIN = b64encode(b"\0load\0secret").decode()  # the name and the password
TURNS = 4
OPEN = '<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="localhost" version="1.0"/>'
AUTH = f'<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">{LOGIN}</auth>'
BIND = '<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/>'
JOIN = """<presence to="{}" xmlns="jabber:client">
  <x xmlns="http://jabber.org/protocol/muc"><history maxstanzas="0"/></x></presence>"""
SAY = '<message type="groupchat" to="{}" xmlns="jabber:client"><body>{}</body></message>'
PONG = '<iq type="result" id="{id}" to="{from}" xmlns="jabber:client"/>'
CLOSE = '<close xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>'
PING, BODY = "{urn:xmpp:ping}ping", "{jabber:client}body"


async def receive(user, ws):
    """Returns the next element; answers the pings (XEP-0199) before it."""
    while (element := ElementTree.fromstring(await ws.receive(timeout=30))).find(PING) is not None:
        await ws.send(PONG.format(**element.attrib))
        user.count("pings_answered")
    return element


async def wait(user, ws, seconds):
    """Waits, and answers pings meanwhile; what else comes is dropped."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                await receive(user, ws)


async def ask(user, ws, name, request, *answers):
    """Sends a request, and checks the tags of its answers."""
    await ws.send(request)
    for tag in answers:
        found = (await receive(user, ws)).tag
        user.check(name, found.endswith("}" + tag), sample=found, fatal=True)


async def session(user):
    room = f"room-{user.number % 5}@rooms.localhost"
    ws = await user.connect(subprotocols=["xmpp"])
    await ask(user, ws, "opened", OPEN, "open", "features")
    await ask(user, ws, "logged in", AUTH, "success")
    await ask(user, ws, "opened", OPEN, "open", "features")
    await ask(user, ws, "bound", f'<iq type="set" id="1" xmlns="jabber:client">{BIND}</iq>', "iq")
    await ws.send(JOIN.format(f"{room}/u{user.number}"))
    for turn in range(TURNS):
        await wait(user, ws, 0.3)
        text = f"{user.number}: {turn}"
        with user.time("round trip"):
            await ws.send(SAY.format(room, text))
            while (await receive(user, ws)).findtext(BODY) != text:
                pass  # presence, and what others say
    await ws.send(CLOSE)
    await ws.wait_closed(timeout=30)
