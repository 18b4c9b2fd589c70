"""A small Pusher: version 7 of the Channels protocol, and the HTTP API's events.

It is written after "WebSocket protocol" and "HTTP API" of Pusher Channels' documentation.
`python -m tests.recipes.servers.pusher PORT` serves it.
"""

import hashlib
import hmac
import json
import secrets
import sys
import time
from typing import Any

from aiohttp import WSMsgType, web

from tests.recipes.servers.rooms import Rooms, Socket, repeating, send

KEY = "key"
SECRET = b"secret"
PING = 0.5
"""Seconds between pings, of which each must be answered before the next; Pusher has 120 and 30."""


def _signature(text: str) -> str:
    return hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()


class PusherClient:
    """A connection."""

    def __init__(self, rooms: Rooms, socket: Socket) -> None:
        self._rooms = rooms
        self._socket = socket
        self._id = f"{secrets.randbelow(10**6)}.{secrets.randbelow(10**6)}"
        self._unanswered = False

    async def serve(self, key: str) -> None:
        """Answers events until the connection is over."""
        if key != KEY:
            await self._refuse(4001, "Application does not exist")
            return
        await self._tell("pusher:connection_established", socket_id=self._id, activity_timeout=120)
        async with repeating(PING, self._ping):
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    await self._handle(**message.json())

    async def _ping(self) -> None:
        if self._unanswered:
            await self._refuse(4201, "Pong reply not received")
        self._unanswered = True
        await self._tell("pusher:ping")

    async def _handle(self, event: str, data: Any = None, channel: str = "") -> None:
        if event == "pusher:pong":
            self._unanswered = False
        elif event == "pusher:ping":
            await self._tell("pusher:pong")
        elif event == "pusher:subscribe":
            await self._subscribe(data["channel"], data.get("auth"))
        elif event == "pusher:unsubscribe":
            self._rooms.leave(data["channel"], self._socket)
        elif event.startswith("client-") and self._rooms.has(channel, self._socket):
            text = json.dumps({"event": event, "channel": channel, "data": data})
            await self._rooms.tell(channel, text, but=self._socket)

    async def _subscribe(self, channel: str, auth: str | None) -> None:
        if (
            channel.startswith("private-")
            and auth != f"{KEY}:{_signature(f'{self._id}:{channel}')}"
        ):
            await self._refuse(4009, "Connection not authorized within timeout")
            return
        self._rooms.join(channel, self._socket)
        await self._tell("pusher_internal:subscription_succeeded", channel)

    async def _tell(self, event: str, channel: str | None = None, **data: Any) -> None:
        fields = {"event": event, "data": json.dumps(data)}
        if channel is not None:
            fields["channel"] = channel
        await send(self._socket, json.dumps(fields))

    async def _refuse(self, code: int, why: str) -> None:
        await self._tell("pusher:error", code=code, message=why)
        await self._socket.close(code=code, message=why.encode())


async def _publish(rooms: Rooms, request: web.Request) -> web.Response:
    """Sends an event to its channels, if the request is signed: POST /apps/ID/events."""
    body = await request.read()
    query = {name: value for name, value in request.query.items() if name != "auth_signature"}
    words = "&".join(f"{name}={value}" for name, value in sorted(query.items()))
    good = (
        query.get("auth_key") == KEY
        and query.get("body_md5") == hashlib.md5(body).hexdigest()
        and abs(int(query["auth_timestamp"]) - time.time()) < 600
        and request.query["auth_signature"] == _signature(f"POST\n{request.path}\n{words}")
    )
    if not good:
        return web.Response(status=401, text="Invalid signature")
    fields = json.loads(body)
    for channel in fields.get("channels") or [fields["channel"]]:
        event = {"event": fields["name"], "channel": channel, "data": fields["data"]}
        await rooms.tell(channel, json.dumps(event))
    return web.json_response({})


def pusher_app() -> web.Application:
    """Returns the application."""
    rooms = Rooms()

    async def serve(request: web.Request) -> Socket:
        socket = Socket()
        await socket.prepare(request)
        try:
            await PusherClient(rooms, socket).serve(request.match_info["key"])
        finally:
            rooms.drop(socket)
        return socket

    async def publish(request: web.Request) -> web.Response:
        return await _publish(rooms, request)

    app = web.Application()
    app.router.add_get("/app/{key}", serve)
    app.router.add_post("/apps/{id}/events", publish)
    return app


if __name__ == "__main__":
    web.run_app(pusher_app(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
