"""What the control port speaks, as an OpenAPI document: made of the wire's own types, so that it
can't say otherwise.

https://spec.openapis.org/oas/v3.1.0
"""

import re
from typing import Any, Literal

import msgspec

from loadgen.version import VERSION
from loadgen.wire import WIRE, Hello, Orders, Post, Welcome

JSON, TEXT, HTML, EVENTS = "application/json", "text/plain", "text/html", "text/event-stream"
REFS = "#/components/schemas/{name}"
ALWAYS = {
    400: "it is not what its head says",
    408: "it did not come in time",
    429: "too many a second; Retry-After",
}
NONE = {404: "there is no such run"}
VIEW = {
    401: "viewing needs the token",
    403: "without a token, this machine has to be named by its address",
}
CHANGE = {
    401: "the token is missing or wrong",
    403: "another site's page may change nothing",
    413: "too large",
}
NOT_YET = {409: "not yet: the run is being taken up again"}


class Error(msgspec.Struct):
    """Why something was refused."""

    error: str


class Seconds(msgspec.Struct):
    """Settled seconds, as they stand in seconds.ndjson."""

    seconds: tuple[dict[str, Any], ...]


class RunState(msgspec.Struct):
    """How a run stands."""

    state: Literal["gathering", "running", "draining", "done"]
    paused: bool


class Health(msgspec.Struct):
    """The coordinator is there."""

    status: Literal["ok"]
    state: Literal["gathering", "running", "draining", "done"]


class Operation(msgspec.Struct, frozen=True):
    """One method of one path: what it takes, what it gives, and why it may refuse."""

    method: Literal["get", "post"]
    path: str
    summary: str
    takes: Any = None
    gives: Any = None
    media: str = JSON
    refuses: dict[int, str] = {}
    query: tuple[str, ...] = ()


OPERATIONS = (
    Operation(
        "post",
        "/v1/agents",
        "An agent joins",
        Hello,
        Welcome,
        refuses=CHANGE
        | {409: "not now: it may knock again", 426: "it speaks another version of the wire"},
    ),
    Operation(
        "post",
        "/v1/agents/{id}/seconds",
        "An agent's seconds and news; acknowledged, with orders",
        Post,
        Orders,
        refuses=CHANGE | {404: "no agent of this run has that id"} | NOT_YET,
    ),
    *(
        Operation(
            "post",
            f"/v1/run/{action}",
            f"The operator says {action}",
            dict[str, Any],
            RunState,
            refuses=CHANGE | {409: "not in this state", 415: "it is no application/json"},
        )
        for action in ("pause", "resume", "drain", "stop")
    ),
    Operation(
        "post",
        "/v1/view",
        "Trades the token for a cookie to view with",
        gives=RunState,
        refuses=CHANGE | NOT_YET,
    ),
    Operation("get", "/v1/run", "The run as it stands", gives=dict[str, Any], refuses=VIEW),
    Operation(
        "get",
        "/v1/run/seconds",
        "Settled seconds from one on",
        gives=Seconds,
        refuses=VIEW,
        query=("since",),
    ),
    Operation(
        "get",
        "/events",
        "The run as it goes",
        media=EVENTS,
        refuses=VIEW | {503: "too many viewers"},
    ),
    Operation("get", "/runs", "Past runs", media=HTML, refuses=VIEW),
    Operation(
        "get", "/runs/{name}/report.html", "The report of one", media=HTML, refuses=VIEW | NONE
    ),
    Operation(
        "get", "/runs/{name}.tar.gz", "All its files", media="application/gzip", refuses=VIEW | NONE
    ),
    Operation(
        "get", "/v1/sd", "The agents, for Prometheus to find", gives=tuple[dict[str, Any], ...]
    ),
    Operation(
        "get", "/es/ts_api:status", "What Tsung's own page says", gives=dict[str, Any], refuses=VIEW
    ),
    Operation("get", "/metrics", "The fleet's totals, for Prometheus", media=TEXT),
    Operation("get", "/healthz", "Whether the coordinator is there", gives=Health),
    Operation("get", "/openapi.json", "This document", gives=dict[str, Any], refuses=VIEW),
)


def document() -> bytes:
    """The document as JSON."""
    kinds = [kind for one in OPERATIONS for kind in (one.takes, one.gives) if kind is not None]
    schemas, components = msgspec.json.schema_components([*kinds, Error], ref_template=REFS)
    said = iter(schemas)
    paths: dict[str, Any] = {}
    for one in OPERATIONS:
        takes = next(said) if one.takes is not None else None
        gives = next(said) if one.gives is not None else {"type": "string"}
        paths.setdefault(one.path, {})[one.method] = _operation(one, takes, gives)
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


def _operation(one: Operation, takes: Any, gives: Any) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": f"{one.method} {one.path}",
        "summary": one.summary,
        "parameters": _parameters(one),
        "responses": {
            "200": {"description": "it is so", "content": {one.media: {"schema": gives}}}
        },
    }
    error = {JSON: {"schema": {"$ref": REFS.format(name="Error")}}}
    for status, why in sorted((ALWAYS | one.refuses).items()):
        said["responses"][str(status)] = {"description": why, "content": error}
    if takes is not None:
        said["requestBody"] = {"required": True, "content": {JSON: {"schema": takes}}}
    return said


def _parameters(one: Operation) -> list[dict[str, Any]]:
    named = re.findall(r"\{(\w+)\}", one.path)
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in named
    ]
    return path + [
        {"name": name, "in": "query", "schema": {"type": "integer"}} for name in one.query
    ]
