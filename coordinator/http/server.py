"""The coordinator's one HTTP port: the agents' paths, the page, JSON and metrics.

It moves bytes and decides nothing.
"""

import asyncio
import json
import re
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from math import inf
from pathlib import Path
from secrets import token_hex, token_urlsafe
from time import process_time
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from msgspec.structs import replace

from coordinator.http.auth import RATES, Authorizer, Controls
from coordinator.http.discovery import reachable, scraped
from coordinator.http.live import Live
from coordinator.http.openapi import document
from coordinator.http.past_runs import CurrentRun, PastRuns
from coordinator.http.places import Places, send
from coordinator.http.routes import JSON, LINES, ROUTES
from coordinator.http.sse import Viewers
from coordinator.http.static import Page, no_icon
from coordinator.run.agents import digest_of
from coordinator.run.gathering import RefusedError
from coordinator.run.row import Row, in_order, summaries
from coordinator.run.run import BadPostError, Run
from coordinator.text import one_line
from coordinator.tsung.status import tsung_status
from loadgen.http.metrics import MAX_AGE, MetricsPage
from loadgen.http.ratelimit import TokenBucket
from loadgen.http.server import Handler, HttpLimits, HttpServer, Sender, too_many
from loadgen.http.shared import SharedAnswer
from loadgen.http.token import Token
from loadgen.plan.life import alive_within
from loadgen.stats.prometheus import Snapshot, registry_of
from loadgen.stats.reasons import unexpected
from loadgen.stats.tally import Ledger, worker_wide
from loadgen.values import Endpoint
from loadgen.wire import WIRE, Hello, Post, from_agent, to_wire

MAX_HELLO_BYTES = 256 << 10
"""The largest body of an agent that joins: its machine in a few facts and limits."""
MAX_JOINS = 50.0
"""Agents that may join per second: ten times what a fleet does."""
MAX_POSTS = 100.0
"""Posts per second of one agent: ten times what it does."""
MAX_BODY_BYTES = 64 << 20
"""The largest body that is read: some hundred unacknowledged seconds, each with the timings of
sessions."""
MAX_READERS = 8
"""Clients that read the settled seconds at once, which may be a large file."""
RESERVED_READERS = 4
"""More of them, with the token or the cookie."""
PART_BYTES = 1 << 18
"""Bytes of the settled seconds that are read at a time."""
AGENT = Sender(None, known=True)
"""The sender of an agent's posts, which are limited for each agent."""
SECOND = re.compile(r"-?[0-9]{1,15}")
"""The number of a second, as requests write it."""
SECRET_BYTES = 16
"""Random bytes of an agent's secret."""
SAME_VERSION = "install the same loadgen version on both"
"""The fix where agent and coordinator do not understand each other."""
CPU_WINDOW = 10
"""Seconds over which the coordinator's own CPU is averaged."""

Message = TypeVar("Message")


class Versions(msgspec.Struct):
    """The part of a Hello that every version of the wire format has."""

    wire: int
    version: str = "unknown"


class Server:
    """The HTTP side of one run.

    `clock` returns seconds on the clock of the run's times; `token` may be None on loopback;
    `public` allows everybody to view; `out` is the directory of past runs.
    """

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
        self._authorizer = Authorizer(token, public=public)
        self.seconds: Callable[[int], Iterable[bytes]] = lambda _: ()
        """Reads the settled seconds from a number on, each as a line of JSON; none before the run
        starts."""
        self.recorded: Callable[[], Awaitable[None]] = _at_once
        """Waits, for a moment at most, until what the run has recorded is written."""
        self._transports: dict[str, asyncio.BaseTransport] = {}
        """The connection on which each agent posted last, by the agent's id."""
        self._cpu = deque([(clock(), process_time())], maxlen=CPU_WINDOW)
        """The time and this process's CPU seconds until then, at each of the last settled
        seconds."""
        self.awaits_journal = False
        """True while nothing that changes the run is accepted: its journal is not ready yet, or is
        replayed."""
        self.live = Live(run, describe, token_hex(3))
        self._viewers = Viewers(self.live.feed)
        self._metrics = MetricsPage(registry_of(self._snapshots))
        self._run_shown = SharedAnswer(self._describe)
        self._agents_shown = SharedAnswer(self._list_agents, MAX_AGE)
        self._readers = Places(MAX_READERS, RESERVED_READERS, "clients read the seconds")
        self._joins = TokenBucket(MAX_JOINS)
        self._posts: dict[str, TokenBucket] = {}
        """The rate limits of the agents that joined, by their ids."""
        self.app = web.Application(
            client_max_size=MAX_BODY_BYTES, middlewares=[_plain_errors, self._guard]
        )
        handlers = self._handlers(PastRuns(out, self._current), Page())
        for route in ROUTES:
            define = web.get if route.method == "GET" else web.post  # get answers HEAD as well
            self.app.add_routes([define(route.path, handlers[route.name], name=route.name)])
        self._http = HttpServer(self.app, HttpLimits(requests=RATES), self._sender_of)

    def _handlers(self, past_runs: PastRuns, page: Page) -> dict[str, Handler]:
        """Returns the handlers by the names of their routes."""
        controls = Controls(self._run, self._clock, self._authorizer, self._log_action)
        return {
            "join": self._join,
            "post_seconds": self._post,
            "feeder": self._send_feeder,
            "run": self._show_run,
            "seconds": self._show_seconds,
            "events": self._viewers.serve,
            "discovery": self._show_agents,
            "tsung_status": self._show_tsung_status,
            "metrics": self._metrics.show,
            "health": self._show_health,
            "openapi": self._show_document,
            "page": page.index,
            "page_file": page.file,
            "page_vendor_file": page.vendor_file,
            "favicon": no_icon,
            **controls.handlers(),
            **past_runs.handlers(),
        }

    async def start(self, listen: Endpoint, tls: ssl.SSLContext | None = None) -> Endpoint:
        """Listens, over TLS with a context; returns the address that it listens on.

        Raises OperatorError when it can't listen there.
        """
        return await self._http.open("--listen", listen, tls)

    async def stop(self) -> None:
        """Closes the port and its connections."""
        self._viewers.close()
        await self._http.close()

    def update(self, now: float) -> None:
        """Sends the viewers what has changed; `now` is in seconds on the run's clock."""
        if self.live.update(now):
            self._viewers.wake()

    def take_disconnected(self) -> list[str]:
        """Returns the ids of the agents whose connections ended since the last call."""
        ended = [agent for agent, line in self._transports.items() if line.is_closing()]
        for agent in ended:
            del self._transports[agent]
        return ended

    def add_row(self, row: Row) -> None:
        """Adds a settled second."""
        self.live.add_second(row)
        self._cpu.append((self._clock(), process_time()))

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = self._authorizer.refusal(request)
        if refusal is not None:
            if refusal.status == HTTPStatus.UNAUTHORIZED and _is_join(request):
                self._refused(request, self._authorizer.mistake(request))
            raise refusal
        if self.awaits_journal and request.method == "POST":
            raise web.HTTPConflict(text="the coordinator is not ready yet; ask again in a second")
        return await handler(request)

    def _sender_of(self, request: web.Request) -> Sender:
        """Returns what is known of the sender of a request."""
        sender = self._authorizer.sender_of(request)
        trusted = sender.known or not self._authorizer.has_token
        return AGENT if trusted and self._agent_of(request) is not None else sender

    def _agent_of(self, request: web.Request) -> str | None:
        """Returns the id of the agent whose path a request has; None when there is none."""
        return self._run.agents.authentic(request.match_info.get("id", ""))

    def _refused(self, request: web.Request, why: str) -> None:
        """Tells the operator of an agent that can't join; `why` ends with the fix.

        Once the run drains it is too late for an agent, and those that have served ask for the next
        run.
        """
        if self._run.state in ("gathering", "running"):
            self._run.notices.refuse(request.remote or "an unknown address", why)

    def _has_served(self, name: str) -> bool:
        """Returns True when an agent of this name has a share; it may be through."""
        return any(agent.hello.name == name for agent in self._run.agents.with_share())

    def _log_action(self, action: str) -> None:
        self.live.add_action(action, self._clock())
        self.update(self._clock())

    def _current(self) -> CurrentRun:
        run = self._run
        state = "paused" if run.paused else run.state
        return CurrentRun(self.live.folder, state, run.age(self._clock()), run.ledger)

    async def _join(self, request: web.Request) -> web.Response:
        if not self._joins.take(self._clock()):
            return too_many("too many agents join at once; join again in a second")
        body = await request.clone(client_max_size=MAX_HELLO_BYTES).read()
        # Only the version of another version's Hello can be relied on; the refusal has to name it.
        try:
            versions = _decode(body, Versions)
            same = versions.wire == WIRE
            hello = (
                _decode(body, Hello)
                if same
                else Hello("", versions.wire, versions.version, 0, (), {})
            )
        except web.HTTPBadRequest as error:
            self._refused(request, f"its hello can't be read ({error.text}); {SAME_VERSION}")
            raise
        hello = msgspec.structs.replace(
            hello, metrics=reachable(hello.metrics, request.remote or "")
        )
        try:
            # Others know an agent's id, so its posts need a secret. The agent has both as one.
            secret = token_urlsafe(SECRET_BYTES)
            welcome = self._run.join(hello, self._clock(), digest_of(secret))
            welcome.id = f"{welcome.id}.{secret}"
            return _reply(to_wire(welcome))
        except RefusedError as refusal:
            if not same or not self._has_served(hello.name):
                self._refused(request, str(refusal))
            return _error(409 if same else 426, str(refusal))

    async def _post(self, request: web.Request) -> web.Response:
        received = self._clock()
        agent = self._agent_of(request)
        if agent is None:  # and the body is not read
            return _error(404, "no agent of this run has that id; join anew at /v1/agents")
        if not self._posts.setdefault(agent, TokenBucket(MAX_POSTS)).take(received):
            return too_many("too many posts of this agent; post again in a second")
        post = _decode(await request.read(), Post)
        try:
            self._run.post(agent, post, self._clock())
            await self.recorded()
            now = self._clock()
            orders = self._run.orders(agent, now)
            orders.received, orders.replied = received, now
            if request.transport is not None:
                self._transports[agent] = request.transport
            return _reply(to_wire(orders))
        except BadPostError as error:
            return _error(400, str(error))

    async def _send_feeder(self, request: web.Request) -> web.Response:
        for feeder in self._run.plan.feeders if self._agent_of(request) is not None else ():
            if feeder.name == request.match_info["name"]:
                return web.Response(body=feeder.table, content_type=LINES)
        return _error(404, "no agent of this run has that id, or the plan has no such feeder")

    async def _show_run(self, _: web.Request) -> web.Response:
        return _reply(await self._run_shown.get())

    async def _describe(self) -> bytes:
        return msgspec.json.encode(describe(self._run, self._clock()))

    async def _show_seconds(self, request: web.Request) -> web.StreamResponse:
        text = request.query.get("since", "0")
        if not SECOND.fullmatch(text):
            return _error(400, one_line(f"since={text!r} is not the number of a second"))
        with self._readers.take(request):
            return await send(request, {"Content-Type": JSON}, _parts_of(self.seconds(int(text))))

    async def _show_tsung_status(self, _: web.Request) -> web.Response:
        now = self._clock()
        then, cpu_then = self._cpu[0]
        cpu = 100 * (process_time() - cpu_then) / (now - then) if now > then else 0.0
        return web.json_response(tsung_status(self._run, now, cpu))

    async def _show_agents(self, _: web.Request) -> web.Response:
        return _reply(await self._agents_shown.get())

    async def _list_agents(self) -> bytes:
        return msgspec.json.encode(scraped(self._run.agents.by_id.values()))

    async def _show_document(self, _: web.Request) -> web.Response:
        return _reply(document())

    async def _show_health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "state": self._run.state})

    def _snapshots(self) -> Iterator[Snapshot]:
        window, reports = alive_within(self._run.plan.session_specs), self._run.reports
        for agent in self._run.fleet():
            total, sessions = reports.total_of(agent), reports.sessions_of(agent)
            planned = Ledger.of(agent.planned, total)
            unsplit = worker_wide(total) if sessions else total
            ledger = replace(
                Ledger.of(None, unsplit), planned=planned.planned, not_started=planned.not_started
            )
            yield from Snapshot(
                agent.name, ledger, unsplit, agent.workers, reports.alive_of(agent), window
            ).with_sessions(sessions)


def _is_join(request: web.Request) -> bool:
    """Returns True for an agent's request to join."""
    return request.method == "POST" and request.match_info.route.name == "join"


async def _at_once() -> None:
    """Does not wait."""


def describe(run: Run, now: float) -> dict[str, Any]:
    """Returns the run as it stands: plan, state, agents, totals and ledger.

    `now` is in seconds on the run's clock; percentiles are in milliseconds.
    """
    agents = [
        {
            "name": agent.name,
            "status": agent.status_at(now),
            "refusal": agent.refusal,
            "addresses": agent.shown_addresses(run.shown_urls),
            "preflight": agent.warning,
            "silent_s": round(now - agent.seen, 1),
            "workers": len(agent.workers),
            "cpu_s": round(agent.cpu_s, 3),
            "clock": agent.clock,
            "ledger": Ledger.of(agent.planned, run.reports.total_of(agent)),
            "alive": run.reports.alive_of(agent),
        }
        for agent in run.agents.by_id.values()
    ]
    return {
        "key": run.key,
        "state": run.state,
        "paused": run.paused,
        "plan": run.plan.redacted(),
        "insecure": run.plan.insecure,
        "appwrite": run.plan.appwrite,
        "wanted": run.wanted,
        "phase": run.phase(now),
        "phases": run.phase_progress(),
        "changes": run.steering.asked(),
        "age_s": round(run.age(now), 3),
        "drain_after_s": round(run.progress.drain_after, 3)
        if run.progress.drain_after < inf
        else None,
        "aborted": {"why": run.aborted, "second": run.aborted_at} if run.aborted else None,
        "ledger": run.ledger,
        "unexpected": unexpected(run.total.closed),
        "alive": run.fanin.alive,
        "alive_within_s": alive_within(run.plan.session_specs),
        "totals": run.total.counts(),
        "compression": in_order(run.total.compression),
        "histograms": summaries(run.total.histograms()),
        "counters": in_order(run.total.counters),
        "timings": summaries(in_order(run.total.timings)),
        "checks": in_order(run.total.checks),
        "http_replies": in_order(run.total.http_replies),
        "http_failed": in_order(run.total.http_failed),
        "parts": run.parts.figures(run.slices.parts) if run.slices.number else {},
        "reach": run.total.reach,
        "publications": run.publications.summary if run.plan.publish else None,
        "agents": agents,
    }


async def _parts_of(lines: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Yields the JSON of settled seconds in parts of about PART_BYTES."""
    rest = iter(lines)
    part = b'{"seconds":['
    while more := await asyncio.to_thread(_next_part, rest):  # the file may be on a slow disk
        yield part + more
        part = b","
    yield part.removesuffix(b",") + b"]}"


def _next_part(lines: Iterator[bytes]) -> bytes:
    """Returns the next lines with commas between them; b"" after the last one."""
    part = bytearray()
    for line in lines:
        part += line + b","
        if len(part) >= PART_BYTES:
            break
    return bytes(part[:-1])


def _decode(body: bytes, message: type[Message]) -> Message:
    try:
        return from_agent(body, message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def _reply(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _error(
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
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns refusals into JSON of one line: aiohttp's own, and what nobody foresaw.

    A request may hold anything, and no request of a stranger may fill the operator's terminal with
    tracebacks.
    """
    try:
        return await handler(request)
    except web.HTTPException as error:
        text = " ".join((error.text or error.reason).split())
        return _error(error.status, text, error.headers)
    except Exception as error:  # a part of the request that the handler takes for what it is not
        return _error(400, one_line(f"this request has no answer: {type(error).__name__}: {error}"))
