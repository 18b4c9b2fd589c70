"""XMPP over WebSocket (RFC 7395): logs in, joins a room, and checks that its messages come back.

loadgen-coord --session xmpp.py wss://chat.example/xmpp-websocket
"""

from base64 import b64encode
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


async def receive(ws):
    return ElementTree.fromstring(await ws.receive(timeout=30))


async def ask(user, ws, name, request, *answers):
    """Sends a request, and checks the tags of its answers."""
    await ws.send(request)
    for tag in answers:
        found = (await receive(ws)).tag
        user.check(name, found.endswith("}" + tag), sample=found, fatal=True)


async def session(user):
    room = f"room-{user.number % 5}@rooms.localhost"
    ws = await user.connect(subprotocols=["xmpp"])

    def answer_pings(message):  # XEP-0199
        element = ElementTree.fromstring(message)
        if element.find(PING) is not None:
            ws.send_soon(PONG.format(**element.attrib))
            user.count("pings_answered")
            return True

    ws.on_message(answer_pings)
    await ask(user, ws, "opened", OPEN, "open", "features")
    await ask(user, ws, "logged in", AUTH, "success")
    await ask(user, ws, "opened", OPEN, "open", "features")
    await ask(user, ws, "bound", f'<iq type="set" id="1" xmlns="jabber:client">{BIND}</iq>', "iq")
    await ws.send(JOIN.format(f"{room}/u{user.number}"))
    for turn in range(TURNS):
        await user.think(0.3)
        text = f"{user.number}: {turn}"
        with user.time("round trip"):
            await ws.send(SAY.format(room, text))
            while (await receive(ws)).findtext(BODY) != text:
                pass  # presence, and what others say
    await ws.send(CLOSE)
    await ws.wait_closed(timeout=30)
