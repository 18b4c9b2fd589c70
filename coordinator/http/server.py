"""The coordinator's one HTTP port: agents' paths, JSON and metrics. It moves bytes and decides
nothing."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from math import inf
from pathlib import Path
from secrets import token_hex
from time import process_time
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from coordinator.http.auth import Authorizer, Controls
from coordinator.http.discovery import reachable, scraped
from coordinator.http.live import Live
from coordinator.http.openapi import document
from coordinator.http.past_runs import PastRuns
from coordinator.http.sse import Viewers
from coordinator.http.static import page_routes
from coordinator.run.run import BadPostError, RefusedError, Run, UnknownAgentError
from coordinator.run.timeline import Row, in_order, summaries
from coordinator.tsung.status import tsung_status
from loadgen.http.ratelimit import TokenBucket
from loadgen.http.server import Handler, HttpServer, too_many
from loadgen.http.token import Token
from loadgen.stats.prometheus import Snapshot, registry_of, render
from loadgen.stats.tally import Ledger
from loadgen.values import Endpoint
from loadgen.wire import WIRE, Hello, Post, from_wire, to_wire

MAX_HELLO = 256 << 10
"""The largest body of an agent that joins: its machine in a few facts and limits."""
MAX_JOINS, MAX_POSTS = 50.0, 100.0
"""How many agents may join a second, and how often each may post: ten times what a fleet does."""
MAX_BYTES = 64 << 20
"""The largest body that is read: some hundred unacknowledged seconds, each with timings of
sessions' own."""
WORK_OF = 10
"""Seconds over which the coordinator's own CPU is told."""

Message = TypeVar("Message")


class Versions(msgspec.Struct):
    """The part of a Hello that every version of the wire has."""

    wire: int
    version: str = "unknown"


class Server:
    """The HTTP side of one run. `clock` is the one that the run's times are on; `token` may be
    absent on loopback."""

    def __init__(
        self,
        run: Run,
        clock: Callable[[], float],
        token: Token | None = None,
        *,
        public: bool = False,
        out: Path = Path("runs"),
    ) -> None:
        self._run = run
        self._clock = clock
        self._gate = Authorizer(token, public=public)
        self.seconds: Callable[[int], Iterable[bytes]] = lambda _: ()
        """Reads again the settled seconds from a number on, as lines of JSON; there are none
        before the run starts."""
        self._lines: dict[str, asyncio.BaseTransport] = {}
        """The connection on which each agent last spoke."""
        self._work = deque([(clock(), process_time())], maxlen=WORK_OF)
        """The time and the CPU seconds of this process by then, at each of the last settled
        seconds."""
        self.awaits_journal = False
        """True while nothing that changes the run is accepted: its journal is not ready yet, or
        is being replayed."""
        self.live = Live(run, describe, token_hex(3))
        self._viewers = Viewers(self.live.feed)
        self._registry = registry_of(self._readings)
        self._joins = TokenBucket(MAX_JOINS)
        self._posts: dict[str, TokenBucket] = {}
        """By the ids of agents that joined."""
        self.app = web.Application(
            client_max_size=MAX_BYTES, middlewares=[_plain_errors, self._guard]
        )
        self.app.add_routes(
            [
                web.post("/v1/agents", self._join),
                web.post("/v1/agents/{id}/seconds", self._post),
                *page_routes(),
                *PastRuns(out).routes(),
                *Controls(run, clock, self._gate, self._said).routes(),
                web.get("/events", self._viewers.serve),
                web.get("/v1/run", self._show_run),
                web.get("/v1/run/seconds", self._show_seconds),
                web.get("/es/ts_api:status", self._show_tsung_status),
                web.get("/v1/sd", self._show_agents),
                web.get("/metrics", self._show_metrics),
                web.get("/healthz", self._show_health),
                web.get("/openapi.json", self._show_document),
            ]
        )
        self._door = HttpServer(self.app)

    async def start(self, listen: Endpoint, tls: ssl.SSLContext | None = None) -> Endpoint:
        """Listens, over TLS with a context; returns where. Raises OperatorError when the port
        can't be had."""
        return await self._door.open("--listen", listen, tls)

    async def stop(self) -> None:
        """Closes the port and its connections."""
        self._viewers.close()
        await self._door.close()

    def look(self, now: float) -> None:
        """Tells the viewers what is new."""
        if self.live.look(now):
            self._viewers.wake()

    def broken(self) -> list[str]:
        """The ids of the agents whose connections ended since it was last asked."""
        ended = [agent for agent, line in self._lines.items() if line.is_closing()]
        for agent in ended:
            del self._lines[agent]
        return ended

    def add_row(self, row: Row) -> None:
        """Takes a settled second."""
        self.live.second(row)
        self._work.append((self._clock(), process_time()))

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = self._gate.refusal(request)
        if refusal is not None:
            raise refusal
        if self.awaits_journal and request.method == "POST":
            raise web.HTTPConflict(text="the coordinator is not ready yet; ask again in a second")
        return await handler(request)

    def _said(self, action: str) -> None:
        self.live.said(action, self._clock())
        self.look(self._clock())

    async def _join(self, request: web.Request) -> web.Response:
        if not self._joins.take(self._clock()):
            return too_many("too many agents join at once; knock again in a second")
        body = await request.clone(client_max_size=MAX_HELLO).read()
        # Of another version's Hello only the version may be relied on, and that is what its refusal
        # has to name.
        spoken = _decode(body, Versions)
        same = spoken.wire == WIRE
        hello = _decode(body, Hello) if same else Hello("", spoken.wire, spoken.version, 0, (), {})
        hello = msgspec.structs.replace(
            hello, metrics=reachable(hello.metrics, request.remote or "")
        )
        try:
            return _reply(to_wire(self._run.join(hello, self._clock())))
        except RefusedError as refusal:
            return _error(409 if same else 426, str(refusal))

    async def _post(self, request: web.Request) -> web.Response:
        agent = request.match_info["id"]
        if agent in self._run.agents.by_id and not self._posts.setdefault(
            agent, TokenBucket(MAX_POSTS)
        ).take(self._clock()):
            return too_many("too many posts of this agent; post again in a second")
        post = _decode(await request.read(), Post)
        try:
            orders = self._run.post(agent, post, self._clock())
            if request.transport is not None:
                self._lines[agent] = request.transport
            return _reply(to_wire(orders))
        except UnknownAgentError:
            return _error(404, "no agent of this run has that id; join anew at /v1/agents")
        except BadPostError as mistake:
            return _error(400, str(mistake))

    async def _show_run(self, _: web.Request) -> web.Response:
        return _reply(msgspec.json.encode(describe(self._run, self._clock())))

    async def _show_seconds(self, request: web.Request) -> web.Response:
        since = request.query.get("since", "0")
        if not since.lstrip("-").isdecimal():
            return _error(400, f"since={since!r} is not a number of a second")
        return _reply(
            b'{"seconds":['
            + await asyncio.to_thread(lambda: b",".join(self.seconds(int(since))))
            + b"]}"
        )

    async def _show_tsung_status(self, _: web.Request) -> web.Response:
        now, (then, worked) = self._clock(), self._work[0]
        cpu = 100 * (process_time() - worked) / (now - then) if now > then else 0.0
        return web.json_response(tsung_status(self._run, now, cpu))

    async def _show_agents(self, _: web.Request) -> web.Response:
        return _reply(msgspec.json.encode(scraped(self._run.agents.by_id.values())))

    async def _show_metrics(self, _: web.Request) -> web.Response:
        body, content_type = render(self._registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _show_document(self, _: web.Request) -> web.Response:
        return _reply(document())

    async def _show_health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "state": self._run.state})

    def _readings(self) -> Iterator[Snapshot]:
        for member in self._run.fleet():
            total = self._run.total_of(member)
            yield Snapshot(member.name, Ledger.of(member.planned, total), total, member.workers)


def describe(run: Run, now: float) -> dict[str, Any]:
    """The run as it stands: plan, state, agents, totals and ledger; plain values, percentiles in
    milliseconds."""
    agents = [
        {
            "name": member.name,
            "status": member.status_at(now),
            "refusal": member.refusal,
            "preflight": member.warning,
            "silent_s": round(now - member.seen, 1),
            "workers": len(member.workers),
            "cpu_s": round(member.cpu_s, 3),
            "ledger": Ledger.of(member.planned, run.total_of(member)),
        }
        for member in run.agents.by_id.values()
    ]
    return {
        "key": run.key,
        "state": run.state,
        "paused": run.paused,
        "plan": run.plan.redacted(),
        "wanted": run.wanted,
        "phase": run.phase(now),
        "phases": run.phase_progress(),
        "age_s": round(run.age(now), 3),
        "drain_after_s": round(run.progress.drain_after, 3)
        if run.progress.drain_after < inf
        else None,
        "ledger": run.ledger,
        "totals": run.total.counts(),
        "histograms": summaries(run.total.histograms()),
        "counters": in_order(run.total.counters),
        "timings": summaries(in_order(run.total.timings)),
        "agents": agents,
    }


def _decode(body: bytes, kind: type[Message]) -> Message:
    try:
        return from_wire(body, kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def _reply(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _error(status: int, text: str) -> web.Response:
    return web.Response(
        status=status, text=json.dumps({"error": text}), content_type="application/json"
    )


@web.middleware
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns aiohttp's own refusals (unknown path, body too large) into the one JSON form of
    errors."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _error(error.status, " ".join((error.text or error.reason).split()))
