"""The target's plain HTTP on the WebSockets' port: GET /stats, POST /publish."""

import logging
from datetime import UTC, datetime

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from loadgen.target.bus import MAX_BODY, Bus
from loadgen.target.modes import Publication, event_frame
from loadgen.target.request import resource_of
from loadgen.target.state import WorkerState


def application(state: WorkerState, bus: Bus) -> web.Application:
    """Returns the aiohttp application of one worker, which answers for all of them."""

    async def stats(_: web.Request) -> web.Response:
        return web.json_response(state.stats())

    async def publish(request: web.Request) -> web.Response:
        try:
            publication = msgspec.json.decode(await request.read(), type=Publication)
        except (msgspec.DecodeError, ConnectionResetError) as mistake:
            # The latter: the client closed before the end of the body.
            return web.json_response({"error": str(mistake)}, status=400)
        reached = await bus.publish(
            publication.channels, event_frame(publication, datetime.now(UTC))
        )
        answer = {"subscribers": reached.connections}
        if reached.silent_workers:
            answer["silent_workers"] = reached.silent_workers
        return web.json_response(answer)

    async def upgrade_required(request: web.Request) -> web.Response:
        why = state.mode.refusal(resource_of(request.raw_path.encode()))
        if why or request.method != "GET":
            return web.Response(status=404, text=f"{why or 'nothing is posted here'}\n")
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        return web.Response(status=426, headers=headers, text="this path speaks WebSocket\n")

    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_get("/stats", stats)
    app.router.add_post("/publish", publish)
    app.router.add_route("*", "/{path:.*}", upgrade_required)
    return app


def _is_ours(record: logging.LogRecord) -> bool:
    """True for an error of ours; a client's bad HTTP gets a 400 as its answer."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
