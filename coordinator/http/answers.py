"""The answers of the coordinator's port: JSON, and refusals of one line."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

import msgspec
from aiohttp import web

from coordinator.text import one_line
from loadgen.http.server import Handler
from loadgen.wire import from_agent

Message = TypeVar("Message")


def decoded(body: bytes, message: type[Message]) -> Message:
    """Returns the message in a body; raises HTTPBadRequest where there is none."""
    try:
        return from_agent(body, message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def json_reply(body: bytes) -> web.Response:
    """Returns the reply with a body that is JSON."""
    return web.Response(body=body, content_type="application/json")


def error_reply(
    status: int, text: str, headers: Mapping[str, str] = MappingProxyType({})
) -> web.Response:
    """Returns a refusal in JSON.

    Of the headers it has the one that says when to ask again.
    """
    return web.Response(
        status=status,
        text=json.dumps({"error": text}),
        content_type="application/json",
        headers={name: headers[name] for name in ("Retry-After",) if name in headers},
    )


@web.middleware
async def plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns refusals into JSON of one line: aiohttp's own, and what nobody foresaw.

    A request may hold anything, and no request of a stranger may fill the operator's terminal with
    tracebacks.
    """
    try:
        return await handler(request)
    except web.HTTPException as error:
        text = " ".join((error.text or error.reason).split())
        return error_reply(error.status, text, error.headers)
    except Exception as error:  # a part of the request that the handler takes for what it is not
        return error_reply(
            400, one_line(f"this request has no answer: {type(error).__name__}: {error}")
        )
