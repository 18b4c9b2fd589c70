"""The coordinator's one HTTP port: the agents' paths, the page, JSON and metrics.

It moves bytes and decides nothing.
"""

import re
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from secrets import token_hex
from time import process_time

import msgspec
from aiohttp import web
from msgspec.structs import replace

from coordinator.http.agent_paths import AgentPaths
from coordinator.http.answers import error_reply, json_reply, plain_errors
from coordinator.http.auth import RATES, Authorizer, Controls
from coordinator.http.description import describe
from coordinator.http.discovery import scraped
from coordinator.http.live import Live
from coordinator.http.openapi import document
from coordinator.http.past_runs import CurrentRun, PastRuns
from coordinator.http.places import Places, send
from coordinator.http.routes import JSON, ROUTES
from coordinator.http.seconds import parts_of
from coordinator.http.sse import Viewers
from coordinator.http.static import Page, no_icon
from coordinator.run.agents import MAX_DETAILED
from coordinator.run.row import Row
from coordinator.run.run import Run
from coordinator.text import one_line
from coordinator.tsung.status import tsung_status
from loadgen.http.metrics import MAX_AGE, MetricsPage
from loadgen.http.server import Handler, HttpLimits, HttpServer, Sender
from loadgen.http.shared import SharedAnswer
from loadgen.http.token import Token
from loadgen.plan.life import alive_within
from loadgen.stats.fanin import Slice, by_session
from loadgen.stats.ledger import Ledger
from loadgen.stats.prometheus import Snapshot, registry_of
from loadgen.stats.tally import worker_wide
from loadgen.values import Endpoint

MAX_BODY_BYTES = 64 << 20
"""The largest body that is read: some hundred unacknowledged seconds, each with the timings of
sessions."""
MAX_READERS = 8
"""Clients that read the settled seconds at once, which may be a large file."""
RESERVED_READERS = 4
"""More of them, with the token or the cookie."""
AGENT = Sender(None, known=True)
"""The sender of an agent's posts, which are limited for each agent."""
SECOND = re.compile(r"-?[0-9]{1,15}")
"""The number of a second, as requests write it."""
CPU_WINDOW = 10
"""Seconds over which the coordinator's own CPU is averaged."""


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
        self.agents = AgentPaths(run, clock)
        self._cpu = deque([(clock(), process_time())], maxlen=CPU_WINDOW)
        """The time and this process's CPU seconds until then, at each of the last settled
        seconds."""
        self.awaits_journal = False
        """True while nothing that changes the run is accepted: its journal is not ready yet, or is
        replayed."""
        self.live = Live(run, describe, token_hex(3))
        self._viewers = Viewers(self.live.feed)
        self._metrics = MetricsPage(registry_of(self._fleet_snapshots))
        self._agents_metrics = MetricsPage(registry_of(self._snapshots))
        self._run_shown = SharedAnswer(self._describe)
        self._agents_shown = SharedAnswer(self._list_agents, MAX_AGE)
        self._readers = Places(MAX_READERS, RESERVED_READERS, "clients read the seconds")
        self.app = web.Application(
            client_max_size=MAX_BODY_BYTES, middlewares=[plain_errors, self._guard]
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
            **self.agents.handlers(),
            "run": self._show_run,
            "seconds": self._show_seconds,
            "events": self._viewers.serve,
            "discovery": self._show_agents,
            "tsung_status": self._show_tsung_status,
            "metrics": self._show_metrics,
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

    def add_row(self, row: Row) -> None:
        """Adds a settled second."""
        self.live.add_second(row)
        self._cpu.append((self._clock(), process_time()))

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = self._authorizer.refusal(request)
        if refusal is not None:
            if refusal.status == HTTPStatus.UNAUTHORIZED and _is_join(request):
                self.agents.refused(request, self._authorizer.mistake(request))
            raise refusal
        if self.awaits_journal and request.method == "POST":
            raise web.HTTPConflict(text="the coordinator is not ready yet; ask again in a second")
        return await handler(request)

    def _sender_of(self, request: web.Request) -> Sender:
        """Returns what is known of the sender of a request."""
        sender = self._authorizer.sender_of(request)
        trusted = sender.known or not self._authorizer.has_token
        return AGENT if trusted and self.agents.agent_of(request) is not None else sender

    def _log_action(self, action: str) -> None:
        self.live.add_action(action, self._clock())
        self.update(self._clock())

    def _current(self) -> CurrentRun:
        run = self._run
        state = "paused" if run.paused else run.state
        return CurrentRun(self.live.folder, state, run.age(self._clock()), run.ledger)

    async def _show_run(self, _: web.Request) -> web.Response:
        return json_reply(await self._run_shown.get())

    async def _describe(self) -> bytes:
        return msgspec.json.encode(describe(self._run, self._clock()))

    async def _show_seconds(self, request: web.Request) -> web.StreamResponse:
        text = request.query.get("since", "0")
        if not SECOND.fullmatch(text):
            return error_reply(400, one_line(f"since={text!r} is not the number of a second"))
        with self._readers.take(request):
            return await send(request, {"Content-Type": JSON}, parts_of(self.seconds(int(text))))

    async def _show_tsung_status(self, _: web.Request) -> web.Response:
        now = self._clock()
        then, cpu_then = self._cpu[0]
        cpu = 100 * (process_time() - cpu_then) / (now - then) if now > then else 0.0
        return web.json_response(tsung_status(self._run, now, cpu))

    async def _show_agents(self, _: web.Request) -> web.Response:
        return json_reply(await self._agents_shown.get())

    async def _list_agents(self) -> bytes:
        return msgspec.json.encode(scraped(self._run.agents.by_id.values()))

    async def _show_document(self, _: web.Request) -> web.Response:
        return json_reply(document())

    async def _show_health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "state": self._run.state})

    async def _show_metrics(self, request: web.Request) -> web.Response:
        """Answers a scrape: of a large fleet with its sums, or as it asks."""
        wanted = request.query.get("agents", "")
        if wanted not in ("", "0", "1"):
            return error_reply(400, one_line(f"agents={wanted!r} is neither 0 nor 1"))
        small = len(self._run.fleet()) <= MAX_DETAILED
        of_agents = wanted == "1" or (small and wanted != "0")
        return await (self._agents_metrics if of_agents else self._metrics).show(request)

    def _snapshots(self) -> Iterator[Snapshot]:
        """Yields the snapshots of each agent.

        Those of a large fleet have no histograms: nobody adds them up by agent.
        """
        window, reports = alive_within(self._run.plan.session_specs), self._run.reports
        for agent in self._run.fleet():
            total, sessions = reports.total_of(agent), reports.sessions_of(agent)
            whole = Ledger.of(agent.planned, total)
            snapshot = Snapshot(
                agent.name, whole, total, agent.workers, reports.alive_of(agent), window
            )
            snapshot.detailed = reports.is_detailed(agent)
            yield from _split(snapshot, sessions)

    def _fleet_snapshots(self) -> Iterator[Snapshot]:
        """Yields the snapshots of all agents together."""
        run = self._run
        window = alive_within(run.plan.session_specs)
        snapshot = Snapshot(None, run.ledger, run.total, (), run.fanin.alive, window)
        yield from _split(snapshot, by_session(run.slices, run.fanin.slices))


def _split(snapshot: Snapshot, sessions: dict[str, Slice]) -> list[Snapshot]:
    """Returns a snapshot, and one for each session where results are split by it."""
    if not sessions:
        return [snapshot]
    planned, unsplit = snapshot.ledger, worker_wide(snapshot.total)
    ledger = replace(
        Ledger.of(None, unsplit), planned=planned.planned, not_started=planned.not_started
    )
    return replace(snapshot, ledger=ledger, total=unsplit).with_sessions(sessions)


def _is_join(request: web.Request) -> bool:
    """Returns True for an agent's request to join."""
    return request.method == "POST" and request.match_info.route.name == "join"
