"""A small Appwrite: accounts, documents, and the events of documents.

It is written after Appwrite's description of its realtime API, and does what a client can see of
https://appwrite.io/docs/apis/realtime and of its REST API: sessions, and the creation of documents.
`python -m tests.recipes.servers.appwrite PORT` serves it.
"""

import base64
import json
import secrets
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from aiohttp import WSMsgType, web

PROJECT = "demo"
COOKIE = f"a_session_{PROJECT}"
PASSWORD = "secret"
SOCKETS = web.AppKey("sockets", dict[web.WebSocketResponse, frozenset[str]])
"""The channels of each open WebSocket."""
SESSIONS = web.AppKey("sessions", dict[str, str])
"""The user of each session, by its secret."""


def _account(user: str) -> dict[str, Any]:
    return {"$id": user, "email": f"{user}@example.com", "status": True}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


async def _log_in(request: web.Request) -> web.Response:
    """Makes a session: POST /v1/account/sessions/email."""
    if request.headers.get("X-Appwrite-Project") != PROJECT:
        return web.json_response({"message": "no such project", "code": 404}, status=404)
    fields = await request.json()
    if fields["password"] != PASSWORD:
        return web.json_response({"message": "Invalid credentials.", "code": 401}, status=401)
    user = fields["email"].partition("@")[0]
    secret = secrets.token_hex(16)
    request.app[SESSIONS][secret] = user
    reply = web.json_response({"$id": secret[:8], "userId": user}, status=201)
    value = json.dumps({"id": user, "secret": secret}).encode()
    reply.set_cookie(COOKIE, base64.b64encode(value).decode(), httponly=True)
    return reply


def _user_of(request: web.Request, session: str) -> str | None:
    try:
        return request.app[SESSIONS].get(json.loads(base64.b64decode(session))["secret"])
    except (KeyError, TypeError, ValueError):  # no cookie, or not one of ours
        return None


async def _create(request: web.Request) -> web.Response:
    """Creates a document; sends its event to those who subscribed to its channels."""
    key = request.headers.get("X-Appwrite-Key")
    if not key and _user_of(request, request.cookies.get(COOKIE, "")) is None:
        return web.json_response({"message": "missing scope", "code": 401}, status=401)
    fields = await request.json()
    database, collection = request.match_info["database"], request.match_info["collection"]
    number = fields["documentId"]
    if number == "unique()":
        number = secrets.token_hex(10)
    now = _now()
    document = {
        **fields["data"],
        "$id": number,
        "$databaseId": database,
        "$collectionId": collection,
        "$createdAt": now,
        "$updatedAt": now,
    }
    path = f"databases.{database}.collections.{collection}.documents"
    channels = ["documents", path, f"{path}.{number}"]
    data = {
        "events": [f"{path}.{number}.create", f"{path}.*.create", f"{path}.{number}", path],
        "channels": channels,
        "timestamp": now,
        "payload": document,
    }
    for socket, wanted in list(request.app[SOCKETS].items()):
        if not wanted.isdisjoint(channels):
            await _send(socket, "event", data)
    return web.json_response(document, status=201)


async def _send(socket: web.WebSocketResponse, kind: str, data: dict[str, Any]) -> None:
    with suppress(ConnectionError):  # it may have closed meanwhile
        await socket.send_json({"type": kind, "data": data})


async def _realtime(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    channels = request.query.getall("channels[]", [])
    if request.query.get("project") != PROJECT or not channels:
        await _send(socket, "error", {"code": 1008, "message": "Missing channels or project"})
        await socket.close(code=1008)
        return socket
    user = _user_of(request, request.cookies.get(COOKIE, ""))
    account = None if user is None else _account(user)
    await _send(socket, "connected", {"channels": channels, "user": account})
    request.app[SOCKETS][socket] = frozenset(channels)
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await _answer(request, socket, message.json())
    finally:
        del request.app[SOCKETS][socket]
    return socket


async def _answer(
    request: web.Request, socket: web.WebSocketResponse, message: dict[str, Any]
) -> None:
    """Answers `ping` and `authentication`, the messages that clients send."""
    if message["type"] == "ping":
        await socket.send_json({"type": "pong"})
    elif message["type"] == "authentication":
        user = _user_of(request, message["data"]["session"])
        if user is None:
            await _send(socket, "error", {"code": 1003, "message": "Session is not valid."})
        else:
            data = {"to": "authentication", "success": True, "user": _account(user)}
            await _send(socket, "response", data)
    else:
        await _send(socket, "error", {"code": 1003, "message": "Message type is not valid."})


def appwrite_app() -> web.Application:
    """Returns the application."""
    app = web.Application()
    app[SOCKETS] = {}
    app[SESSIONS] = {}
    app.router.add_post("/v1/account/sessions/email", _log_in)
    documents = "/v1/databases/{database}/collections/{collection}/documents"
    app.router.add_post(documents, _create)
    app.router.add_get("/v1/realtime", _realtime)
    return app


if __name__ == "__main__":
    web.run_app(appwrite_app(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
