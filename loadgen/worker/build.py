"""Builds the engine of a job, with its routes to the targets and its scenarios."""

import asyncio
import os
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from msgspec.structs import replace

from loadgen.net.allowed import AllowedHosts
from loadgen.net.connection import Connection, Follower
from loadgen.net.connections import Connections
from loadgen.net.dialer import Dialer
from loadgen.net.ports import SourcePorts
from loadgen.net.proxy_protocol import header_of
from loadgen.net.redirects import Leg, Redirects, elsewhere
from loadgen.net.route import Route
from loadgen.net.tls import Contexts
from loadgen.net.tunnel import Tunnel
from loadgen.net.url import is_address
from loadgen.plan.credentials import Credentials
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.plan.request import Headers, with_origin
from loadgen.plan.session_file import load
from loadgen.plan.sessions import Loop, PythonSession, Script, SessionSpec, may_use_http
from loadgen.sessions.churn import Churn
from loadgen.sessions.loop import BUILT_IN, LoopScenario
from loadgen.sessions.population import Population
from loadgen.sessions.scenario import Scenario
from loadgen.sessions.script.compile import compile_session
from loadgen.sessions.session_scenario import SessionScenario
from loadgen.sessions.user import Session
from loadgen.stats.deliveries import Deliveries
from loadgen.stats.recorder import Recorder
from loadgen.timers import Alarm, Deadlines
from loadgen.wire import Destination, Job, Sources
from loadgen.worker.arrivals import Arrivals
from loadgen.worker.engine import CLOSE_TIMEOUT, Engine, grain_of
from loadgen.worker.stamps import finder_of

if TYPE_CHECKING:
    from loadgen.net.http_pool import HttpPool

MAX_WINDOW = 4096
"""The most numbers of a stream that a subscriber tells apart."""


def engine_for(
    job: Job,
    recorder: Recorder,
    loop: asyncio.AbstractEventLoop,
    alarm: Alarm,
    want: Callable[[str], None] | None = None,
) -> Engine:
    """Returns the engine of a job; `alarm` wakes the worker.

    `want` asks the agent for a place that a redirect leads to.

    Raises LoadError when a session's file can't be imported, PlanError for a script that can't be
    played or TLS settings that OpenSSL does not have.
    """
    plan = job.plan
    if plan.publish is not None:
        recorder.deliveries = _deliveries(job, plan.publish)
    schedule = plan.schedule
    closing: Deadlines[Connection] = Deadlines(CLOSE_TIMEOUT)
    connections = Connections(recorder, (), closing, plan.transport.connect_timeout)
    making = Routes(job, recorder, loop, closing)
    redirects = None
    if plan.transport.follow_redirects and want is not None:
        redirects = Redirects(connections, want, making.to_place)
        making.follow = partial(Leg, redirects)
    routes = [making.to(destination) for destination in job.destinations]
    for route in routes:
        connections.use(route.dialer)
    phases = tuple(zip(plan.phases, schedule.spans, strict=False))
    churn = Churn(phases, job.share.part, plan.seed, job.start + job.delay)
    population = Population(recorder, connections, churn, alarm)
    population.open_http = lambda: _http_pool(job)
    if any(may_use_http(spec) for spec in plan.session_specs):
        _ = population.http  # before the start: to load aiohttp takes a third of a second
    arrivals = Arrivals(schedule.dues, job.share, schedule.gates)
    grain = grain_of(plan, job.share.part)
    scenarios = _scenarios(job, population, routes, grain)
    # A worker that joins later takes over what others left: that is late, but not by its fault.
    free_since = monotonic() if job.first else job.start
    engine = Engine(
        job.start,
        population,
        scenarios,
        arrivals,
        plan.session_of,
        job.most_open,
        job.delay,
        grain,
        free_since,
    )
    engine.redirects = redirects
    for reassignment in job.reassignments:
        engine.reassign(reassignment)
    return engine


def _scenarios(
    job: Job, population: Population, routes: Sequence[Route], grain: float
) -> list[Scenario]:
    target_of = job.plan.target_of

    def route_of(number: int) -> Route:
        return routes[target_of(number)]

    specs = job.plan.session_specs
    scenarios = [_scenario(spec, job, population, route_of, routes, grain) for spec in specs]
    if job.plan.publish is not None:
        names = job.plan.publish.sessions or [spec.name for spec in specs]
        for scenario in scenarios:
            scenario.receives = scenario.name in names
    return scenarios


def _deliveries(job: Job, publish: Publish) -> Deliveries:
    """Returns the matching of publications on this worker.

    Its streams have the process in their name: a worker that replaces another one begins at 0.
    """
    by_sessions = publish.by == "session"
    return Deliveries(
        finder_of(publish),
        publish.channels_of,
        grace=publish.grace,
        window=_window(publish),
        publisher=f"{job.clock}-{job.publisher}-{os.getpid()}" if by_sessions else "",
        clock=job.clock,
        external=publish.by == "external",
        ordered=publish.ordered,
    )


def _scenario(
    spec: SessionSpec,
    job: Job,
    population: Population,
    route_of: Callable[[int], Route],
    routes: Sequence[Route],
    grain: float,
) -> Scenario:
    plan = job.plan
    if isinstance(spec, Loop):
        session = BUILT_IN[spec.ping]
        return LoopScenario(
            population,
            job.start,
            route_of,
            session,
            spec.think,
            spec.loops,
            grain=grain,
            name=spec.name,
            read_rate=spec.read_rate,
        )
    return SessionScenario(
        population,
        job.start,
        route_of,
        _session(spec, plan),
        name=spec.name,
        seed=plan.seed,
        agent=job.agent,
        routes=routes,
        read_rate=spec.read_rate,
    )


def _window(publish: Publish) -> int:
    """Returns how many numbers of a stream a subscriber tells apart.

    They are those of two graces or, where others set the pace, as many as there may be.
    """
    if publish.by != "http":
        return MAX_WINDOW
    return min(MAX_WINDOW, max(64, int(2 * publish.rate * publish.grace)))


def _session(spec: PythonSession | Script, plan: Plan) -> Session:
    if isinstance(spec, PythonSession):
        return load(spec)
    return compile_session(spec, plan.files, plan.transport.receive_timeout)


def _http_pool(job: Job) -> "HttpPool":
    from loadgen.net.http_pool import HttpPool  # noqa: PLC0415  # it loads aiohttp

    hosts = AllowedHosts(job.destinations, job.allowed)
    contexts = Contexts(job.plan.transport, job.credentials)
    return HttpPool(hosts, job.plan.transport, contexts)


class Routes:
    """Makes the routes to destinations.

    Routes to one server share its dialer. Dialers to one address, such as a proxy's, share its
    ports.
    """

    def __init__(
        self,
        job: Job,
        recorder: Recorder,
        loop: asyncio.AbstractEventLoop,
        closing: Deadlines[Connection],
    ) -> None:
        self.follow: Callable[..., Follower] | None = None
        """Follows the redirects of the routes made from now on."""
        self._transport = transport = job.plan.transport
        self._recorder = recorder
        self._loop = loop
        self._closing = closing
        self._credentials = job.credentials
        self._proxy = transport.via
        self._headers = with_origin(transport.headers.items(), transport.origin)
        self._dialers: dict[tuple[object, ...], Dialer] = {}
        self._ports: dict[tuple[str, int], SourcePorts] = {}

    def to(self, to: Destination) -> Route:
        """Returns the route to a destination of the plan."""
        asked = self._transport.tls_server_name
        name = asked if isinstance(asked, str) else to.name if asked else ""
        return self._route(to, self._headers, name, self._credentials)

    def to_place(self, to: Destination) -> Route:
        """Returns the route to a place that a redirect leads to.

        What the plan says for its own servers alone is not for it: their credentials and
        certificates of clients, their Host and their name in certificates.
        """
        name = to.name if self._transport.tls_server_name else ""
        return self._route(to, elsewhere(self._headers), name, replace(self._credentials, pairs=()))

    def _route(
        self, to: Destination, headers: Headers, name: str, credentials: Credentials
    ) -> Route:
        subprotocols = self._transport.subprotocols
        dialer = self._dialer(to, name, credentials)
        route = Route(to.url, to.host, to.resource, dialer, self._closing, headers, subprotocols)
        route.follow = self.follow
        return route

    def _dialer(self, to: Destination, name: str, credentials: Credentials) -> Dialer:
        transport = self._transport
        place = to.address, to.port
        secured = (name, credentials) if to.secure else None
        key = *place, to.asked, to.asked_port, secured
        if key not in self._dialers:
            proxy = self._proxy
            self._dialers[key] = Dialer(
                self._loop,
                place,
                self._ports.setdefault(place, _ports(to.sources)),
                self._recorder,
                Contexts(transport, credentials) if to.secure else None,
                name,
                (transport.receive_buffer, transport.send_buffer),
                Tunnel(self._loop, proxy, to.asked, to.asked_port) if proxy else None,
                preamble_of(transport.proxy_protocol, to),
            )
        return self._dialers[key]


def preamble_of(version: int, to: Destination) -> Callable[[int], bytes] | None:
    """Returns the header of the PROXY protocol by a user's number; None without one.

    It is for the target's own address, which is not known where a proxy resolves it.
    """
    if not version:
        return None
    if not to.asked:
        return partial(header_of, version, to.address, to.port)
    address = to.asked if is_address(to.asked) else "0.0.0.0"  # noqa: S104 -- it is no place to listen at
    return partial(header_of, version, address, to.asked_port)


def _ports(sources: Sources) -> SourcePorts:
    return SourcePorts(
        sources.addresses,
        range(sources.low, sources.high + 1),
        worker=sources.worker,
        workers=sources.workers,
        start=sources.start,
        reserved=frozenset(sources.left_out),
    )
