"""Builds the engine of a job, with its routes to the targets and its scenarios."""

import asyncio
import os
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from loadgen.net.allowed import AllowedHosts, AllowedTargets
from loadgen.net.connection import Connection
from loadgen.net.connections import Connections
from loadgen.net.redirects import Leg, Redirects
from loadgen.net.route import Route
from loadgen.net.tls import Contexts
from loadgen.plan.params import read_only
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.plan.session_file import load
from loadgen.plan.sessions import Loop, PythonSession, Script, SessionSpec, may_use_http
from loadgen.plan.setup import DATA
from loadgen.plan.slices import slices_of
from loadgen.plan.steer import steered
from loadgen.sessions.churn import Churn
from loadgen.sessions.loop import BUILT_IN, LoopScenario
from loadgen.sessions.population import Population
from loadgen.sessions.replies import Replies
from loadgen.sessions.rows import rows_of
from loadgen.sessions.scenario import NO_SETUP, Scenario
from loadgen.sessions.script.compile import compile_session
from loadgen.sessions.session_scenario import SessionScenario
from loadgen.sessions.tasks import own_tasks
from loadgen.sessions.user import Session
from loadgen.stats.deliveries import Deliveries
from loadgen.stats.recorder import Recorder
from loadgen.timers import Alarm, Deadlines
from loadgen.wire import Job
from loadgen.worker.arrivals import Arrivals
from loadgen.worker.engine import CLOSE_TIMEOUT, Engine, grain_of
from loadgen.worker.routes import Routes
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
    schedule = steered(plan, job.changes)
    closing: Deadlines[Connection] = Deadlines(CLOSE_TIMEOUT)
    connections = Connections((), closing, plan.transport.connect_timeout)
    routes = Routes(job, recorder, loop, closing)
    redirects = None
    if plan.transport.follow_redirects and want is not None:
        redirects = Redirects(connections, want, routes.to_place)
        routes.follow = partial(Leg, redirects)
    all_routes = [routes.to(destination) for destination in job.destinations]
    for route in all_routes:
        connections.use(route.dialer)
    churn = Churn(schedule.phases_with_spans, job.share.part, plan.seed, job.start + job.delay)
    grain = grain_of(plan, job.share.part)
    population = Population(recorder, connections, churn, alarm, grain=grain)
    population.open_http = lambda: _http_pool(job, routes)
    if any(isinstance(spec, PythonSession) for spec in plan.session_specs):
        own_tasks(loop)
    if any(may_use_http(spec) for spec in plan.session_specs):
        _ = population.http  # before the start: to load aiohttp takes a third of a second
    arrivals = Arrivals(schedule.dues, job.share, schedule.gates)
    scenarios = _scenarios(job, population, all_routes, grain)
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
        routes,
    )
    engine.redirects = redirects
    engine.schedule = schedule
    engine.grain_at = partial(grain_of, plan, job.share.part)
    for reassignment in job.reassignments:
        engine.reassign(reassignment)
    return engine


def _scenarios(
    job: Job, population: Population, routes: Sequence[Route], grain: float
) -> list[Scenario]:
    specs = job.plan.session_specs
    rows = rows_of(job.plan)
    params = read_only(job.plan.params)
    data = msgspec.json.decode(job.data) if job.data else NO_SETUP
    slices = slices_of(job.plan)
    scenarios = []
    for session, spec in enumerate(specs):
        own = routes
        if slices.number:
            places = (slices.place(session, target) for target in range(len(routes)))
            recorders = map(population.recorder.of_slice, places)
            own = list(map(Route.counted_by, routes, recorders))
        scenario = _scenario(spec, job, population, own, grain)
        scenario.sliced = slices.number > 0
        scenarios.append(scenario)
    for scenario, spec in zip(scenarios, specs, strict=True):
        scenario.rows = rows.get(scenario.name)
        scenario.params = params
        scenario.data = data
        scenario.replies = Replies(spec.reply) if spec.reply else None
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
    routes: Sequence[Route],
    grain: float,
) -> Scenario:
    plan = job.plan
    target_of = plan.target_of

    def route_of(number: int) -> Route:
        return routes[target_of(number)]

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
            shift=grain * job.share.place,
            name=spec.name,
            read_rate=spec.read_rate,
        )
    return SessionScenario(
        population,
        job.start,
        route_of,
        _session(spec, plan, job),
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


def _session(spec: PythonSession | Script, plan: Plan, job: Job) -> Session:
    if isinstance(spec, PythonSession):
        return load(spec, job.tree)
    given: dict[str, Any] = dict(plan.params)
    if job.data:
        given[DATA] = msgspec.json.decode(job.data)
    columns = plan.columns_of(spec.name)
    timeout = plan.transport.receive_timeout
    return compile_session(spec, plan.files, timeout, columns, given)


def _http_pool(job: Job, routes: Routes) -> "HttpPool":
    from loadgen.net.http_pool import HttpPool  # noqa: PLC0415  # it loads aiohttp

    hosts = AllowedHosts(routes.destinations, AllowedTargets(job.allowed))
    contexts = Contexts(job.plan.transport, job.credentials)
    return HttpPool(hosts, job.plan.transport, contexts)
