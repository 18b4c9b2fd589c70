"""What a job means for one worker: its routes to the targets, its roles by the plan's sessions, and their engine."""

import asyncio

from loadgen.net.dialer import Dialer
from loadgen.net.ports import SourcePorts
from loadgen.net.route import Route, headers_of
from loadgen.net.tls import context_of
from loadgen.plan.plan import Plan
from loadgen.plan.session_file import load
from loadgen.plan.sessions import Behaviour, Loop, PythonSession
from loadgen.sessions.loop import BUILT_IN
from loadgen.sessions.scenario import LoopRole, Role, SessionRole
from loadgen.sessions.script.compile import player_of
from loadgen.stats.recorder import Book
from loadgen.wire import Job, Sources
from loadgen.worker.churn import Turnover
from loadgen.worker.engine import Casting, Engine


def engine_for(job: Job, book: Book, loop: asyncio.AbstractEventLoop) -> Engine:
    """The engine of a job; raises LoadError when a session's file can't be imported."""
    plan = job.plan
    routes = _routes(job, book, loop)
    schedule = plan.schedule
    cast = Casting(schedule.dues, job.share, role=plan.behaviour_of, target=plan.target_of, gates=schedule.gates)
    turnover = Turnover(tuple(zip(plan.phases, schedule.spans, strict=False)), job.share.part, plan.seed)
    engine = Engine(job.start, job.most_open, book, routes, cast, turnover, plan.transport.connect_timeout, job.delay)
    engine.roles = [_role(engine, behaviour, plan, job.agent) for behaviour in plan.behaviours]
    for adoption in job.adoptions:
        engine.adopt(adoption)
    return engine


def _role(engine: Engine, behaviour: Behaviour, plan: Plan, agent: str) -> Role:
    if isinstance(behaviour, Loop):
        return LoopRole(engine, BUILT_IN[behaviour.ping], behaviour.think, behaviour.loops, behaviour.read_rate)
    if isinstance(behaviour, PythonSession):
        session = load(behaviour)
    else:
        session = player_of(behaviour, plan.files, plan.transport.receive_timeout)
    return SessionRole(engine, behaviour.name, session, plan.seed, agent, behaviour.read_rate)


def _routes(job: Job, book: Book, loop: asyncio.AbstractEventLoop) -> list[Route]:
    """One for each destination; those on one server share its dialer, and with it the source ports."""
    transport, dialers = job.plan.transport, dict[tuple[str, int, str], Dialer]()
    headers = headers_of(transport.headers.items(), transport.origin, transport.subprotocols)
    buffers = transport.receive_buffer, transport.send_buffer
    routes = []
    for to in job.destinations:
        key = to.address, to.port, to.name if to.secure else ""
        if key not in dialers:
            tls = context_of(transport) if to.secure else None
            name = to.name if transport.tls_server_name else ""
            dialers[key] = Dialer(loop, key[:2], _ports(to.sources), book, tls, name, buffers)
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
