"""A small chat by Phoenix's channels, with version 2.0.0 of their JSON.

It is written after Phoenix's own description: "Writing a Channels Client" of its guides.
`python -m tests.recipes.servers.phoenix PORT` serves it.
"""

import json
import sys
from typing import Any

from aiohttp import WSMsgType, web

from tests.recipes.servers.rooms import Rooms, Socket, send

TOKEN = "secret"
SILENCE = 2.0
"""Seconds without a message after which a client is dead; Phoenix has 60."""


class PhoenixServer:
    """A socket with the channels `room:*`."""

    def __init__(self) -> None:
        self._rooms = Rooms()

    async def serve(self, request: web.Request) -> Socket:
        """Serves a connection: GET /socket/websocket."""
        query = request.query
        if (query.get("vsn"), query.get("token")) != ("2.0.0", TOKEN):
            raise web.HTTPForbidden
        socket = Socket(receive_timeout=SILENCE)
        await socket.prepare(request)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._handle(socket, *message.json())
        except TimeoutError:
            await socket.close()
        finally:
            self._rooms.drop(socket)
        return socket

    async def _handle(
        self, socket: Socket, join: str | None, ref: str, topic: str, event: str, payload: Any
    ) -> None:
        async def reply(status: str, **response: Any) -> None:
            answer = {"status": status, "response": response}
            await send(socket, json.dumps([join, ref, topic, "phx_reply", answer]))

        if (topic, event) == ("phoenix", "heartbeat"):
            await reply("ok")
        elif event == "phx_join" and topic.startswith("room:"):
            self._rooms.join(topic, socket)
            await reply("ok")
        elif not self._rooms.has(topic, socket):
            await reply("error", reason="unmatched topic")
        elif event == "phx_leave":
            self._rooms.leave(topic, socket)
            await reply("ok")
            await send(socket, json.dumps([join, ref, topic, "phx_close", {}]))
        elif event == "say":
            await self._rooms.tell(topic, json.dumps([None, None, topic, "said", payload]))
            await reply("ok")
        else:
            await reply("error", reason="unknown event")


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/socket/websocket", PhoenixServer().serve)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
