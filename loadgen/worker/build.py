"""What a job means for one worker: its routes to the targets, its roles by the plan's sessions,
and their engine."""

import asyncio

from loadgen.net.dialer import Dialer
from loadgen.net.ports import SourcePorts
from loadgen.net.route import Route, headers_of
from loadgen.net.tls import context_of
from loadgen.plan.plan import Plan
from loadgen.plan.session_file import load
from loadgen.plan.sessions import Loop, PythonSession, SessionSpec
from loadgen.sessions.loop import BUILT_IN
from loadgen.sessions.scenario import LoopScenario, Scenario, SessionScenario
from loadgen.sessions.script.compile import player_of
from loadgen.stats.recorder import Recorder
from loadgen.wire import Job, Sources
from loadgen.worker.churn import Churn
from loadgen.worker.engine import Assignment, Engine


def engine_for(job: Job, recorder: Recorder, loop: asyncio.AbstractEventLoop) -> Engine:
    """The engine of a job; raises LoadError when a session's file can't be imported."""
    plan = job.plan
    routes = _routes(job, recorder, loop)
    schedule = plan.schedule
    assignment = Assignment(
        schedule.dues,
        job.share,
        scenario=plan.session_of,
        target=plan.target_of,
        gates=schedule.gates,
    )
    churn = Churn(tuple(zip(plan.phases, schedule.spans, strict=False)), job.share.part, plan.seed)
    engine = Engine(
        job.start,
        job.most_open,
        recorder,
        routes,
        assignment,
        churn,
        plan.transport.connect_timeout,
        job.delay,
    )
    engine.scenarios = [_scenario(engine, spec, plan, job.agent) for spec in plan.session_specs]
    for reassignment in job.reassignments:
        engine.reassign(reassignment)
    return engine


def _scenario(engine: Engine, spec: SessionSpec, plan: Plan, agent: str) -> Scenario:
    if isinstance(spec, Loop):
        return LoopScenario(engine, BUILT_IN[spec.ping], spec.think, spec.loops, spec.read_rate)
    if isinstance(spec, PythonSession):
        session = load(spec)
    else:
        session = player_of(spec, plan.files, plan.transport.receive_timeout)
    return SessionScenario(engine, spec.name, session, plan.seed, agent, spec.read_rate)


def _routes(job: Job, recorder: Recorder, loop: asyncio.AbstractEventLoop) -> list[Route]:
    """One for each destination; those on one server share its dialer, and with it the source
    ports."""
    transport, dialers = job.plan.transport, dict[tuple[str, int, str], Dialer]()
    headers = headers_of(transport.headers.items(), transport.origin, transport.subprotocols)
    buffers = transport.receive_buffer, transport.send_buffer
    routes = []
    for to in job.destinations:
        key = to.address, to.port, to.name if to.secure else ""
        if key not in dialers:
            tls = context_of(transport) if to.secure else None
            name = to.name if transport.tls_server_name else ""
            dialers[key] = Dialer(loop, key[:2], _ports(to.sources), recorder, tls, name, buffers)
        routes.append(Route(to.url, to.host, to.resource, dialers[key], headers))
    return routes


def _ports(sources: Sources) -> SourcePorts:
    return SourcePorts(
        sources.addresses,
        range(sources.low, sources.high + 1),
        worker=sources.worker,
        workers=sources.workers,
        start=sources.start,
        reserved=frozenset(sources.left_out),
    )
