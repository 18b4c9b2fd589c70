"""One run as an agent serves it: its share to the workers, their seconds to the coordinator,
orders obeyed."""

import asyncio
import logging
from itertools import repeat
from time import monotonic, process_time

import aiohttp
import msgspec
from msgspec.structs import replace

from loadgen.agent.outbox import Outbox
from loadgen.agent.pool import WorkerPool
from loadgen.agent.settings import AgentSettings
from loadgen.agent.targets import ResolvedTarget
from loadgen.errors import PlanError
from loadgen.http.client import CoordinatorClient
from loadgen.machine.facts import read_machine
from loadgen.machine.limits import Limit, shortfall, unusable_ports, workers_needed
from loadgen.net.ports import pairs_before
from loadgen.plan.session_file import digest
from loadgen.plan.sessions import PythonSession
from loadgen.plan.shares import run_that_fits
from loadgen.wire import Job, Orders, Post, Sources, Start, Welcome, from_wire, to_wire

log = logging.getLogger("loadgen.agent")
BEAT = 0.25
"""Seconds between two looks at the workers."""
SILENCE = 1.0
"""Seconds without news after which the agent posts all the same: the sign of life."""
MAX_ORDERS = 4 << 20
"""Bytes that orders may have."""
LEAVE_TIMEOUT = 5.0
"""Seconds that an agent which is told to leave goes on trying to deliver its last seconds."""


class AgentRun:
    """One run, from the welcome to the coordinator's leave: the seconds out, the orders in."""

    def __init__(
        self, settings: AgentSettings, client: CoordinatorClient, welcome: Welcome
    ) -> None:
        self.pool = WorkerPool()
        self._settings = settings
        self._client = client
        self._welcome = welcome
        self._limits: tuple[Limit, ...] = ()
        """What it can hold by the plan's word, where that says something of it."""
        self._path = f"/v1/agents/{welcome.id}/seconds"
        self._outbox = Outbox()
        self._coarse = False
        """Whether it told that seconds were merged."""
        self._notes: list[str] = []
        self._told: set[str] = set()
        """Reasons whose sample traceback the coordinator has."""
        self._ready = False
        self._refusal = ""
        self._targets: list[ResolvedTarget] = []
        """The plan's URLs, resolved."""
        self._running: asyncio.Task[None] | None = None
        self._met: set[int] = set()
        """Meetings that the workers know to be over."""
        self._pauses = False, 0.0
        """Whether the workers were told of a pause, and how long all pauses so far have taken."""
        self._reassigned = 0
        """How many adoptions the workers were given."""
        self._reassigned_in = 0
        """The second in which they got the last one."""
        self._accounted = 0
        """How many of them the seconds told so far tell of."""
        self._gates = 0
        """How many gates the workers were told of."""
        self._draining = False
        self._over = False
        self._patience = settings.orphan_after
        self._heard = self._spoke = self._begin = monotonic()

    async def serve(self) -> None:
        """Serves this run to its end: the coordinator's word, or its silence."""
        log.info("joined %s as %s", self._settings.coordinator, self._welcome.name)
        await self._get_ready()
        while not self._over:
            self._collect()
            if (
                self._outbox
                or self._notes
                or self.pool.finished
                or monotonic() - self._spoke >= SILENCE
            ):
                await self._speak()
            self._mind_silence()
            await asyncio.sleep(BEAT)
        if self._running is None and monotonic() - self._heard < self._patience:
            await self._speak()  # that it is gone: the fleet need not wait for its silence

    async def _get_ready(self) -> None:
        """Looks at the targets and warms the workers; a target it may not load is refused."""
        plan = self._welcome.plan
        try:
            self._settings = self._settings.under(plan, self._welcome.name)
            sources = self._settings.sources
            self._targets = [
                await asyncio.to_thread(ResolvedTarget.find, url, sources) for url in plan.urls
            ]
        except PlanError as error:
            self._refusal = str(error)
        refusals = (target.refusal(self._settings.allowed_targets) for target in self._targets)
        self._limits = self._settings.limits(read_machine())
        self._refusal = (
            self._refusal or next(filter(None, refusals), "") or self._sessions_refusal()
        )
        if not self._refusal:
            await self.pool.warm(self._workers_for(-(-plan.total // self._welcome.agents)))
            self._refusal = await self.pool.rehearse(self._sessions) if self._sessions else ""
        if self._refusal:
            self._note(f"{self._welcome.name} {self._refusal}")
        self._ready = not self._refusal

    @property
    def _sessions(self) -> tuple[PythonSession, ...]:
        return tuple(one for one in self._welcome.plan.sessions if isinstance(one, PythonSession))

    def _sessions_refusal(self) -> str:
        """Why the plan's sessions in Python may not be run here; empty when they may, or there
        are none."""
        for session in self._sessions:
            if not self._settings.allow_sessions:
                return (
                    f"runs no session in Python ({session.file}): start the agent with"
                    " --allow-sessions"
                )
            if digest(session.source) != session.sha256:
                return (
                    f"got {session.file} with another SHA-256 than the plan says: start the"
                    " coordinator anew"
                )
        return ""

    def _workers_for(self, share: int) -> int:
        if self._settings.workers is not None:
            return self._settings.workers
        machine = read_machine()
        return workers_needed(min(share, self._settings.most), machine, machine.cpus)

    def _note(self, text: str) -> None:
        log.warning("%s", text)
        self._notes.append(text)

    def _collect(self) -> None:
        if self._running is not None and self._running.done():
            self._running.result()
        self.pool.kill_hung(monotonic())
        for note in self.pool.notes:
            self._note(note)
        self.pool.notes.clear()
        for second in self.pool.settled():
            if self._outbox.add(second) and not self._coarse:
                self._coarse = True
                self._note(
                    f"{self._welcome.name} was cut off for long: it tells some seconds two or more"
                    " at a time"
                )
            if second.number > self._reassigned_in:
                self._accounted = self._reassigned

    async def _speak(self) -> None:
        """Posts what is not acknowledged; a failure changes nothing, the next beat posts it
        again."""
        post = self._post()
        try:
            status, body = await self._client.post(self._path, to_wire(post), MAX_ORDERS)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.debug("not delivered: %r", error)
            return
        self._spoke = monotonic()
        if status == 200:
            self._delivered(body, post)
        elif status == 409:
            self._heard = (
                monotonic()
            )  # a coordinator that reads its journal: it is there, and will take the post soon
        elif status in (401, 404):
            self._forgotten(status)

    def _delivered(self, body: bytes, post: Post) -> None:
        """The coordinator answered; what is no order is no answer, and by and by it counts as
        silent."""
        try:
            orders = from_wire(body, Orders)
        except msgspec.DecodeError as error:
            log.warning("the coordinator sent no orders that this agent understands: %s", error)
            return
        self._heard = monotonic()
        del self._notes[: len(post.notes)]
        self._told |= post.tracebacks.keys()
        self._obey(orders, post)

    def _forgotten(self, status: int) -> None:
        """The coordinator is not the one that gave this share: nobody wants the seconds any
        more."""
        if not self._draining:
            log.warning("the coordinator does not know this agent any more (HTTP %d)", status)
        self.drain()
        self._over = self._over or self.pool.finished

    def _post(self) -> Post:
        return Post(
            seconds=self._outbox.batch(),
            ready=self._ready,
            refusal=self._refusal,
            max_connections=self._settings.most,
            limits=self._limits if self._running is None else (),
            finished=self.pool.finished
            or (self._running is None and (self._over or self._draining)),
            gate=self.pool.gate,
            workers=self.pool.vitals(),
            agent_cpu_s=process_time(),
            reassigned=self._reassigned if self.pool.finished else self._accounted,
            notes=tuple(self._notes),
            abort=self.pool.abort,
            tracebacks={
                reason: text
                for reason, text in self.pool.tracebacks.items()
                if reason not in self._told
            },
        )

    def _obey(self, orders: Orders, post: Post) -> None:
        self._outbox.acknowledge(orders.acknowledged)
        if orders.do in ("run", "pause") and orders.start is not None and self._running is None:
            self._running = asyncio.create_task(self._run(orders, orders.start))
        elif orders.do in ("run", "pause"):
            self._pace(orders)
            self._reassign(orders)
            self._open(orders.gates)
            self._meet(orders.met)
        elif orders.do == "drain":
            self._drain()
        elif orders.do == "stop":
            self._stop()
        self._over = self._over or (post.finished and not self._outbox)

    def _pace(self, orders: Orders) -> None:
        """Tells the workers that arrivals are paused, or that they go on, when they have not
        heard of it."""
        paused = orders.do == "pause"
        if (paused, orders.delay) == self._pauses or self._running is None or not self.pool.at_work:
            return
        if not paused or orders.delay != self._pauses[1]:
            self.pool.resume(orders.delay)
        if paused:
            self.pool.pause()
        log.info("arrivals are paused" if paused else "arrivals go on")
        self._pauses = paused, orders.delay

    def _open(self, gates: tuple[float, ...]) -> None:
        """Tells the workers of gates that they have not heard of; none is opened before they all
        wait at it."""
        for gate, at in enumerate(gates[self._gates :], self._gates + 1):
            self.pool.open_gate(gate, at)
        self._gates = len(gates)

    def _reassign(self, orders: Orders) -> None:
        """Hands adoptions to the workers, once those have their jobs."""
        if self._running is None or not self._running.done():
            return
        for reassignment in orders.reassignments[max(0, self._reassigned - orders.reassigned) :]:
            if not self.pool.reassign(reassignment):
                return
            again, fresh = (
                reassignment.unfinished.again(),
                reassignment.unfinished.fresh(self._welcome.plan.total),
            )
            log.info(
                "takes up a part of what was lost: %d to be launched again, %d for the first time",
                again,
                fresh,
            )
            self._count_reassigned(1)

    def _count_reassigned(self, count: int) -> None:
        self._reassigned += count
        self._reassigned_in = int(monotonic() - self._begin)

    def _meet(self, met: tuple[int, ...]) -> None:
        """Tells the workers of meetings that are over, as far as they have not heard of them."""
        for users in met:
            if users not in self._met:
                self._met.add(users)
                self.pool.met(users)

    async def _run(self, orders: Orders, start: Start) -> None:
        reassignments, self._pauses = orders.reassignments, (False, orders.delay)
        self._begin = begin = monotonic() + start.after
        total = self._welcome.plan.total
        share = start.share.count(total) + sum(
            reassignment.unfinished.wanted(total) for reassignment in reassignments
        )
        short = shortfall(self._limits, share)
        if short is not None:
            self._note(
                f"{self._welcome.name}: share {share:,}, but {short.resource} gives out first at "
                f"{short.connections:,} ({short.detail}); {short.fix}"
            )
        jobs = self._jobs(orders, start, share)
        log.info("opens %d connections with %d workers", share, len(jobs))
        self.pool.expect_silence_until(begin)
        await self.pool.run(jobs, start.again)
        self._count_reassigned(len(reassignments))
        self.pool.expect_silence_until(max(begin, monotonic()))
        if self._draining:
            self.pool.drain()

    def _jobs(self, orders: Orders, start: Start, share: int) -> list[Job]:
        """One job a worker: its part of the share, its own ports, its part of the capacity."""
        plan = self._welcome.plan
        count = min(self._workers_for(share), share)
        even = [1] * count
        parts = start.share.split(even, run_that_fits(share, even, start.share.run))
        taken = zip(
            *(reassignment.split(even, plan.total) for reassignment in orders.reassignments),
            strict=True,
        )
        most, extra = divmod(self._settings.most, count)
        ends = self._ends()
        return [
            Job(
                plan=plan,
                share=part,
                start=self._begin,
                destinations=tuple(
                    target.destination(replace(end, worker=number, workers=count))
                    for target, end in zip(self._targets, ends, strict=True)
                ),
                most_open=most + (number < extra),
                agent=self._welcome.name,
                reassignments=own,
                first=start.first,
                delay=orders.delay,
            )
            for number, (part, own) in enumerate(
                zip(parts, taken if orders.reassignments else repeat(()), strict=False)
            )
        ]

    def _ends(self) -> list[Sources]:
        """The local ends of connections to each place, over all workers."""
        ports = self._settings.port_range
        left_out = tuple(sorted(unusable_ports(read_machine(), ports)))
        ends = []
        for target in self._targets:
            pairs = len(target.sources) * (len(ports) - len(left_out))
            first = pairs_before(
                self._welcome.index % self._welcome.agents, self._welcome.agents, pairs
            )
            ends.append(
                Sources(target.sources, ports.start, ports.stop - 1, start=first, left_out=left_out)
            )
        return ends

    def _drain(self) -> None:
        if not self._draining:
            self._draining = True
            log.info("drains")
            self.pool.drain()

    def _stop(self) -> None:
        """Everything is cut at once; the last seconds are still delivered."""
        self._draining = True
        self.pool.cut()
        self.leave()

    def drain(self) -> None:
        """Closes everything in good order; without a share there is nothing to close."""
        self._drain()
        self._over = self._over or self._running is None

    def leave(self) -> None:
        """Its owner, or its coordinator, wants it gone: it drains, and does not wait long for
        who does not answer."""
        self._patience = min(self._patience, LEAVE_TIMEOUT)
        self.drain()

    def _mind_silence(self) -> None:
        """Without a coordinator for too long: closes everything in good order and forgets the
        run."""
        silent = monotonic() - self._heard
        if silent <= self._patience:
            return
        if not self._draining:
            log.warning("no word from the coordinator for %.0f s", silent)
            self.drain()
        self._over = self._over or self.pool.finished
