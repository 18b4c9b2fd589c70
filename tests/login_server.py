"""A server for tests with a login over HTTP beside its WebSocket, by aiohttp.

`python -m tests.login_server` serves it on a free port, which its first line of output says.
"""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiohttp import WSMsgType, web

from loadgen.net.http_pool import MAX_BODY

ROOT = Path(__file__).parents[1]
SLOW = web.AppKey("slow", list[web.Request])
"""The requests to `/slow` so far, which are never answered whole."""
MESSAGES = web.AppKey("messages", list[str])
"""The text messages that came so far."""


async def _login(request: web.Request) -> web.StreamResponse:
    """Answers with a token and a cookie; 403 for user `mallory`."""
    user = (await request.json())["user"]
    if user == "mallory":
        return web.json_response({"error": "no such user"}, status=403)
    reply = web.json_response({"token": f"t-{user}", "admin": False, "items": 3})
    reply.set_cookie("sid", f"c-{user}")
    return reply


async def _form(request: web.Request) -> web.StreamResponse:
    """Logs in by a form, as browsers do: with a cookie and a redirect."""
    fields = await request.post()
    reply = web.Response(status=302, headers={"Location": "/me"})
    reply.set_cookie("sid", f"c-{fields['user']}")
    return reply


async def _me(request: web.Request) -> web.StreamResponse:
    """Answers with what the request brought."""
    return web.json_response(
        {
            "sid": request.cookies.get("sid"),
            "peer": request.remote,
            "agent": request.headers.get("User-Agent"),
            "key": request.headers.get("X-Key"),
            "query": dict(request.query),
            "method": request.method,
            "body": await request.text(),
        },
        headers={"X-Room": "blue"},
    )


async def _port(request: web.Request) -> web.StreamResponse:
    """Answers with the port that the request came from."""
    assert request.transport is not None
    return web.json_response(request.transport.get_extra_info("peername")[1])


async def _slow(request: web.Request) -> web.StreamResponse:
    """Begins a reply and never ends it."""
    request.app[SLOW].append(request)
    reply = web.StreamResponse()
    await reply.prepare(request)
    await reply.write(b"wait")
    await asyncio.Event().wait()
    return reply


async def _big(_: web.Request) -> web.StreamResponse:
    return web.Response(body=bytes(MAX_BODY + 1))


async def _image(_: web.Request) -> web.StreamResponse:
    return web.Response(body=b"\x89PNG\xff")


async def _cut(request: web.Request) -> web.StreamResponse:
    """Closes the connection without a reply."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def _elsewhere(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(request.query["to"])


async def _again(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/again")


async def _echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            request.app[MESSAGES].append(message.data)
            await socket.send_str(f"{request.query.get('token', '')}:{message.data}")
    return socket


async def _messages(request: web.Request) -> web.StreamResponse:
    return web.json_response(request.app[MESSAGES])


def login_app() -> web.Application:
    """Returns the application."""
    app = web.Application()
    app[SLOW] = []
    app[MESSAGES] = []
    app.router.add_post("/login", _login)
    app.router.add_post("/form", _form)
    app.router.add_route("*", "/me", _me)
    app.router.add_get("/port", _port)
    app.router.add_get("/slow", _slow)
    app.router.add_get("/big", _big)
    app.router.add_get("/image", _image)
    app.router.add_get("/cut", _cut)
    app.router.add_get("/elsewhere", _elsewhere)
    app.router.add_get("/again", _again)
    app.router.add_get("/ws", _echo)
    app.router.add_get("/messages", _messages)
    return app


@asynccontextmanager
async def login_server(
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[int, web.Application]]:
    """Serves the application on a free port of 127.0.0.1; gives the port."""
    app = login_app()
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield runner.addresses[0][1], app
    finally:
        await runner.cleanup()


@contextmanager
def login_process() -> Iterator[int]:
    """The application in a process of its own; gives its port on 127.0.0.1."""
    arguments = [sys.executable, "-m", "tests.login_server"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


async def _serve() -> None:
    async with login_server() as (port, _):
        print(port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
