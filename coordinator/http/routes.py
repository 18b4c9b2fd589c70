"""The table of the coordinator's HTTP routes.

The server, the authorizer of requests and the OpenAPI document read it.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from coordinator.run.run import Run
from coordinator.run.states import State
from coordinator.run.steering import AskedChange, PhaseName
from loadgen.plan.phases import Positive
from loadgen.plan.steer import Users
from loadgen.wire import Hello, Orders, Post, Welcome

Access = Literal["open", "view", "archive", "change"]
"""The access that a route needs.

`open`: everybody. These paths show counts and the addresses of the agents' metrics to a monitor
that has no token, and the page to a browser that is yet to send it.
`view`: a client with the token or the cookie; with --public-view, everybody.
`archive`: a client with the token or the cookie. A sample, and so an archive, may have whatever the
server replied.
`change`: a client with the token that is not another site's page.
"""

JSON = "application/json"
LINES = "application/x-ndjson"
TEXT = "text/plain"
HTML = "text/html"
EVENTS = "text/event-stream"
ACTIONS: dict[str, Callable[[Run, float], None]] = {
    "pause": Run.pause,
    "resume": Run.resume,
    "drain": Run.drain,
    "stop": Run.stop,
}
"""What an operator may do to a run by HTTP, each at a time on the run's clock."""


class NewRate(msgspec.Struct, forbid_unknown_fields=True):
    """The rate that is to hold from now on."""

    rate: Positive
    """Arrivals per second over the whole fleet."""


class NewMax(msgspec.Struct, forbid_unknown_fields=True):
    """The number of connections that are to arrive."""

    max: Users
    """In all, those that have arrived included."""


class NewPhase(msgspec.Struct, forbid_unknown_fields=True):
    """The phase that is to begin."""

    phase: PhaseName = ""
    """Its name; empty: the next one."""


CHANGES: dict[str, type[NewRate | NewMax | NewPhase]] = {
    "rate": NewRate,
    "max": NewMax,
    "phase": NewPhase,
}
"""The parts of a plan that an operator may change while it runs, with the form of the request."""
EXAMPLES = {"rate": '{"rate": 500}', "max": '{"max": 20000}', "phase": '{"phase": ""}'}
"""The bodies that a refusal shows."""

NO_RUN = {404: "no run has this name"}
NO_SAMPLE = {404: "no run has this name, or it has no such sample"}
NO_FILE = {404: "the page has no such file"}
NO_PLACE = {503: "too many read this at once; Retry-After"}
NOT_READY = {409: "the coordinator is not ready yet; ask again in a second"}


class Error(msgspec.Struct):
    """The reason why a request is refused."""

    error: str


class Seconds(msgspec.Struct):
    """Settled seconds, in the form of seconds.ndjson."""

    seconds: tuple[dict[str, Any], ...]


class RunState(msgspec.Struct):
    """The state of a run."""

    state: State
    paused: bool


class SteeredState(msgspec.Struct):
    """The state of a run, and what was asked of it."""

    state: State
    paused: bool
    asked: AskedChange


class Health(msgspec.Struct):
    """The coordinator is alive."""

    status: Literal["ok"]
    state: State


class HttpRoute(msgspec.Struct, frozen=True):
    """One method of one path."""

    method: Literal["GET", "POST"]
    path: str
    name: str
    """The name under which the server finds its handler."""
    access: Access
    summary: str
    body: Any = None
    """The type of the request's body; None without one."""
    reply: Any = None
    """The type of the reply's body; None where it is not JSON."""
    media: str = JSON
    """The media type of the reply."""
    status: int = 200
    errors: dict[int, str] = {}
    """The statuses of refusals that are this route's own, with their reasons."""
    query: tuple[str, ...] = ()
    """The names of the query's parameters, all of them integers."""


def _get(path: str, name: str, access: Access, summary: str, **fields: Any) -> HttpRoute:
    return HttpRoute("GET", path, name, access, summary, **fields)


def _post(path: str, name: str, summary: str, **fields: Any) -> HttpRoute:
    return HttpRoute("POST", path, name, "change", summary, **fields)


ROUTES = (
    _post(
        "/v1/agents",
        "join",
        "An agent joins",
        body=Hello,
        reply=Welcome,
        errors={
            409: "the run takes no agent now; the agent may ask again",
            426: "the agent speaks another version of the wire format",
        },
    ),
    _post(
        "/v1/agents/{id}/seconds",
        "post_seconds",
        "An agent posts its seconds and its state; the reply acknowledges them and carries orders",
        body=Post,
        reply=Orders,
        errors={404: "no agent of this run has this id"} | NOT_READY,
    ),
    _post(
        "/v1/agents/{id}/feeders/{name}",
        "feeder",
        "An agent asks for the rows of a feeder, each a line with a JSON array",
        media=LINES,
        errors={404: "no agent of this run has this id, or the plan has no such feeder"}
        | NOT_READY,
    ),
    *(
        _post(
            f"/v1/run/{action}",
            action,
            f"The operator's {action}",
            body=dict[str, Any],
            reply=RunState,
            errors={
                409: "the run is in no state for this action",
                415: "the body is not application/json",
            },
        )
        for action in ACTIONS
    ),
    *(
        _post(
            f"/v1/run/{what}",
            what,
            f"The operator changes the {what} of a running plan",
            body=form,
            reply=SteeredState,
            errors={
                400: "the request is malformed, or the plan or its agents can't do that",
                409: "the run is not running",
                415: "the body is not application/json",
            },
        )
        for what, form in CHANGES.items()
    ),
    _post(
        "/v1/view",
        "view",
        "Exchange the token for a cookie that allows viewing",
        reply=RunState,
        errors=NOT_READY,
    ),
    _get("/v1/run", "run", "view", "The run as it stands", reply=dict[str, Any]),
    _get(
        "/v1/run/seconds",
        "seconds",
        "view",
        "The settled seconds from number `since` on",
        reply=Seconds,
        errors=NO_PLACE,
        query=("since",),
    ),
    _get(
        "/events",
        "events",
        "view",
        "The run as it goes, as server-sent events",
        media=EVENTS,
        errors=NO_PLACE,
    ),
    _get("/runs", "past_runs", "view", "The list of past runs", media=HTML),
    _get(
        "/runs/{name}/report.html",
        "report",
        "view",
        "The report of a past run",
        media=HTML,
        errors=NO_RUN | NO_PLACE,
    ),
    _get(
        "/runs/{name}/errors/{file}",
        "sample",
        "archive",
        "A sample of a past run: the traceback or the refused handshake behind a reason",
        media=TEXT,
        errors=NO_SAMPLE,
    ),
    _get(
        "/runs/{name}.tar.gz",
        "archive",
        "archive",
        "The files of a past run, without secrets of its plan",
        media="application/gzip",
        errors=NO_RUN | NO_PLACE,
    ),
    _get(
        "/v1/sd",
        "discovery",
        "open",
        "The agents' metrics, in the form of Prometheus' HTTP service discovery",
        reply=tuple[dict[str, Any], ...],
    ),
    _get(
        "/es/ts_api:status",
        "tsung_status",
        "view",
        "The run's status, in the form of Tsung's own page",
        reply=dict[str, Any],
    ),
    _get(
        "/metrics",
        "metrics",
        "open",
        "The fleet's totals, for Prometheus; `agents` 1: of each agent, 0: their sums",
        media=TEXT,
        query=("agents",),
    ),
    _get("/healthz", "health", "open", "The coordinator's health", reply=Health),
    _get("/openapi.json", "openapi", "view", "This document", reply=dict[str, Any]),
    _get("/", "page", "open", "The live page", media=HTML),
    _get("/page/{file}", "page_file", "open", "A file of the page", media="*/*", errors=NO_FILE),
    _get(
        "/page/vendor/{file}",
        "page_vendor_file",
        "open",
        "A file of a library that the page uses",
        media="*/*",
        errors=NO_FILE,
    ),
    _get("/favicon.ico", "favicon", "open", "No icon", status=204),
)
NAMED = {route.name: route for route in ROUTES}
