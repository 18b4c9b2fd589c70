"""A small hub of SignalR: its negotiation, and its protocol in JSON.

It is written after `HubProtocol.md` and `TransportProtocols.md` of ASP.NET Core's repository.
`python -m tests.recipes.servers.signalr PORT` serves it.
"""

import json
import secrets
import sys
from typing import Any

from aiohttp import WSMsgType, web

from tests.recipes.servers.rooms import Rooms, Socket, repeating, send

TOKEN = "secret"
END = "\x1e"
INVOCATION, COMPLETION, PING, CLOSE = 1, 3, 6, 7
KEEP_ALIVE = 0.5
"""Seconds between the server's pings; SignalR has 15."""
SILENCE = 2.0
"""Seconds without a message after which a client is dead; SignalR has 30."""


def _record(**fields: Any) -> str:
    return json.dumps(fields) + END


class SignalRServer:
    """A hub with the methods Join(room) and Say(room, text)."""

    def __init__(self) -> None:
        self._rooms = Rooms()
        self._tokens: set[str] = set()

    async def negotiate(self, request: web.Request) -> web.Response:
        """Gives the token of a connection: POST /chat/negotiate."""
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise web.HTTPUnauthorized
        token = secrets.token_urlsafe(16)
        self._tokens.add(token)
        transport = {"transport": "WebSockets", "transferFormats": ["Text"]}
        fields = {"connectionId": secrets.token_urlsafe(16), "connectionToken": token}
        more = {"negotiateVersion": 1, "availableTransports": [transport]}
        return web.json_response(fields | more)

    async def serve(self, request: web.Request) -> Socket:
        """Serves a connection: GET /chat?id=TOKEN."""
        token = request.query.get("id", "")
        if token not in self._tokens:
            raise web.HTTPNotFound
        self._tokens.remove(token)
        socket = Socket(receive_timeout=SILENCE)
        await socket.prepare(request)
        try:
            if await _shake_hands(socket):
                async with repeating(KEEP_ALIVE, lambda: send(socket, _record(type=PING))):
                    await self._listen(socket)
        except TimeoutError:
            await send(socket, _record(type=CLOSE, error="Connection closed with an error."))
            await socket.close()
        finally:
            self._rooms.drop(socket)
        return socket

    async def _listen(self, socket: Socket) -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                for text in message.data.split(END)[:-1]:
                    record = json.loads(text)
                    if record["type"] == CLOSE:
                        await socket.close()
                    elif record["type"] == INVOCATION:
                        await self._invoke(socket, record)

    async def _invoke(self, socket: Socket, record: dict[str, Any]) -> None:
        outcome: dict[str, Any] = {"result": None}
        match record["target"], record["arguments"]:
            case "Join", [room]:
                self._rooms.join(room, socket)
            case "Say", [room, text]:
                said = _record(type=INVOCATION, target="Said", arguments=[room, text])
                await self._rooms.tell(room, said)
            case target, _:
                why = f"Failed to invoke '{target}' due to an error on the server."
                outcome = {"error": f"{why} HubException: Method does not exist."}
        if "invocationId" in record:
            number = record["invocationId"]
            await send(socket, _record(type=COMPLETION, invocationId=number, **outcome))


async def _shake_hands(socket: Socket) -> bool:
    """Answers the first record; returns whether it asks for JSON."""
    wanted = json.loads((await socket.receive_str()).removesuffix(END))
    if wanted != {"protocol": "json", "version": 1}:
        await send(socket, _record(error="The protocol is not supported."))
        await socket.close()
        return False
    await send(socket, _record())
    return True


if __name__ == "__main__":
    server = SignalRServer()
    app = web.Application()
    app.router.add_post("/chat/negotiate", server.negotiate)
    app.router.add_get("/chat", server.serve)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
