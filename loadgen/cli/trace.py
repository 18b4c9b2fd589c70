"""The process of `loadgen-coord --trace`: plays one user, and shows it.

It takes its order from standard input. The user is one of the engine's: its arrival, session,
connections and ends are those of a run.
"""

import asyncio
import io
import os
import sys
from collections.abc import Sequence
from functools import partial
from math import inf
from time import monotonic
from typing import NamedTuple, NoReturn

import click
import msgspec
import uvloop

from loadgen.agent.errands import perform
from loadgen.agent.session_files import SessionFiles
from loadgen.agent.targets import ResolvedTarget
from loadgen.cli.options import run_command
from loadgen.errors import PlanError
from loadgen.machine.addresses import DEFAULT_PORTS
from loadgen.net.allowed import AllowedTargets
from loadgen.plan.credentials import Credentials
from loadgen.plan.plan import Plan
from loadgen.plan.session_file import LoadError
from loadgen.plan.sessions import Script
from loadgen.plan.setup import SetupSpec
from loadgen.plan.shares import Share
from loadgen.process import ending_signals
from loadgen.sessions.loop import LoopScenario
from loadgen.sessions.rows import ROWS_DESCRIPTOR, file_of
from loadgen.sessions.scenario import Scenario
from loadgen.sessions.session_scenario import SessionScenario
from loadgen.stats.recorder import Recorder
from loadgen.stats.tally import CHECK, Tally
from loadgen.timers import Alarm
from loadgen.trace.tap import Tap
from loadgen.trace.text import escaped
from loadgen.trace.trace import Trace
from loadgen.trace.users import TracedLoopUser, TracedUser
from loadgen.wire import Called, Destination, ErrandCall, Job, Place, Sources, from_wire, to_wire
from loadgen.worker.build import engine_for
from loadgen.worker.timer import Timer

MAX_OPEN = 1000
"""Connections that the user may hold at once."""
AGENT = "trace"
"""The name of the agent that a session sees."""

SHOWN_BEFORE = (CHECK, "http_")
"""The names of samples begin so where a traced user has shown the event already."""


class TraceOrder(msgspec.Struct):
    """Coordinator → this process: what to play."""

    plan: Plan
    """A plan of one user and one session."""
    rows: tuple[bytes, ...] = ()
    """The rows of the plan's feeders, as agents get them."""
    credentials: Credentials = Credentials()
    allowed: tuple[str, ...] = ()
    """The hosts and paths that it may load besides loopback."""


class Stage(NamedTuple):
    """The things that are there before the user begins."""

    tree: str = ""
    """The folder with the files of the plan's code."""
    data: bytes = b""
    """The result of the plan's setup, as JSON; empty without a setup."""


class Player:
    """Plays the user to its end, or until the operator ends it."""

    def __init__(
        self, order: TraceOrder, trace: Trace, loop: asyncio.AbstractEventLoop, stage: Stage
    ) -> None:
        """Raises LoadError and PlanError as workers do."""
        plan = order.plan
        self._trace = trace
        self._allowed = AllowedTargets(order.allowed)
        self._loop = loop
        self.recorder = Recorder(hash((plan.seed, 0)))
        targets = [ResolvedTarget.find(url, (), plan.transport.via) for url in plan.urls]
        for target in targets:
            refusal = target.refusal(self._allowed)
            if refusal:
                raise PlanError(f"the trace {refusal}")
        job = Job(
            plan=plan,
            share=Share(),
            start=monotonic(),
            destinations=tuple(_destination(target) for target in targets),
            most_open=MAX_OPEN,
            agent=AGENT,
            tree=stage.tree,
            data=stage.data,
            allowed=self._allowed.texts,
            credentials=order.credentials,
        )
        self._timer = Timer(loop, self._tick)
        self._alarm = Alarm(self._timer.set)
        self._engine = engine_for(job, self.recorder, loop, self._alarm, self._want)
        self._done: asyncio.Future[None] = loop.create_future()
        self._finding: set[asyncio.Task[None]] = set()
        self.signals = 0
        """How often the operator asked for the end."""
        for scenario, spec in zip(self._engine.scenarios, plan.session_specs, strict=True):
            _trace_users(scenario, trace, is_script=isinstance(spec, Script))

    async def play(self) -> None:
        """Returns when the user has ended."""
        for number in ending_signals():
            self._loop.add_signal_handler(number, self._end)
        self._timer.set(monotonic())
        await self._done
        await self._engine.population.close_http()

    def _end(self) -> None:
        """Closes the connections in good order; the second time it aborts them."""
        self.signals += 1
        self._trace.line("the operator ends the trace")
        (self._engine.drain if self.signals == 1 else self._engine.stop)(monotonic())
        self._timer.set(monotonic())

    def _tick(self, _: float) -> None:
        """Does what is due, as a worker does it; an error of it ends the trace."""
        try:
            self._alarm.set(-inf)
            again = self._engine.tick(monotonic())
            if not self._engine.finished:
                self._alarm.set(again)
                self._timer.set(again)
            elif not self._done.done():
                self._done.set_result(None)
        except Exception as error:  # a bug
            if not self._done.done():
                self._done.set_exception(error)

    def _want(self, url: str) -> None:
        """Finds a place that a redirect leads to."""
        task = self._loop.create_task(self._find(url))
        self._finding.add(task)
        task.add_done_callback(self._finding.discard)

    async def _find(self, url: str) -> None:
        redirects = self._engine.redirects
        assert redirects is not None  # it has asked
        try:
            target = await asyncio.to_thread(ResolvedTarget.find, url, ())
        except PlanError as error:
            redirects.found(Place(url, refusal=f"can't go there: {error}"))
            return
        refusal = target.refusal(self._allowed)
        redirects.found(Place(url, None if refusal else _destination(target), refusal))


def _destination(target: ResolvedTarget) -> Destination:
    def sources_from(addresses: tuple[str, ...]) -> Sources:
        return Sources(addresses, DEFAULT_PORTS.start, DEFAULT_PORTS.stop - 1)

    return target.destination(sources_from)


def _trace_users(scenario: Scenario, trace: Trace, *, is_script: bool) -> None:
    """Makes the users of a scenario show what they do."""
    scenario.tap = partial(Tap, trace)
    if isinstance(scenario, LoopScenario):
        scenario.user_kind = partial(TracedLoopUser, trace)
    elif isinstance(scenario, SessionScenario):
        scenario.user_kind = partial(TracedUser, trace, is_script=is_script)


async def _play(order: TraceOrder) -> int:
    """Plays the user and returns the exit code."""
    trace = Trace(lambda line: print(line, flush=True))
    (spec,) = order.plan.session_specs
    code = order.plan.python_code
    files = SessionFiles(code) if code else None
    try:
        stage = await _set_up(order.plan, trace, files.path if files else "")
        try:
            player = Player(order, trace, asyncio.get_running_loop(), stage)
            trace.line(f"user 0 begins session {spec.name!r}")
            await player.play()
        finally:
            await _tear_down(order.plan, trace, stage)
    finally:
        if files is not None:
            files.remove()
    for reason, text in player.recorder.take_samples().items():
        if not reason.startswith(SHOWN_BEFORE):
            trace.line(f"{reason}:", *map(escaped, text.rstrip().splitlines()))
    if not trace.over:
        trace.line("the session did not end by itself")
    player.recorder.take_slices()
    trace.line(_ledger(player.recorder.tally))
    return 130 if player.signals else int(trace.failed)


async def _set_up(plan: Plan, trace: Trace, tree: str) -> Stage:
    """Calls the plan's setup, if it has one, as an agent of a run does.

    Raises PlanError when that fails.
    """
    if plan.setup is None:
        return Stage(tree)
    done = await _call(plan.setup, plan.setup.function, to_wire(plan.params), trace, tree)
    if done.problem:
        raise PlanError(f"setup failed: {done.problem}")
    return Stage(tree, done.data)


async def _tear_down(plan: Plan, trace: Trace, stage: Stage) -> None:
    if plan.setup is not None and plan.setup.teardown:
        done = await _call(plan.setup, plan.setup.teardown, stage.data, trace, stage.tree)
        if done.problem:
            trace.line(f"teardown failed: {done.problem}")


async def _call(
    setup: SetupSpec, function: str, argument: bytes, trace: Trace, tree: str
) -> Called:
    done = await perform(ErrandCall(setup.code(function), tree, argument), setup.timeout)
    trace.line(f"{function} of {setup.file}", *done.notes)
    click.echo(done.traceback, err=True, nl=False)
    return done


def _ledger(tally: Tally) -> str:
    """Returns the ends of the connections and requests."""
    ends = [f"failed {reason} {count}" for reason, count in tally.failed.items()]
    ends += [f"closed {reason} {count}" for reason, count in tally.closed.items()]
    ends += [f"HTTP {status} {count}" for status, count in tally.http_replies.items()]
    ends += [f"HTTP failed {reason} {count}" for reason, count in tally.http_failed.items()]
    return f"ledger: {', '.join(ends) or 'no connection'}"


def _open_rows(rows: Sequence[bytes]) -> None:
    """Opens the file with the rows under the descriptor where sessions read it."""
    descriptor = file_of(rows)
    if descriptor != ROWS_DESCRIPTOR:
        os.dup2(descriptor, ROWS_DESCRIPTOR)
        os.close(descriptor)


@click.command()
def command() -> int:
    """Plays the order of standard input."""
    order = from_wire(sys.stdin.buffer.read(), TraceOrder)
    sys.stdin = io.StringIO()  # a session that reads gets nothing, as on a worker
    if order.rows:
        _open_rows(order.rows)
    try:
        return uvloop.run(_play(order))
    except LoadError as error:
        click.echo(error.traceback, err=True, nl=False)
        raise PlanError(str(error)) from error


def main() -> NoReturn:
    """Runs the command."""
    run_command(command, "loadgen-coord")


if __name__ == "__main__":
    main()
