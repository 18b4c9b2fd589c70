"""The OpenAPI document of the coordinator's port.

It is made from the table of routes and the types of the wire format.

https://spec.openapis.org/oas/v3.1.0
"""

import re
from functools import cache
from typing import Any

import msgspec

from coordinator.http.routes import JSON, ROUTES, Access, Error, HttpRoute
from loadgen.version import VERSION
from loadgen.wire import WIRE

REFS = "#/components/schemas/{name}"
ERRORS = {
    400: "the request is malformed",
    408: "the request did not come in time",
    429: "too many requests a second; Retry-After",
}
"""The refusals that every route knows."""
VIEW_ERRORS = {
    401: "viewing needs the token",
    403: "without a token, a request has to name this machine by its address",
}
CHANGE_ERRORS = {
    401: "the token is missing or wrong",
    403: "another site's page may change nothing",
    413: "the body is too large",
}
ACCESS_ERRORS: dict[Access, dict[int, str]] = {
    "open": {},
    "view": VIEW_ERRORS,
    "archive": VIEW_ERRORS,
    "change": CHANGE_ERRORS,
}


@cache
def document() -> bytes:
    """Returns the document as JSON."""
    types = [kind for route in ROUTES for kind in (route.body, route.reply) if kind is not None]
    schemas, components = msgspec.json.schema_components([*types, Error], ref_template=REFS)
    remaining = iter(schemas)
    paths: dict[str, Any] = {}
    for route in ROUTES:
        body = next(remaining) if route.body is not None else None
        reply = next(remaining) if route.reply is not None else {"type": "string"}
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, body, reply)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "loadgen-coord", "version": f"{VERSION}, wire {WIRE}"},
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{}, {"token": []}],
        }
    )


def _operation(route: HttpRoute, body: Any, reply: Any) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": _responses(route, reply),
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return operation


def _responses(route: HttpRoute, reply: Any) -> dict[str, Any]:
    error = {JSON: {"schema": {"$ref": REFS.format(name="Error")}}}
    errors = ERRORS | ACCESS_ERRORS[route.access] | route.errors
    success: dict[str, Any] = {"description": "success"}
    if route.status != 204:  # RFC 9110, section 15.3.5: a 204 has no content
        success["content"] = {route.media: {"schema": reply}}
    return {str(route.status): success} | {
        str(status): {"description": reason, "content": error}
        for status, reason in sorted(errors.items())
    }


def _parameters(route: HttpRoute) -> list[dict[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    query = [{"name": name, "in": "query", "schema": {"type": "integer"}} for name in route.query]
    return path + query
