"""A small Centrifugo: its protocol in JSON, with the channels `chat:*`.

It is written after "Client protocol" of Centrifugo's documentation.
`python -m tests.recipes.servers.centrifugo PORT` serves it.
"""

import base64
import hashlib
import hmac
import json
import secrets
import sys
from typing import Any

from aiohttp import WSMsgType, web

from tests.recipes.servers.rooms import Rooms, Socket, repeating, send

SECRET = b"secret"
"""Of the tokens."""
PING = 1
"""Seconds between pings; each must be answered before the next. Centrifugo has 25 and 8."""


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _user_of(token: str) -> str | None:
    """Returns the user of a JSON web token by HS256; None if it is not a good one."""
    try:
        signed, _, signature = token.rpartition(".")
        header, claims = (json.loads(_unpadded(part)) for part in signed.split("."))
        expected = hmac.new(SECRET, signed.encode(), hashlib.sha256).digest()
        good = header["alg"] == "HS256" and hmac.compare_digest(_unpadded(signature), expected)
        return str(claims["sub"]) if good else None
    except (KeyError, ValueError):
        return None


class CentrifugoClient:
    """A connection."""

    def __init__(self, rooms: Rooms, socket: Socket) -> None:
        self._rooms = rooms
        self._socket = socket
        self._info: dict[str, str] = {}
        self._unanswered = False

    async def serve(self) -> None:
        """Answers commands until the connection is over."""
        async with repeating(PING, self._ping):
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    for line in message.data.splitlines():
                        await self._handle(json.loads(line))

    async def _ping(self) -> None:
        if not self._info:
            return
        if self._unanswered:
            await self._socket.close(code=3012, message=b"no pong")
        self._unanswered = True
        await send(self._socket, "{}")

    async def _handle(self, command: dict[str, Any]) -> None:
        if not command:
            self._unanswered = False
            return
        number = command.pop("id", None)
        [(method, fields)] = command.items()
        if method == "connect":
            await self._connect(number, fields)
        elif not self._info or number is None:
            await self._socket.close(code=3501, message=b"bad request")
        else:
            await self._channel(number, method, fields)

    async def _connect(self, number: int, fields: dict[str, Any]) -> None:
        user = _user_of(fields.get("token", ""))
        if user is None:
            await self._socket.close(code=3500, message=b"invalid token")
            return
        self._info = {"user": user, "client": secrets.token_hex(8)}
        connected = {"client": self._info["client"], "version": "6", "ping": PING, "pong": True}
        await self._reply(number, "connect", connected)

    async def _channel(self, number: int, method: str, fields: dict[str, Any]) -> None:
        channel = fields["channel"]
        if not channel.startswith("chat:"):
            await self._error(number, 102, "unknown channel")
        elif method == "subscribe":
            self._rooms.join(channel, self._socket)
            await self._reply(number, method, {})
        elif method == "unsubscribe":
            self._rooms.leave(channel, self._socket)
            await self._reply(number, method, {})
        elif method == "publish" and self._rooms.has(channel, self._socket):
            publication = {"data": fields["data"], "info": self._info}
            push = {"push": {"channel": channel, "pub": publication}}
            await self._rooms.tell(channel, json.dumps(push))
            await self._reply(number, method, {})
        else:
            await self._error(number, 103, "permission denied")

    async def _reply(self, number: int, method: str, result: dict[str, Any]) -> None:
        await send(self._socket, json.dumps({"id": number, method: result}))

    async def _error(self, number: int, code: int, message: str) -> None:
        error = {"code": code, "message": message}
        await send(self._socket, json.dumps({"id": number, "error": error}))


def centrifugo_app() -> web.Application:
    """Returns the application."""
    rooms = Rooms()

    async def serve(request: web.Request) -> Socket:
        socket = Socket()
        await socket.prepare(request)
        try:
            await CentrifugoClient(rooms, socket).serve()
        finally:
            rooms.drop(socket)
        return socket

    app = web.Application()
    app.router.add_get("/connection/websocket", serve)
    return app


if __name__ == "__main__":
    web.run_app(centrifugo_app(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
