"""What a job means for one worker: its routes to the targets, its roles by the plan's sessions, and their engine."""

import asyncio
import ssl

from loadgen.behaviour import Behaviour, Loop, PythonSession
from loadgen.book import Book
from loadgen.dialer import Dialer
from loadgen.engine import Casting, Engine
from loadgen.plan import Plan
from loadgen.player import player_of
from loadgen.role import LoopRole, Role, SessionRole
from loadgen.route import Route
from loadgen.session import BUILT_IN
from loadgen.sessionfile import load
from loadgen.sources import SourcePorts
from loadgen.turnover import Turnover
from loadgen.wire import Job, Sources


def engine_for(job: Job, book: Book, loop: asyncio.AbstractEventLoop) -> Engine:
    """The engine of a job; raises LoadError when a session's file can't be imported."""
    plan = job.plan
    route = _route(job, book, loop)
    schedule = plan.schedule
    cast = Casting(
        lambda gate: schedule.dues(job.share, gate), role=plan.behaviour_of, target=lambda _: 0, gates=schedule.gates
    )
    turnover = Turnover(tuple(zip(plan.phases, schedule.spans, strict=False)), job.share.part, plan.seed)
    engine = Engine(job.start, job.most_open, book, (route,), cast, turnover, plan.transport.connect_timeout)
    engine.roles = [_role(engine, behaviour, plan, job.agent) for behaviour in plan.behaviours]
    return engine


def _role(engine: Engine, behaviour: Behaviour, plan: Plan, agent: str) -> Role:
    if isinstance(behaviour, Loop):
        return LoopRole(engine, BUILT_IN[behaviour.ping], behaviour.think, behaviour.loops, behaviour.read_rate)
    if isinstance(behaviour, PythonSession):
        session = load(behaviour)
    else:
        session = player_of(behaviour, plan.files, plan.transport.receive_timeout)
    return SessionRole(engine, behaviour.name, session, plan.seed, agent, behaviour.read_rate)


def _route(job: Job, book: Book, loop: asyncio.AbstractEventLoop) -> Route:
    to = job.destinations[0]  # FIRST ONLY: the others are to be judged by the engine's builder
    tls = ssl.create_default_context() if to.secure else None
    dialer = Dialer(loop, (to.address, to.port), _ports(to.sources), book, tls, to.name)
    return Route(to.url, to.host, to.resource, dialer)


def _ports(sources: Sources) -> SourcePorts:
    return SourcePorts(
        sources.addresses,
        range(sources.low, sources.high + 1),
        worker=sources.worker,
        workers=sources.workers,
        start=sources.start,
        reserved=frozenset(sources.left_out),
    )
