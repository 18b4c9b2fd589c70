"""One run of an agent: jobs go to workers, their seconds to the coordinator."""

import asyncio
import logging
from time import monotonic, process_time, time

import aiohttp
import msgspec

from loadgen.agent.clock import ClockFilter, Exchange, SecondZero
from loadgen.agent.contact import Contact
from loadgen.agent.host import HostSeconds
from loadgen.agent.jobs import AgentPart, connections_in, destinations_of, jobs_of
from loadgen.agent.names import Names
from loadgen.agent.orders import Pace, WorkerOrders
from loadgen.agent.outbox import BATCH, Outbox
from loadgen.agent.places import RedirectPlaces
from loadgen.agent.pool import WorkerPool
from loadgen.agent.preparation import Preparation
from loadgen.agent.relay import Relay
from loadgen.agent.settings import AgentSettings
from loadgen.forkserver import ForkServer
from loadgen.http.client import CoordinatorClient
from loadgen.machine.clock import clock_name
from loadgen.machine.facts import read_machine
from loadgen.machine.limits import counted, shortfall
from loadgen.machine.proc import read_host
from loadgen.plan.life import alive_within
from loadgen.plan.secrets import shown_text
from loadgen.plan.slices import slices_of
from loadgen.plan.steer import steered
from loadgen.stats.fanin import Slice, by_session
from loadgen.stats.tally import Tally, worker_wide
from loadgen.values import printable
from loadgen.wire import ErrandResult, Orders, Post, Start, Welcome, from_wire, to_wire

log = logging.getLogger("loadgen.agent")
POLL_INTERVAL = 0.25
"""Seconds between two looks at the workers."""
POST_INTERVAL = 1.0
"""Seconds without news after which the agent posts all the same, as a sign of life."""
MAX_ORDERS = 4 << 20
"""Bytes that orders may have."""


class AgentRun:
    """One run, from the coordinator's welcome to the last acknowledgement."""

    def __init__(
        self,
        settings: AgentSettings,
        fork_server: ForkServer,
        client: CoordinatorClient,
        welcome: Welcome,
    ) -> None:
        self._places = RedirectPlaces()
        self.pool = WorkerPool(fork_server, self._places.find)
        self.alive_within = alive_within(welcome.plan.session_specs)
        """Seconds within which a connection has to answer to count as alive; see its function."""
        self._slices = slices_of(welcome.plan)
        """The sessions and targets by which results are split."""
        self._client = client
        self._name = welcome.name
        self._prepared = Preparation(settings, client, welcome, self.pool, self._note)
        self._outbox = Outbox()
        self._coarse = False
        """True once the coordinator was informed that seconds were merged."""
        self._notes: list[str] = []
        self._sent_tracebacks: set[str] = set()
        """Reasons whose sample the coordinator has."""
        self._took_addresses = False
        """False until the coordinator has the addresses of the targets as they are now."""
        self._data = b""
        """The result of the plan's setup, as JSON; empty until the coordinator has sent it."""
        self._leaves = False
        """True once this agent is to stop: no errand keeps it."""
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
        self._relay = Relay(self.pool, self._sent, self._clock)
        self._contact = Contact(settings.orphan_after, monotonic())
        self._second_0 = SecondZero(self._contact.heard)
        """Begins when the run does: until then, anything."""

    async def serve(self) -> None:
        """Serves this run until the coordinator ends it or is silent for too long."""
        looking = asyncio.create_task(self._look_every_second())
        try:
            await self._serve()
        finally:
            looking.cancel()
            if self._prepared.errands is not None:
                self._prepared.errands.cancel()
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
        if self._prepared.files is not None:
            self._prepared.files.remove()
            self._prepared.files = None

    async def _serve(self) -> None:
        log.info("joined %s as %s", self._prepared.settings.coordinator, self._name)
        await self._prepare_aloud()
        while not self._over:
            self._collect()
            if self._has_news() or monotonic() - self._contact.spoke >= POST_INTERVAL:
                await self._exchange()
            self._check_silence()
            await asyncio.sleep(POLL_INTERVAL)
        if self._running is None and not self._contact.is_lost(monotonic()):
            await self._exchange()  # says that it is gone, so that the fleet need not wait for it

    async def _prepare_aloud(self) -> None:
        """Prepares, and posts meanwhile.

        The coordinator forgets an agent that joins and is not heard.
        """
        preparing = asyncio.create_task(self._prepared.run())
        try:
            while not preparing.done():
                if not self._over:
                    await self._exchange()
                await asyncio.wait({preparing}, timeout=POST_INTERVAL)
            await preparing
        finally:
            preparing.cancel()

    @property
    def _addresses(self) -> dict[str, tuple[str, ...]]:
        return {target.url: target.addresses for target in self._prepared.targets}

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
                    f"{self._name} could not reach the coordinator for long: it reports"
                    " some seconds merged, two or more into one"
                )
            self._sent.account_for(second.number)

    def _has_news(self) -> bool:
        answered = self._prepared.errands is not None and self._prepared.errands.result is not None
        return bool(self._outbox or self._notes or self.pool.finished or answered)

    async def _exchange(self) -> None:
        """Posts what is not acknowledged and follows the orders in the reply.

        A failure changes nothing: the next exchange posts the same again.
        """
        sent = monotonic()
        post = self._post()
        path = f"/v1/agents/{self._prepared.welcome.id}/seconds"
        try:
            status, body = await self._client.insist(path, to_wire(post), MAX_ORDERS)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.debug("not delivered: %r", error)
            return
        self._contact.spoke = monotonic()
        if status == 200:
            self._take_reply(body, post, sent)
        elif status == 409:  # it still reads its journal, and will take the post soon
            self._contact.heard = monotonic()
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
        self._contact.heard = monotonic()
        step = self._clock.add(Exchange(sent, orders.received, orders.replied, self._contact.heard))
        if step:
            self._note(
                f"the clocks of {self._name} and of the coordinator went apart by"
                f" {abs(step):.3f} s: a machine stood still, or its clock was set"
            )
        del self._notes[: len(post.notes)]
        if post.addresses and post.addresses == self._prepared.addresses:
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
            ready=self._prepared.ready,
            refusal=shown_text(self._prepared.refusal),
            max_connections=self._prepared.settings.capacity,
            limits=self._prepared.limits if idle else (),
            addresses={} if self._took_addresses else self._prepared.addresses,
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
        result = None if self._prepared.errands is None else self._prepared.errands.result
        return result and msgspec.structs.replace(result, problem=shown_text(result.problem))

    def _follow(self, orders: Orders, post: Post) -> None:
        self._outbox.acknowledge(orders.acknowledged, orders.taken)
        self._data = self._data or orders.data
        if self._prepared.errands is not None:
            self._prepared.errands.follow(orders.errand)
        if orders.do in ("run", "pause") and orders.start is not None and self._running is None:
            self._running = asyncio.create_task(self._start(orders, orders.start))
        elif orders.do in ("run", "pause"):
            self._follow_clock(orders)
            now = monotonic()
            self._relay.pass_on(orders, now, self._second(now), have_jobs=self._have_jobs)
        elif orders.do == "drain":
            if self._have_jobs:
                self._relay.announce(orders, monotonic())
            self._drain()
        elif orders.do == "stop":
            self._abort()
        stays = orders.stay and not self._leaves
        self._over = self._over or (post.finished and not self._outbox and not stays)

    @property
    def _have_jobs(self) -> bool:
        """True once the workers have their jobs."""
        return self._running is not None and self._running.done()

    def _second(self, now: float) -> int:
        """Returns the second of the run that `now` is in, on the monotonic clock."""
        return int(now - self._second_0.begin)

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
                f"{self._name} numbers its seconds anew: its clock is"
                f" {abs(moved):.1f} s {'ahead of' if moved > 0 else 'behind'} the clock of the run"
            )

    async def _start(self, orders: Orders, start: Start) -> None:
        """Gives the workers their jobs."""
        self._sent.pace = Pace(paused=False, delay=orders.delay)
        now = monotonic()
        begin = self._clock.to_own(orders.replied + start.after, now)
        begin = now + start.after if begin is None else begin
        self._second_0 = SecondZero(begin)
        self._host = HostSeconds(read_host, begin, now)
        self._watching = asyncio.create_task(_watch(self._host))
        welcome = self._prepared.welcome
        total = steered(welcome.plan, orders.changes).total
        share = connections_in(start.share, orders.reassignments, total)
        self._note_shortfall(share)
        self._clock.distinguish(orders.clocks, now, f"{self._clock.name}.{welcome.index}")
        self._places.part = part = AgentPart(
            welcome,
            self._prepared.settings,
            read_machine(),
            self._prepared.targets,
            self._clock.name,
            self._prepared.folder,
            self._data,
        )
        jobs = jobs_of(part, orders, start, begin)
        number, reason = part.settings.workers_for(share, part.machine)
        reason = reason if len(jobs) == number else "one a connection"
        workers = counted(len(jobs), "worker")
        log.info("opens %d connections with %s: %s", share, workers, reason)
        self.pool.expect_silence_until(begin)
        await self.pool.run(jobs, start.again)
        self._sent.count_reassigned(len(orders.reassignments), self._second(monotonic()))
        self._sent.new_changes(orders)  # the jobs have them
        self.pool.expect_silence_until(max(begin, monotonic()))
        every = welcome.plan.transport.resolve_every
        if every is not None:
            self._resolving = asyncio.create_task(self._resolve_again(every))
        if self._sent.draining:
            self.pool.drain()

    async def _resolve_again(self, every: float) -> None:
        """Resolves the targets' names every `every` seconds, for the workers."""
        settings, proxy = self._prepared.settings, self._prepared.welcome.plan.transport.via
        names = Names(self._prepared.targets, settings.sources, settings.allowed_targets, proxy)
        while True:
            await asyncio.sleep(every)
            for note in await asyncio.to_thread(names.look):
                self._note(f"{self._name} {note}")
            if names.targets != self._prepared.targets:
                self._prepared.targets = list(names.targets)
                self._took_addresses = False
                assert self._places.part is not None
                part = self._places.part._replace(targets=self._prepared.targets)
                self._places.part = part
                self.pool.readdress(destinations_of(part))

    def _note_shortfall(self, share: int) -> None:
        short = shortfall(self._prepared.limits, share)
        if short is not None:
            self._note(
                f"{self._name}: share {share:,}, holds {short.connections:,},"
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
        self._contact.hurry()
        self.drain()

    def _check_silence(self) -> None:
        """Drains and forgets the run when the coordinator is silent for too long."""
        self._excuse_own_silence()
        now = monotonic()
        if not self._contact.is_lost(now):
            return
        if not self._sent.draining:
            log.warning("no word from the coordinator for %.0f s", self._contact.silence(now))
            self.drain()
        self._over = self._over or self.pool.finished

    def _excuse_own_silence(self) -> None:
        now = monotonic()
        if self._contact.excuse_own_silence(now):
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
