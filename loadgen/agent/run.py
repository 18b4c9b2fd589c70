"""One run of an agent: jobs go to workers, their seconds to the coordinator."""

import asyncio
import hashlib
import logging
from http import HTTPStatus
from time import monotonic, process_time, time

import aiohttp
import msgspec

from loadgen.agent.clock import ClockFilter, Exchange, SecondZero
from loadgen.agent.errands import Errands
from loadgen.agent.host import HostSeconds
from loadgen.agent.jobs import (
    AgentPart,
    connections_in,
    destination_of,
    destinations_of,
    jobs_of,
    numbered_as,
    worker_count,
)
from loadgen.agent.names import Names, resolve_all
from loadgen.agent.orders import Pace, WorkerOrders, place_line
from loadgen.agent.outbox import BATCH, Outbox
from loadgen.agent.pool import WorkerPool
from loadgen.agent.process import WorkerProcess
from loadgen.agent.session_files import SessionFiles, without_data
from loadgen.agent.settings import AgentSettings
from loadgen.agent.targets import ResolvedTarget, ways_of
from loadgen.errors import PlanError
from loadgen.http.client import CoordinatorClient
from loadgen.machine.clock import clock_name
from loadgen.machine.facts import read_machine
from loadgen.machine.limits import Limit, shortfall
from loadgen.machine.proc import read_host
from loadgen.plan.feeder import MAX_ROWS_BYTES
from loadgen.plan.life import alive_within
from loadgen.plan.secrets import shown_text
from loadgen.plan.session_file import digest
from loadgen.plan.session_tree import wrong_file
from loadgen.plan.sessions import PythonSession
from loadgen.plan.slices import slices_of
from loadgen.plan.steer import steered
from loadgen.sessions.rows import file_of
from loadgen.stats.fanin import Slice, by_session
from loadgen.stats.tally import Tally, worker_wide
from loadgen.values import printable
from loadgen.wire import (
    Called,
    ErrandResult,
    Orders,
    Place,
    Post,
    Start,
    Welcome,
    from_wire,
    to_wire,
)

log = logging.getLogger("loadgen.agent")
POLL_INTERVAL = 0.25
"""Seconds between two looks at the workers."""
POST_INTERVAL = 1.0
"""Seconds without news after which the agent posts all the same, as a sign of life."""
MAX_ORDERS = 4 << 20
"""Bytes that orders may have."""
ROWS_TIMEOUT = 120.0
"""Seconds that the rows of a feeder may take to come."""
STALL = 2.0
"""Seconds between two looks at its clock after which the agent itself stood still; it looks every
second."""
STOP_TIMEOUT = 5.0
"""Seconds that an agent which has to stop goes on trying to deliver its last seconds."""


class AgentRun:
    """One run, from the coordinator's welcome to the last acknowledgement."""

    def __init__(
        self, settings: AgentSettings, client: CoordinatorClient, welcome: Welcome
    ) -> None:
        self.pool = WorkerPool(self._find_place)
        self.alive_within = alive_within(welcome.plan.session_specs)
        """Seconds within which a connection has to answer to count as alive; see its function."""
        self._slices = slices_of(welcome.plan)
        """The sessions and targets by which results are split."""
        self._settings = settings
        self._client = client
        self._welcome = welcome
        self._limits: tuple[Limit, ...] = ()
        """The limits of this machine by the plan's settings for it."""
        self._outbox = Outbox()
        self._coarse = False
        """True once the coordinator was informed that seconds were merged."""
        self._notes: list[str] = []
        self._sent_tracebacks: set[str] = set()
        """Reasons whose sample the coordinator has."""
        self._ready = False
        self._refusal = ""
        self._targets: list[ResolvedTarget] = []
        """The URLs of the plan, resolved."""
        self._took_addresses = True
        """False until the coordinator has the addresses of the targets as they are now."""
        self._files: SessionFiles | None = None
        """The files of the plan's code in Python, once they are written."""
        self._errands: Errands | None = None
        """The plan's setup and teardown, once their files are written; None without them."""
        self._data = b""
        """The result of the plan's setup, as JSON; empty until the coordinator has sent it."""
        self._leaves = False
        """True once this agent is to stop: no errand keeps it."""
        self._part: AgentPart | None = None
        """The facts that jobs are made from; None until the order to start has come."""
        self._places: dict[str, asyncio.Task[ResolvedTarget | str]] = {}
        """The places that redirects lead to, by URL: resolved, or why they may not be loaded."""
        self._running: asyncio.Task[None] | None = None
        """Starts the workers on their jobs; None until the order to start has come."""
        self._host: HostSeconds | None = None
        """The state of this host by second; None until the order to start has come."""
        self._watching: asyncio.Task[None] | None = None
        self._resolving: asyncio.Task[None] | None = None
        """Resolves names again, in a run whose plan asks for it."""
        self._sent = WorkerOrders()
        self._clock = ClockFilter(clock_name())
        self._over = False
        self._patience = settings.orphan_after
        """Seconds of the coordinator's silence after which the run is drained and forgotten."""
        self._heard = self._spoke = self._looked = monotonic()
        self._second_0 = SecondZero(self._heard)
        """Begins when the run does: until then, anything."""

    async def serve(self) -> None:
        """Serves this run until the coordinator ends it or is silent for too long."""
        looking = asyncio.create_task(self._look_every_second())
        try:
            await self._serve()
        finally:
            looking.cancel()
            if self._errands is not None:
                self._errands.cancel()
            for task in (self._watching, self._resolving):
                if task is not None:
                    task.cancel()

    @property
    def sessions(self) -> dict[str, Slice]:
        """The counts of its workers by session; none where that is not split."""
        return by_session(self._slices, self.pool.fanin.slices)

    @property
    def unsplit(self) -> Tally:
        """The counts of its workers that are not split by session."""
        total = self.pool.fanin.total
        return worker_wide(total) if self._slices.sessions else total

    def remove_files(self) -> None:
        """Removes the files of sessions, once no worker reads them any more."""
        if self._files is not None:
            self._files.remove()
            self._files = None

    async def _serve(self) -> None:
        log.info("joined %s as %s", self._settings.coordinator, self._welcome.name)
        await self._prepare_aloud()
        while not self._over:
            self._collect()
            if self._has_news() or monotonic() - self._spoke >= POST_INTERVAL:
                await self._exchange()
            self._check_silence()
            await asyncio.sleep(POLL_INTERVAL)
        if self._running is None and monotonic() - self._heard < self._patience:
            await self._exchange()  # says that it is gone, so that the fleet need not wait for it

    async def _prepare_aloud(self) -> None:
        """Prepares, and posts meanwhile.

        The coordinator forgets an agent that joins and is not heard.
        """
        preparing = asyncio.create_task(self._prepare())
        try:
            while not preparing.done():
                if not self._over:
                    await self._exchange()
                await asyncio.wait({preparing}, timeout=POST_INTERVAL)
            await preparing
        finally:
            preparing.cancel()

    async def _prepare(self) -> None:
        """Resolves the targets and warms the workers, or finds why this agent refuses."""
        self._refusal = await self._resolve()
        self._limits = self._settings.limits(read_machine(), self._ways)
        self._refusal = self._refusal or self._targets_refusal() or self._sessions_refusal()
        self._refusal = self._refusal or await self._fetch_rows() or self._write_files()
        if not self._refusal:
            plan, agents = self._welcome.plan, self._welcome.agents
            share = -(-plan.total // agents)
            await self.pool.warm(worker_count(self._settings, read_machine(), share))
            if self._files is not None and plan.python_sessions:
                self._refusal = await self.pool.rehearse(plan.python_sessions, self._files.path)
        for line in self._refusal.splitlines():
            self._note(f"{self._welcome.name} {line}")
        self._ready = not self._refusal

    async def _resolve(self) -> str:
        """Applies the plan's settings and resolves its URLs.

        Returns why that fails, or "".
        """
        plan = self._welcome.plan
        try:
            self._settings = self._settings.with_plan(plan, self._welcome.name)
            self._targets = await asyncio.to_thread(
                resolve_all, plan.urls, self._settings.sources, plan.transport.via
            )
        except PlanError as error:
            return str(error)
        for note in dict.fromkeys(note for target in self._targets for note in target.notes):
            self._note(f"{self._welcome.name} {note}")
        self._took_addresses = False
        return ""

    @property
    def _ways(self) -> int | None:
        """The pairs of a source and a target address; None where no target is known."""
        return ways_of(self._targets) if self._targets else None

    @property
    def _addresses(self) -> dict[str, tuple[str, ...]]:
        return {target.url: target.addresses for target in self._targets}

    def _targets_refusal(self) -> str:
        refusals = (target.refusal(self._settings.allowed_targets) for target in self._targets)
        return next(filter(None, refusals), "")

    def _sessions_refusal(self) -> str:
        """Returns why this agent does not run the plan's code in Python, or ""."""
        for session in self._welcome.plan.python_code:
            if not self._settings.allow_sessions:
                return (
                    f"runs no session in Python ({session.file}): start the agent with"
                    " --allow-sessions"
                )
            wrong = session.file if digest(session.source) != session.sha256 else ""
            wrong = wrong or wrong_file(session)
            if wrong:
                return (
                    f"got {wrong} with another SHA-256 than the plan says: start the"
                    " coordinator anew"
                )
        return ""

    async def _fetch_rows(self) -> str:
        """Gets the rows of the plan's feeders, for all workers.

        Returns why that fails, or "".
        """
        tables = []
        for feeder in self._welcome.plan.feeders:
            path = f"/v1/agents/{self._welcome.id}/feeders/{feeder.name}"
            try:
                status, body = await self._client.post(path, b"", MAX_ROWS_BYTES, ROWS_TIMEOUT)
            except (aiohttp.ClientError, TimeoutError) as error:
                return f"did not get the rows of feeder {feeder.name!r}: {error!r}"
            if status != HTTPStatus.OK:
                return f"did not get the rows of feeder {feeder.name!r}: HTTP {status}"
            if hashlib.sha256(body).hexdigest() != feeder.sha256:
                return (
                    f"got the rows of feeder {feeder.name!r} with another SHA-256 than the plan"
                    " says: start the coordinator anew"
                )
            tables.append(body)
        if tables:
            self.pool.rows = await asyncio.to_thread(file_of, tables)
        return ""

    def _write_files(self) -> str:
        """Writes the files of the plan's code in Python where processes import them.

        The workers' plan is without their data, and without a setup. Returns why that fails, or "".
        """
        plan = self._welcome.plan
        if not plan.python_code:
            return ""
        try:
            self._files = SessionFiles(plan.python_code)
        except OSError as error:
            return f"can't write the files of the session: {error}; make room, or set TMPDIR"
        sessions = tuple(
            without_data(session) if isinstance(session, PythonSession) else session
            for session in plan.sessions
        )
        if plan.setup is not None:
            self._errands = Errands(plan.setup, plan.params, self._files.path, self._tell_errand)
        plan = msgspec.structs.replace(plan, sessions=sessions, setup=None)
        self._welcome = msgspec.structs.replace(self._welcome, plan=plan)
        return ""

    def _tell_errand(self, kind: str, done: Called) -> None:
        """Takes over what a setup or a teardown printed, and its traceback."""
        for note in done.notes:
            self._note(f"{kind} {note}")
        if done.traceback:
            self.pool.tracebacks[kind] = done.traceback

    def _note(self, text: str) -> None:
        """Takes a line for the logs, whatever a session or a server has put into it."""
        text = printable(shown_text(text).replace("\n", " "), kept="\t")
        log.warning("%s", text)
        self._notes.append(text)

    def _collect(self) -> None:
        """Takes over what the workers have reported, and kills those that hang."""
        if self._running is not None and self._running.done():
            self._running.result()
        self.pool.kill_hung(monotonic())
        for note in self.pool.notes:
            self._note(note)
        self.pool.notes.clear()
        for second in self.pool.settled():
            if self._host is not None:
                second.host = self._host.take(second.number, monotonic())
            if self._outbox.add(second) and not self._coarse:
                self._coarse = True
                self._note(
                    f"{self._welcome.name} could not reach the coordinator for long: it reports"
                    " some seconds merged, two or more into one"
                )
            self._sent.account_for(second.number)

    def _has_news(self) -> bool:
        answered = self._errands is not None and self._errands.result is not None
        return bool(self._outbox or self._notes or self.pool.finished or answered)

    async def _exchange(self) -> None:
        """Posts what is not acknowledged and follows the orders in the reply.

        A failure changes nothing: the next exchange posts the same again.
        """
        sent = monotonic()
        post = self._post()
        path = f"/v1/agents/{self._welcome.id}/seconds"
        try:
            status, body = await self._client.insist(path, to_wire(post), MAX_ORDERS)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.debug("not delivered: %r", error)
            return
        self._spoke = monotonic()
        if status == 200:
            self._take_reply(body, post, sent)
        elif status == 409:  # it still reads its journal, and will take the post soon
            self._heard = monotonic()
        elif status in (401, 404):
            self._disown(status)

    def _take_reply(self, body: bytes, post: Post, sent: float) -> None:
        """Follows the orders in a reply to a post.

        A reply without orders counts as silence.
        """
        try:
            orders = from_wire(body, Orders)
        except msgspec.DecodeError as error:
            log.warning("the coordinator sent no orders that this agent understands: %s", error)
            return
        self._heard = monotonic()
        step = self._clock.add(Exchange(sent, orders.received, orders.replied, self._heard))
        if step:
            self._note(
                f"the clocks of {self._welcome.name} and of the coordinator went apart by"
                f" {abs(step):.3f} s: a machine stood still, or its clock was set"
            )
        del self._notes[: len(post.notes)]
        if post.addresses == self._addresses:
            self._took_addresses = True
        self._sent_tracebacks |= post.tracebacks.keys()
        self._follow(orders, post)

    def _disown(self, status: int) -> None:
        """Drains a run whose coordinator is gone; the next does not want its seconds."""
        if not self._sent.draining:
            log.warning("the coordinator does not know this agent any more (HTTP %d)", status)
        self.drain()
        self._over = self._over or self.pool.finished

    def _post(self) -> Post:
        pool, sent, idle = self.pool, self._sent, self._running is None
        offset = self._clock.offset(monotonic()) if self._host is not None else None
        seconds = self._outbox.batch()
        last = pool.finished and len(seconds) < BATCH
        return Post(
            seconds=seconds,
            ready=self._ready,
            refusal=shown_text(self._refusal),
            max_connections=self._settings.capacity,
            limits=self._limits if idle else (),
            addresses={} if self._took_addresses else self._addresses,
            finished=last or (idle and (self._over or sent.draining)),
            gate=pool.gate,
            workers=pool.vitals(),
            agent_cpu_s=process_time(),
            clock=self._clock.reading(monotonic(), time()),
            began=None if offset is None else self._second_0.begin + offset,
            reassigned=sent.reassigned if pool.finished else sent.accounted,
            steered=sent.steered,
            announced=sent.announced,
            notes=tuple(self._notes),
            abort=shown_text(pool.abort_reason),
            tracebacks={
                reason: shown_text(text)
                for reason, text in pool.tracebacks.items()
                if reason not in self._sent_tracebacks
            },
            after=self._outbox.after,
            errand=self._errand_result(),
            has_data=bool(self._data),
        )

    def _errand_result(self) -> ErrandResult | None:
        result = None if self._errands is None else self._errands.result
        return result and msgspec.structs.replace(result, problem=shown_text(result.problem))

    def _follow(self, orders: Orders, post: Post) -> None:
        self._outbox.acknowledge(orders.acknowledged, orders.taken)
        self._data = self._data or orders.data
        if self._errands is not None:
            self._errands.follow(orders.errand)
        if orders.do in ("run", "pause") and orders.start is not None and self._running is None:
            self._running = asyncio.create_task(self._start(orders, orders.start))
        elif orders.do in ("run", "pause"):
            self._follow_clock(orders)
            self._send_pace(orders)
            self._send_changes(orders)
            self._send_reassignments(orders)
            self._announce(orders)
            for gate in self._sent.new_gates(orders):
                self.pool.open_gate(gate)
            for users in self._sent.new_meetings(orders):
                self.pool.end_meeting(users)
        elif orders.do == "drain":
            self._announce(orders)
            self._drain()
        elif orders.do == "stop":
            self._abort()
        stays = orders.stay and not self._leaves
        self._over = self._over or (post.finished and not self._outbox and not stays)

    def _follow_clock(self, orders: Orders) -> None:
        """Numbers the seconds anew when this machine's clock has jumped, or stood still."""
        now = monotonic()
        offset = self._clock.offset(now)
        if orders.start is None or offset is None or self._host is None:
            return
        moved = self._second_0.follow(orders.replied + orders.start.after - offset, now)
        if moved:
            self._host.move(moved)
            self.pool.move_start(moved, now)
            self._note(
                f"{self._welcome.name} numbers its seconds anew: its clock is"
                f" {abs(moved):.1f} s {'ahead of' if moved > 0 else 'behind'} the clock of the run"
            )

    def _send_pace(self, orders: Orders) -> None:
        """Pauses or resumes the workers, unless they have no jobs yet or have that pace."""
        pace = self._sent.new_pace(orders)
        if pace is None or self._running is None or not self.pool.employed:
            return
        if not pace.paused or pace.delay != self._sent.pace.delay:
            self.pool.resume(pace.delay)
        if pace.paused:
            self.pool.pause()
        log.info("arrivals are paused" if pace.paused else "arrivals go on")
        self._sent.pace = pace

    def _send_changes(self, orders: Orders) -> None:
        """Tells the workers of changes of the plan, once they have their jobs."""
        if self._running is None or not self._running.done():
            return
        for change in self._sent.new_changes(orders):
            self.pool.steer(change)

    def _send_reassignments(self, orders: Orders) -> None:
        """Gives the workers what is reassigned to them, once they have their jobs."""
        if self._running is None or not self._running.done():
            return
        for reassignment in self._sent.new_reassignments(orders):
            if not self.pool.reassign(reassignment):
                return
            log.info(
                "takes a part of what was lost: %d to launch again, %d for the first time",
                reassignment.unfinished.again(),
                reassignment.unfinished.fresh(self.pool.total),
            )
            self._count_reassigned(1)

    def _announce(self, orders: Orders) -> None:
        """Tells the workers of new publications, once they have their jobs.

        Before that it tells them the clocks of publishers on other hosts, as they are known now.
        """
        if self._running is None or not self._running.done():
            return
        clocks = self._clock.publishers(orders.clocks, monotonic())
        if clocks:
            self.pool.compare(clocks)
        for published in self._sent.new_publications(orders):
            self.pool.announce(published)

    def _count_reassigned(self, count: int) -> None:
        self._sent.count_reassigned(count, int(monotonic() - self._second_0.begin))

    async def _start(self, orders: Orders, start: Start) -> None:
        """Gives the workers their jobs."""
        self._sent.pace = Pace(paused=False, delay=orders.delay)
        now = monotonic()
        begin = self._clock.to_own(orders.replied + start.after, now)
        begin = now + start.after if begin is None else begin
        self._second_0 = SecondZero(begin)
        self._host = HostSeconds(read_host, begin, now)
        self._watching = asyncio.create_task(_watch(self._host))
        total = steered(self._welcome.plan, orders.changes).total
        share = connections_in(start.share, orders.reassignments, total)
        self._note_shortfall(share)
        self._clock.distinguish(orders.clocks, now, f"{self._clock.name}.{self._welcome.index}")
        self._part = part = AgentPart(
            self._welcome,
            self._settings,
            read_machine(),
            self._targets,
            self._clock.name,
            self._files.path if self._files is not None else "",
            self._data,
        )
        jobs = jobs_of(part, orders, start, begin)
        log.info("opens %d connections with %d workers", share, len(jobs))
        self.pool.expect_silence_until(begin)
        await self.pool.run(jobs, start.again)
        self._count_reassigned(len(orders.reassignments))
        self._sent.new_changes(orders)  # the jobs have them
        self.pool.expect_silence_until(max(begin, monotonic()))
        every = self._welcome.plan.transport.resolve_every
        if every is not None:
            self._resolving = asyncio.create_task(self._resolve_again(every))
        if self._sent.draining:
            self.pool.drain()

    async def _resolve_again(self, every: float) -> None:
        """Resolves the targets' names every `every` seconds, for the workers."""
        settings, proxy = self._settings, self._welcome.plan.transport.via
        names = Names(self._targets, settings.sources, settings.allowed_targets, proxy)
        while True:
            await asyncio.sleep(every)
            for note in await asyncio.to_thread(names.look):
                self._note(f"{self._welcome.name} {note}")
            if names.targets != self._targets:
                self._targets = list(names.targets)
                self._took_addresses = False
                assert self._part is not None
                self._part = self._part._replace(targets=self._targets)
                self.pool.readdress(destinations_of(self._part))

    def _find_place(self, url: str, worker: WorkerProcess) -> None:
        """Resolves a place that a redirect leads to, once, and tells a worker of it."""
        finding = self._places.get(url)
        if finding is None:
            finding = self._places[url] = asyncio.create_task(self._judge_place(url))
        finding.add_done_callback(lambda done: self._tell_place(url, done.result(), worker))

    async def _judge_place(self, url: str) -> ResolvedTarget | str:
        """Returns the place, or why connections may not go there."""
        settings, proxy = self._settings, self._welcome.plan.transport.via
        try:
            target = await asyncio.to_thread(ResolvedTarget.find, url, settings.sources, proxy)
        except PlanError as error:
            return f"can't go there: {error}"
        return target.refusal(settings.allowed_targets) or target

    def _tell_place(self, url: str, found: ResolvedTarget | str, worker: WorkerProcess) -> None:
        if isinstance(found, str):
            worker.send(place_line(Place(url, refusal=found)))
            return
        assert self._part is not None
        assert worker.job is not None
        to = numbered_as(worker.job, destination_of(found, self._part))
        worker.send(place_line(Place(url, to)))

    def _note_shortfall(self, share: int) -> None:
        short = shortfall(self._limits, share)
        if short is not None:
            self._note(
                f"{self._welcome.name}: share {share:,}, holds {short.connections:,},"
                f" limited by {short.resource} ({short.detail}); {short.fix}"
            )

    def _drain(self) -> None:
        if not self._sent.draining:
            self._sent.draining = True
            log.info("drains")
            self.pool.drain()

    def _abort(self) -> None:
        """Aborts all connections at once; the last seconds are still delivered."""
        self._sent.draining = True
        self.pool.abort()
        self._hurry()

    def drain(self) -> None:
        """Closes everything in good order; without a share the run is over at once."""
        self._drain()
        self._over = self._over or self._running is None

    def stop(self) -> None:
        """Drains and leaves; waits for a silent coordinator no longer than STOP_TIMEOUT."""
        self._leaves = True
        self._hurry()

    def _hurry(self) -> None:
        self._patience = min(self._patience, STOP_TIMEOUT)
        self.drain()

    def _check_silence(self) -> None:
        """Drains and forgets the run when the coordinator is silent for too long."""
        self._excuse_own_silence()
        silent = monotonic() - self._heard
        if silent <= self._patience:
            return
        if not self._sent.draining:
            log.warning("no word from the coordinator for %.0f s", silent)
            self.drain()
        self._over = self._over or self.pool.finished

    def _excuse_own_silence(self) -> None:
        """Leaves out the time in which this agent stood still, or its clock jumped."""
        now = monotonic()
        passed = now - self._looked
        self._looked = now
        if passed > STALL:
            self._heard += passed
            self.pool.expect_silence_until(now)

    async def _look_every_second(self) -> None:
        while True:
            self._excuse_own_silence()
            await asyncio.sleep(1.0)


async def _watch(host: HostSeconds) -> None:
    """Looks at the host at the end of each second of the run."""
    while True:
        host.look(now := monotonic())
        await asyncio.sleep(max(0.0, host.next_look - now))
