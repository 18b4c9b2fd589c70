"""XMPP over WebSocket (RFC 7395): logs in, joins a room, and checks that its messages come back.

loadgen-coord --session xmpp.py wss://chat.example/xmpp-websocket
"""

import base64
from xml.etree import ElementTree

HOST, ROOMS = "localhost", "rooms.localhost"
NAME, PASSWORD = "load", "secret"
TURNS = 4
FRAMING = 'xmlns="urn:ietf:params:xml:ns:xmpp-framing"'
SASL = 'xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN"'
BIND = 'xmlns="urn:ietf:params:xml:ns:xmpp-bind"'
MUC = 'xmlns="http://jabber.org/protocol/muc"'
CLIENT = 'xmlns="jabber:client"'
PING, BODY = "{urn:xmpp:ping}ping", "{jabber:client}body"


async def receive(user, ws):
    """Returns the next element; answers the pings (XEP-0199) before it."""
    while (element := ElementTree.fromstring(await ws.receive(timeout=30))).find(PING) is not None:
        number, sender = element.get("id"), element.get("from")
        await ws.send(f'<iq {CLIENT} type="result" id="{number}" to="{sender}"/>')
        user.count("pings_answered")
    return element


async def ask(user, ws, name, request, *answers):
    """Sends a request, and checks the tags of its answers."""
    await ws.send(request)
    for tag in answers:
        answer = await receive(user, ws)
        sample = ElementTree.tostring(answer)
        user.check(name, answer.tag.endswith("}" + tag), sample=sample, fatal=True)


async def session(user):
    room, nick = f"room-{user.number % 5}@{ROOMS}", f"u{user.number}"
    secret = base64.b64encode(f"\0{NAME}\0{PASSWORD}".encode()).decode()
    bind = f"<bind {BIND}><resource>{nick}</resource></bind>"
    opening = f'<open {FRAMING} to="{HOST}" version="1.0"/>'
    ws = await user.connect(subprotocols=["xmpp"])
    await ask(user, ws, "opened", opening, "open", "features")
    await ask(user, ws, "logged in", f"<auth {SASL}>{secret}</auth>", "success")
    await ask(user, ws, "opened", opening, "open", "features")
    await ask(user, ws, "bound", f'<iq {CLIENT} type="set" id="1">{bind}</iq>', "iq")
    await ws.send(f'<presence {CLIENT} to="{room}/{nick}"><x {MUC}/></presence>')

    for turn in range(TURNS):
        await user.think(0.3)
        body = f"<body>{nick}: {turn}</body>"
        with user.time("round trip"):
            await ws.send(f'<message {CLIENT} type="groupchat" to="{room}">{body}</message>')
            while (await receive(user, ws)).findtext(BODY) != f"{nick}: {turn}":
                pass  # presence, and what others say
    await ws.send(f"<close {FRAMING}/>")
    await ws.wait_closed(timeout=30)
