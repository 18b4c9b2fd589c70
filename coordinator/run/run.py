"""The state of one run: events and time in, orders and settled seconds out.

It has no clock and no socket: `now` is always in seconds on the clock of the run, which the caller
has.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec.structs import replace

from coordinator.run.agents import MAX_AGENTS, Agents, AgentState, FailureDetector
from coordinator.run.clocks import MAX_JUMP, MAX_JUMPS, jump_of
from coordinator.run.common_end import common_end
from coordinator.run.notices import Notices
from coordinator.run.parts import Parts
from coordinator.run.progress import HOLD, Asked, PhaseProgress, Progress
from coordinator.run.publications import PublicationLine, Publications
from coordinator.run.recorded import Recorded, checked_by, recorded
from coordinator.run.setup import RunSetup
from coordinator.run.shares import ShareTable, shares_of
from coordinator.run.steering import (
    AskedChange,
    Room,
    Wish,
    WishError,
    change_of,
    check_count,
    wording,
)
from coordinator.run.timeline import Entry, Timeline
from coordinator.text import one_line
from loadgen.errors import OperatorError, PlanError
from loadgen.plan.clients import weights_of
from loadgen.plan.credentials import NO_CREDENTIALS, Credentials
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.plan.secrets import shown_url
from loadgen.plan.slices import Slices, slices_of
from loadgen.plan.steer import PlanChange
from loadgen.stats.delays import APART
from loadgen.stats.delivery import News, Published, PublisherClock
from loadgen.stats.fanin import FanIn, Second, Slice, by_session
from loadgen.stats.tally import MEET, Ledger, Tally
from loadgen.values import DEFAULT_MAX_CONNECTIONS
from loadgen.version import VERSION
from loadgen.wire import WIRE, Hello, Orders, Post, Start, Welcome

START_IN = 1.5
"""Seconds from the gathering of the fleet to its common start: every agent posts once in that
time."""
GATE_IN = START_IN
"""Seconds from the end of the last session to the opening of the gate after it, for the same
reason."""
STEERED_IN = START_IN
"""Seconds from a change of the plan until it holds, for the same reason."""
PATIENCE = 3
"""Seconds that a second waits for reports before it settles without them."""
DRAIN_TIMEOUT = 150.0
"""Seconds that the fleet has to close its connections in good order."""
STOP_TIMEOUT = 15.0
"""Seconds more that it has to abort them."""
STOP_BY_HAND_TIMEOUT = 5.0
"""Seconds that it has to abort them after the operator's stop."""
ROUNDING = 0.001
"""Seconds by which the begin of a phase may be computed too late."""
MAX_CLOCKS = 100
"""Clocks of publishers that agents are told of; stamps on a further one have no time."""
MAX_PART = 4 * DEFAULT_MAX_CONNECTIONS
"""Connections beyond which what an agent claims to hold gives it no larger part of the arrivals."""
LONG_STALL = 5.0
"""Seconds of its own standstill from which on the coordinator hears its agents first."""
HEARING = 3.0
"""Seconds that it does so: every agent posts twice, the second time with what it knows of a clock
that jumped."""

MEETING = re.compile(rf"{MEET}\d{{1,9}}", re.ASCII)

State = Literal["gathering", "running", "draining", "done"]
TRANSITIONS: Mapping[State, frozenset[State]] = {
    "gathering": frozenset({"running", "done"}),
    "running": frozenset({"draining", "done"}),
    "draining": frozenset({"done"}),
    "done": frozenset(),
}
"""The states that may follow each state of a run.

gathering → running: as many agents as wanted are ready, and setup is over. gathering → done: they
were not ready in time, setup failed, a share would be empty, or the operator drained or stopped.
running → draining: the hold is over, the operator or a session ended the run, or something was
lost and --on-loss is abort.
running → done: every agent finished, or was lost, before that. draining → done: the same after it.
A run with a teardown is done when that is over; until then a running one is draining.
"""

OnLoss = Literal["continue", "redistribute", "abort"]
"""What happens to a lost agent's share: nothing, other agents launch it, or the run ends."""


class RefusedError(OperatorError):
    """An agent that can't take part; the text is the one line that it is sent."""


class UnknownAgentError(KeyError):
    """A post from an agent that never joined this run."""


class BadPostError(ValueError):
    """A post that can't be true."""


class Run(Recorded):
    """One run of a plan by a fleet of at least `wanted` agents.

    `key` is the beginning of its agents' ids: agents of another run are unknown.
    """

    fixed = ""
    """The reason that its plan can't be changed while it runs, if there is one."""

    def __init__(
        self,
        plan: Plan,
        wanted: int,
        key: str = "run",
        on_loss: OnLoss = "redistribute",
        credentials: Credentials = NO_CREDENTIALS,
    ) -> None:
        self.plan = plan
        self.shown_urls = plan.shown_urls
        """How the plan's URLs are shown: without secrets."""
        self._credentials = credentials
        self.wanted = wanted
        self.key = key
        self.on_loss = on_loss
        self._state: State = "gathering"
        self.agents = Agents()
        self.setup = RunSetup(plan.setup)
        self.notices = Notices()
        self.fanin = FanIn(PATIENCE)
        self.timeline = Timeline(plan.total, slices_of(plan))
        self.parts = Parts()
        self.start = math.inf
        """The time at which second 0 begins, on the clock of the run."""
        self.drained_at = math.inf
        """The time at which the drain began, on the clock of the run."""
        self.end = math.inf
        """The time at which the run was done, on the clock of the run."""
        self.progress = Progress(plan)
        publish = plan.publish or Publish()
        self.publications = Publications(publish.grace, ordered=publish.ordered)
        self.clock: dict[str, PublisherClock] = {}
        """The coordinator's monotonic clock, by its name, beside the clock of the run."""
        self._clocks: dict[str, PublisherClock] = {}
        """The clocks that stamps may be on, by name, as of the last tick."""
        self.by_hand = False
        """True when the operator ended it."""
        self.aborted = ""
        """The reason that a session or a condition gave for ending it; empty when none did."""
        self.aborted_at = 0.0
        """The seconds from its start to that."""
        self.ended_by_loss = False
        """True when it ended since something was lost and --on-loss is abort."""
        self.failure: OperatorError | None = None
        """The reason that it never started."""
        self._share_table = ShareTable(
            plan.total,
            self.progress.mean_rate,
            self.agents,
            self.fanin,
            self.timeline,
            self.notices,
        )
        self._detector = FailureDetector(self.agents)
        self._judged_ends = False
        """True once the first ends were looked at."""
        self._joined = 0
        self._stopping = False
        """True once the agents are ordered to abort their connections."""
        self._deadline = math.inf
        """The time at which draining, or stopping, has taken too long."""
        self._hears_until = -math.inf
        """The time until which the coordinator, after a standstill, only hears its agents."""
        self._jumps = 0
        """The number of times that the clock of the run was found to have jumped."""

    @property
    def state(self) -> State:
        """The state; see TRANSITIONS."""
        return self._state

    def _enter(self, state: State) -> None:
        assert state in TRANSITIONS[self._state], f"{self._state} → {state}"
        self._state = state

    # What agents send.

    def _check_join(self, hello: Hello, now: float, digest: str = "") -> None:
        """Raises RefusedError when an agent can't take part."""
        if hello.wire != WIRE:
            raise RefusedError(
                f"the agent speaks wire version {hello.wire} (loadgen"
                f" {one_line(hello.version, 40)}), the coordinator {WIRE} (loadgen {VERSION});"
                " install the same loadgen version on both"
            )
        if self.state != "gathering" and not self._uses_reserves:
            reason = (
                "is over"
                if self.state == "done"
                else f"has started without agent {one_line(hello.name, 80)}"
            )
            raise RefusedError(f"the run {reason}; it can join the next one")
        if len(self.agents.by_id) >= MAX_AGENTS:
            raise RefusedError(f"{MAX_AGENTS:,} agents have joined, which is the limit of a run")

    @checked_by(_check_join)
    @recorded
    def join(self, hello: Hello, now: float, digest: str = "") -> Welcome:
        """Adds an agent under a unique name; raises RefusedError when it can't take part.

        `digest` is that of the secret which its posts need.
        """
        name = self.agents.unique_name(hello.name)
        agent = AgentState(f"{self.key}-{self._joined}", name, hello, seen=now, digest=digest)
        self.agents.by_id[agent.id] = agent
        self._joined += 1
        return Welcome(
            agent.id, name, self._joined - 1, self.plan.for_agents, self.wanted, self._credentials
        )

    @property
    def _uses_reserves(self) -> bool:
        """True while agents without a share are of use: they get what is lost."""
        return self.state == "running" and self.on_loss == "redistribute"

    def _check_post(self, agent_id: str, post: Post, now: float) -> None:
        """Raises UnknownAgentError or BadPostError when a post can't be taken."""
        agent = self.agents.by_id.get(agent_id)
        if agent is None:
            raise UnknownAgentError(agent_id)
        if agent.active and post.newest > now - self.start + MAX_JUMP:
            raise BadPostError(
                f"second {post.newest} is not over: the run is {now - self.start:.1f} s old"
            )

    @checked_by(_check_post)
    @recorded
    def post(self, agent_id: str, post: Post, now: float) -> None:
        """Takes an agent's post. Repeating a post does no harm.

        A post whose earlier seconds did not come is only a sign of life: the reply says so, and the
        agent posts those first. Raises UnknownAgentError or BadPostError.
        """
        agent = self.agents.by_id[agent_id]
        self._detector.posted(agent, now)
        self._compare_clocks(agent, post, now)
        if not agent.active or post.after <= self._newest(agent):
            self._take(agent, post, now)
        reached = self._newest(agent)
        if agent.lost and post.seconds:  # they count no more, and it must not keep them for ever
            reached = post.newest
        agent.note(self.calls, reached)
        agent.keep(self.kept())

    def _take(self, agent: AgentState, post: Post, now: float) -> None:
        if agent.active:
            self._add_seconds(agent, post.seconds, now)
            self._share_table.check_launched(agent)
        elif self.state == "gathering" or agent.share is None:
            self._update_readiness(agent, post)
        if post.workers:
            agent.workers = post.workers
        agent.addresses = post.addresses or agent.addresses
        agent.gate = post.gate
        agent.agent_cpu_s = max(agent.agent_cpu_s, post.agent_cpu_s)
        agent.reassigned = max(agent.reassigned, min(post.reassigned, len(agent.reassignments)))
        agent.steered = max(agent.steered, min(post.steered, len(self.progress.asked)))
        agent.announced = max(agent.announced, post.announced)
        agent.has_data = agent.has_data or post.has_data
        self._add_notices(agent.name, post)
        self._drain_for_session(agent.name, one_line(post.abort), now)
        if post.errand is not None and self.setup.take(agent.id, post.errand):
            self._tell_errand(now)
        if post.finished and agent.active and self._newest(agent) >= post.newest:
            self._release(agent, agent.unconfirmed)
            self.fanin.finish(agent.name)
            agent.finished = True

    def _compare_clocks(self, agent: AgentState, post: Post, now: float) -> None:
        """Takes note of an agent's clocks, and of those that jumped or were set."""
        before, clock = agent.clock, post.clock
        agent.clock = clock or before
        agent.began = agent.began if post.began is None else post.began
        if agent.active and post.began is not None and abs(post.began - self.start) > APART:
            self._look_for_jump(now)
        # After a step of the monotonic clock it is unknown which of the two was set.
        if before is not None and clock is not None and before.steps == clock.steps:
            bound = before.bound + clock.bound
            self.notices.check_wall(f"agent {agent.name}", clock.wall - before.wall, bound)

    def _look_for_jump(self, now: float) -> None:
        """Goes on with the agents' seconds when the clock of the run itself has jumped."""
        active = self.agents.active()
        apart = [agent.began - self.start for agent in active if agent.began is not None]
        jump = jump_of(apart, len(active))
        if not jump or self._jumps >= MAX_JUMPS:
            return
        self._jumps += 1
        self.start += jump
        self.drained_at += jump
        self._deadline += jump
        found = (
            f"the clocks of the coordinator and of its agents went apart by {abs(jump):.1f} s: a"
            " machine stood still, or a clock was set"
        )
        self.notices.warn(f"{found}; the run goes on by the agents' clocks")
        self.timeline.mark(math.floor(now - self.start), found)

    def _add_seconds(self, agent: AgentState, seconds: tuple[Second, ...], now: float) -> None:
        """Takes the seconds that have begun.

        An agent whose clock is ahead repeats the others until their time has come.
        """
        apart = abs((agent.began if agent.began is not None else self.start) - self.start)
        begun = (second for second in seconds if second.number <= now - self.start)
        for second in sorted(begun, key=lambda second: second.number):
            if apart > APART:
                second.delays.stepped = max(second.delays.stepped, apart)
            self._check_gap(agent, second)
            if self.fanin.add(agent.name, second) and second.news is not None:
                self._take_news(agent.name, second.news, now)

    def _newest(self, agent: AgentState) -> int:
        """Returns the newest second that an agent has reported; -1: none."""
        return self.fanin.sources[agent.name].last.number if agent.share else -1

    def _check_gap(self, agent: AgentState, second: Second) -> None:
        """Reports seconds that an agent has forgotten and that the journal does not have.

        That is so when the disk stood still for so long that the journal was given up, and the
        coordinator died before the disk went on.
        """
        newest = max(self._newest(agent), agent.first - 1)
        first, last = newest + 1, second.number - second.span
        if first <= last:
            self.notices.warn(
                f"seconds {first} to {last} of agent {agent.name} are missing: the coordinator that"
                " died had taken them, and its disk had not; their counts are unknown"
            )

    def _take_news(self, agent: str, news: News, now: float) -> None:
        if self.publications.take(agent, news, self.age(now)):
            self.notices.warn(
                f"none of the messages that users of {agent} receive has a stamp, so no delivery"
                f" is measured; put {{{{stamp}}}} into what is published, or say where it is in"
                f" [publish]; the first is {self.publications.summary.unstamped!r}"
            )

    def _update_readiness(self, agent: AgentState, post: Post) -> None:
        if post.finished:
            del self.agents.by_id[agent.id]
        if post.limits:
            agent.hello = replace(
                agent.hello, max_connections=post.max_connections, limits=post.limits
            )
        refusal = one_line(post.refusal)
        if refusal and refusal not in {other.refusal for other in self.agents.by_id.values()}:
            for line in post.refusal.splitlines():
                self.notices.warn(f"agent {agent.name} refuses: {one_line(line)}")
        if post.ready and not agent.ready:
            self._share_table.agent_became_ready()
        agent.ready = post.ready
        agent.refusal = refusal

    def _add_notices(self, agent: str, post: Post) -> None:
        for note in post.notes:
            self.notices.note(agent, note)
        for reason, text in post.tracebacks.items():
            self.notices.sample(agent, reason, text)

    def _drain_for_session(self, agent: str, reason: str, now: float) -> None:
        """Ends the run in good order when a session on an agent asks for its end."""
        if reason and not self.aborted:
            self._abort(reason, f"a session on {agent} ended the run: {reason}", now)

    @recorded
    def abort(self, why: str, now: float) -> None:
        """Ends the run in good order, since it can't pass any more."""
        if self.state == "running" and not self.aborted:
            self._abort(why, f"the run is drained: {why}", now)

    def _abort(self, why: str, notice: str, now: float) -> None:
        self.aborted = why
        self.aborted_at = self.age(now)
        self.notices.warn(notice)
        if self.state == "running":
            self._drain(now)

    def orders(self, agent_id: str, now: float) -> Orders:
        """Returns the orders of an agent.

        They say nothing that a resumed run would not know and can't do without: which seconds it
        may forget, and what it has to launch.
        """
        agent = self.agents.by_id.get(agent_id)
        if agent is None:  # it left before the run started
            return Orders(-1)
        agent.keep(self.kept())
        orders = self._orders_of(agent, now)
        orders.errand = self.setup.errand_of(agent_id)
        orders.stay = self.setup.to_come
        if orders.start is not None and not agent.has_data:
            orders.data = self.setup.data
        return orders

    def _orders_of(self, agent: AgentState, now: float) -> Orders:
        forget = taken = agent.told.second
        if agent.share is not None and not agent.lost:
            taken = self._newest(agent)
        if self.state == "gathering" or (self._uses_reserves and agent.share is None):
            return Orders(forget)
        if self.setup.to_come and not agent.active and not agent.lost:
            return Orders(forget, taken=taken)  # its load is over, and an errand may come
        if self.state == "done" or self._stopping or not agent.active or agent.share is None:
            agent.stop_ordered = True
            return Orders(forget, "stop", taken=taken)
        known, published = self.publications.since(agent.announced)
        clocks = self._clocks
        if self.state == "draining":
            return Orders(
                forget, "drain", taken=taken, published=published, announced=known, clocks=clocks
            )
        if not agent.told.assigned:
            return Orders(forget, taken=taken)
        again = self._share_table.rate if self.on_loss == "redistribute" else 0.0
        return Orders(
            forget,
            "pause" if self.paused else "run",
            Start(agent.share, self.start - now, agent.first, again),
            self.progress.gates,
            self._met(),
            self.progress.pauses.total,
            tuple(agent.reassignments[agent.reassigned : agent.told.assigned - 1]),
            agent.reassigned,
            self._changes_for(agent),
            agent.steered,
            taken=taken,
            published=published,
            announced=known,
            clocks=clocks,
        )

    def _changes_for(self, agent: AgentState) -> tuple[PlanChange, ...]:
        """Returns the changes that an agent does not have.

        A resumed run would know them.
        """
        kept = self.kept()
        asked = self.progress.asked[agent.steered :]
        return tuple(one.change for one in asked if one.call <= kept)

    def _publisher_clocks(self) -> dict[str, PublisherClock]:
        """Returns the clocks that stamps may be on, by name, beside the clock of the run.

        A thousand agents post each second, so they are sorted once a tick.
        """
        publish = self.plan.publish
        if publish is None or publish.by == "http":
            return self.clock if publish else {}
        known = (agent.clock for agent in self.agents.by_id.values() if agent.clock is not None)
        # The last one of a name counts: of several agents on one host the best known.
        best = sorted(known, key=lambda clock: clock.bound)[:MAX_CLOCKS]
        agents = {clock.name: PublisherClock(clock.offset, clock.bound) for clock in best[::-1]}
        return agents | self.clock

    def _met(self) -> tuple[int, ...]:
        """Returns the meetings to which all users came that each of them waits for."""
        counters = self.total.counters
        waits = {name: int(name.removeprefix(MEET)) for name in counters if MEETING.fullmatch(name)}
        return tuple(users for name, users in waits.items() if counters[name] >= users)

    # What time does.

    @recorded
    def tick(self, now: float) -> list[Entry]:
        """Does what is due by now, and returns the seconds that settled."""
        self._take_standstill(self._detector.excuse_own_silence(now), now)
        self.agents.forget_silent(now)
        if self.state == "done":
            return []
        if self.end < math.inf:
            self._give_errand(now)
            self._finish_when_torn_down()
            return []
        if self.state == "gathering":
            self._start_when_gathered(now)
            return []
        for agent, reason in self._detector.lost(now):
            self._lose(agent, reason, min(now, agent.disconnected))
        self._respond_to_losses(now)
        self._clocks = self._publisher_clocks()
        if now < self._hears_until and self.agents.active() and not self._stopping:
            return []
        self._advance(now)
        entries = self._settle(now)
        if not self.agents.active():
            self._finish(now)
        return entries

    def _take_standstill(self, seconds: float, now: float) -> None:
        """Hears the agents before it judges by the time, after a long standstill.

        Its clock may have jumped: then the run is younger than that clock says.
        """
        if seconds > LONG_STALL and now >= self._hears_until:
            self._hears_until = now + HEARING
            self.notices.warn(
                f"the coordinator stood still for {seconds:.0f} s, or its clock jumped; no agent is"
                " lost for that"
            )

    def _start_when_gathered(self, now: float) -> None:
        ready = self._detector.reachable(now)
        if len(ready) < self.wanted:
            if self.setup.under_way:
                self._give_errand(now)
            return
        weights = weights_of(
            self.plan.clients, [(agent.name, min(agent.capacity, MAX_PART)) for agent in ready]
        )
        shares = shares_of(weights, self.plan.total)
        counts = [share.count(self.plan.total) for share in shares]
        idle = [agent.name for agent, count in zip(ready, counts, strict=True) if count == 0]
        if idle:
            self.fail(empty_share_error(idle, self.plan, self.wanted), now)
            return
        if self.setup.stage == "setup":
            self._give_errand(now)
            return
        for agent, share, count in zip(ready, shares, counts, strict=True):
            self._share_table.assign(agent, share, count, now)
        self._enter("running")
        self.start = now + START_IN
        if self.slices.note:
            self.notices.warn(self.slices.note)
        for agent in self.agents.by_id.values():
            if agent.share is None:
                self.notices.warn(
                    f"agent {agent.name} was not ready in time; the run started without it"
                )

    # Setup and teardown.

    @property
    def errand(self) -> str:
        """The function that an agent calls now, for people; empty while none does."""
        agent = self.agents.by_id.get(self.setup.agent)
        return f"{self.setup.stage} on {agent.name}" if self.setup.under_way and agent else ""

    def _give_errand(self, now: float) -> None:
        """Has an agent call setup or teardown, another one where that is lost."""
        assert self.plan.setup is not None
        if self.setup.give([agent.id for agent in self._detector.reachable(now)], now):
            name = self.agents.by_id[self.setup.agent].name
            self.notices.warn(f"agent {name} calls {self.setup.stage} ({self.plan.setup.file})")
        else:
            self._tell_errand(now)

    def _tell_errand(self, now: float) -> None:
        """Tells what came of an errand that is over; a setup that failed ends the run."""
        setup = self.setup
        if setup.under_way:
            return
        if setup.stage == "load":
            self.notices.warn(f"setup is over: {len(setup.data):,} bytes of JSON for all users")
        elif setup.problem and self.failure is None:
            agent = self.agents.by_id.get(setup.agent)
            where = f" on agent {agent.name}" if agent else ""
            self.fail(PlanError(f"setup failed{where}: {setup.problem}; nothing was loaded"), now)

    def _finish_when_torn_down(self) -> None:
        if self.setup.stage != "over":
            return
        if self.setup.teardown_problem:
            self.notices.warn(f"teardown failed: {self.setup.teardown_problem}")
        self._enter("done")

    # What is lost.

    def _lose(self, agent: AgentState, reason: str, at: float) -> None:
        """Loses an agent of which nothing is known up to a time on the clock of the run."""
        self._release(agent, self._share_table.users_of(agent))
        last = self.fanin.lose(agent.name, math.floor(at - self.start))
        self.timeline.lose(agent.name)
        agent.lost = True
        self.notices.warn(
            f"agent {agent.name} is lost ({reason}): {last.lost:,} open connections count as lost"
        )

    def _release(self, agent: AgentState, users: int) -> None:
        """Leaves to others what an agent has not finished that ends with `users` users."""
        if self._uses_reserves:
            self._share_table.release(agent, users)

    def _respond_to_losses(self, now: float) -> None:
        """Does what --on-loss asks for when something is lost."""
        lost = (
            self.total.lost
            or self.total.failed.get("lost")
            or any(agent.lost for agent in self.agents.with_share())
        )
        if lost and self.on_loss == "abort" and self.state == "running":
            self.ended_by_loss = True
            self.notices.warn("something was lost, and --on-loss is abort: the run ends")
            self._drain(now)
        elif self._uses_reserves:
            self._share_table.deal_orphans(now - self.start, now)

    # The phases of a run.

    def _advance(self, now: float) -> None:
        if self.state == "running" and not self.paused:
            if now - self.start >= self.progress.drain_after:
                self._drain(now)
            else:
                self._open_gate(now)
        if now < self._deadline:
            return
        if self._stopping:
            for agent in self.agents.active():
                self._lose(agent, "did not stop in time", now)
        else:
            self.notices.warn(f"not drained after {DRAIN_TIMEOUT:.0f} s; the rest is stopped")
            self._stopping = True
            self._deadline = now + STOP_TIMEOUT

    def _open_gate(self, now: float) -> None:
        """Opens the next gate once every agent waits at it."""
        gate = self.progress.next_gate
        active = self.agents.active()
        all_wait = gate is not None and active and all(agent.gate >= gate for agent in active)
        if all_wait and self._share_table.all_confirmed:
            self.progress.open_gate(now - self.start + GATE_IN)

    def _drain(self, now: float) -> None:
        self.progress.pauses.end(now - self.start)
        self._enter("draining")
        self.drained_at = now
        self._deadline = now + DRAIN_TIMEOUT

    def _settle(self, now: float) -> list[Entry]:
        """Returns the seconds that are complete or have waited long enough, in order.

        Subtle: a correction is handed out together with later seconds. It goes first, by its
        number, since the totals of those later seconds include it.
        """
        over = math.floor(now - self.start) - 1 if self.agents.active() else -1
        settled = sorted(self.fanin.settle(over), key=lambda settled: settled.second.number)
        entries = [self.timeline.add(second) for second in settled]
        for entry in entries:
            self._add_to_parts(entry)
        if entries and not self._judged_ends:
            self._judge_ends(self.ledger)
        return entries

    def _judge_ends(self, ledger: Ledger) -> None:
        """Warns once when the first connections all end for one reason.

        Mostly that is a wrong URL.
        """
        ended = ledger.launched - ledger.connecting
        self._judged_ends = ended > 0
        found = common_end(ended, ledger.failed, ledger.closed) if ended else None
        if found is not None:
            self.notices.warn(
                f"all {ended:,} connections so far ended as {found.reason}: {found.advice}"
            )

    def _add_to_parts(self, entry: Entry) -> None:
        """Adds a second to its parts.

        That is the phase in which it begins; the drain begins with the second in which it was
        ordered.
        """
        number = entry.row.second
        draining = self.start + number + 1 > self.drained_at
        self.parts.add(entry, self.progress.phase(number + ROUNDING), draining=draining)

    def _finish(self, now: float) -> None:
        """Ends what is measured, and the run, unless a teardown is to come."""
        self.end = min(self.end, now)
        if not self.setup.begin_teardown():
            self._enter("done")
        elif self.state == "running":
            self._enter("draining")

    # Publications.

    @recorded
    def published(self, published: Published, sent: float, now: float) -> None:
        """Adds a publication that the coordinator sent.

        `sent` is the time of its sending, on the clock of the run.
        """
        self.publications.add(published, self.age(now), self.age(sent))

    @recorded
    def publication_failed(self, reason: str, now: float) -> None:
        """Counts a publication that the coordinator could not send."""
        self.publications.fail(one_line(reason, 100))

    def may_publish(self, now: float) -> bool:
        """Returns True while publications are sent.

        The last one is sent long enough before the drain that each can be received.
        """
        publish = self.plan.publish
        if publish is None or self.state != "running" or not self.total.opened:
            return False
        if publish.begin == "plateau" and self.phase(now) != HOLD:
            return False
        return now - self.start < self.progress.drain_after - publish.lead

    def settle_publications(self) -> list[PublicationLine]:
        """Returns the publications of which all agents have reported the receipts."""
        sources = self.fanin.sources
        reported = [sources[agent.name].last.number + 1 for agent in self.agents.active()]
        over = not reported or self.state == "done"
        return self.publications.settle(math.inf if over else float(min(reported)))

    # What the operator does.

    @recorded
    def drain(self, now: float) -> None:
        """Ends the run in good order; a run that has not started is done at once."""
        self._end_by_hand(now)

    def _end_by_hand(self, now: float) -> None:
        if self.end < math.inf and self.state != "done":
            self.setup.skip()
            self._finish_when_torn_down()
            return
        self.by_hand = self.by_hand or self.state != "done"
        if self.state == "gathering":
            self._finish(now)
        elif self.state == "running":
            self._drain(now)

    @recorded
    def pause(self, now: float) -> None:
        """Pauses arrivals: what is open stays open, and the plan's own time stands still."""
        if self.state == "running":
            self.progress.pause(max(0.0, now - self.start))

    @recorded
    def resume(self, now: float) -> None:
        """Continues arrivals where the plan was, once every agent has the order."""
        if self.paused:
            self.progress.resume(now - self.start + START_IN)

    def _change_for(self, wish: Wish, now: float) -> PlanChange:
        gone = (agent.name for agent in self.agents.with_share() if not agent.active)
        at = max(0.0, self.progress.pauses.paced(now - self.start)) + STEERED_IN
        room = Room(self._share_table.most, next(gone, ""))
        return change_of(wish, self.plan, self.progress.schedule, at, room)

    def _check_steer(self, wish: Wish, now: float) -> None:
        """Raises WishError when a wish can't be fulfilled."""
        if self.fixed:
            raise WishError(f"{self.fixed}; pause, resume or drain the run")
        check_count(self.progress.changes)
        if self.state == "running":
            self._change_for(wish, now)

    @checked_by(_check_steer)
    @recorded
    def steer(self, wish: Wish, now: float) -> None:
        """Changes the plan of a running run, from a moment on in which all agents know.

        Raises WishError when that can't be.
        """
        if self.state != "running":
            return
        change = self._change_for(wish, now)
        self._share_table.replan(self.progress.schedule.steered(change).total)
        self._share_table.rate = change.rate or self._share_table.rate
        self.progress.steer(Asked(change, self._share_table.planned, self.calls))
        self.notices.warn(f"the operator asked for {self.asked()[-1]}")

    @recorded
    def stop(self, now: float) -> None:
        """Ends the run at once.

        Agents abort their connections, and have a few seconds to report.

        The second stop does not wait for reports.
        """
        self._end_by_hand(now)
        if self.state == "draining":
            self._deadline = now if self._stopping else now + STOP_BY_HAND_TIMEOUT
            self._stopping = True

    @recorded
    def fail_gathering(self, wait: float, now: float) -> None:
        """Ends a run whose agents were not ready within `wait` seconds."""
        self.fail(self.agents.gathering_error(self.wanted, wait, now), now)

    def fail(self, failure: OperatorError, now: float) -> None:
        """Ends a run that can't start."""
        self.failure = failure
        self._finish(now)

    # What else is seen of agents.

    @recorded
    def connection_broke(self, agent_id: str, now: float) -> None:
        """Takes note that an agent's connection broke; it may come back on another one."""
        if agent_id in self.agents.by_id:
            self._detector.disconnected(self.agents.by_id[agent_id], now)

    @recorded
    def lose_agent(self, name: str, reason: str) -> None:
        """Loses the agent of this name at once: it is known to be dead."""
        for agent in self.agents.active():
            if agent.name == name:
                self._lose(agent, reason, agent.seen)

    # What may be known.

    def fleet(self) -> list[AgentState]:
        """Returns the agents that were given something to launch; before the start, all."""
        if self.state == "gathering":
            return list(self.agents.by_id.values())
        return self.agents.with_share()

    @property
    def paused(self) -> bool:
        """True while the operator has paused arrivals."""
        return self.state == "running" and self.progress.pauses.open

    @property
    def started(self) -> bool:
        """True once the fleet has gathered and has its shares."""
        return self.start < math.inf

    def asked(self) -> list[AskedChange]:
        """Returns the changes of the plan that the operator asked for, in their order."""
        names = self.plan.phase_names
        return [
            AskedChange(
                wording(one.change, names),
                self.progress.age_at(one.change.at),
                one.planned,
                one.change,
            )
            for one in self.progress.asked
        ]

    def phase_progress(self) -> list[PhaseProgress]:
        """Returns the plan's phases, with what is known of each."""
        return self.progress.phases(self.timeline.launched)

    def phase(self, now: float) -> str:
        """Returns the name of the current phase, or what follows the last.

        It is empty in every state but running.
        """
        return self.progress.phase(now - self.start) if self.state == "running" else ""

    @property
    def slices(self) -> Slices:
        """The sessions and targets by which its results are split."""
        return self.timeline.slices

    @property
    def total(self) -> Tally:
        """Everything that the fleet reported."""
        return self.fanin.total

    @property
    def ledger(self) -> Ledger:
        """Where all planned connections stand, by everything that the fleet reported."""
        return Ledger.of(self._share_table.planned, self.fanin.total)

    def breaches(self) -> list[str]:
        """Returns what can't be true of the ledger of a run that is over.

        What one agent reports fits its own share, whatever the others' add up to. It has no
        connection when its last second has come: each was closed, or lost.
        """
        found = self.ledger.breaches()
        for agent in self.fleet():
            total = self.total_of(agent)
            left = Ledger.of(agent.planned, total)
            wrong = left.breaches()
            if total.relaunched > total.launched:
                wrong.append(f"relaunched is {total.relaunched} but {total.launched} were launched")
            if self.slices.number and agent.share:
                wrong += self.fanin.sources[agent.name].slice_breaches(self.slices)
            found += [f"agent {agent.name}: {text}" for text in wrong]
            if agent.finished:
                states = {"connecting": left.connecting, "open": left.open}
                kept = [f"{number:,} {name}" for name, number in states.items() if number > 0]
                found += [f"agent {agent.name} ended with {text}" for text in kept]
        return found

    @property
    def not_launched(self) -> int:
        """The users that were not launched although their agents had places for them.

        A plan may ask for more than its agents hold; what is beyond that does not count.
        """
        left = 0
        for agent in self.agents.with_share():
            ledger = Ledger.of(agent.planned, self.total_of(agent))
            beyond = max(0, agent.planned - agent.capacity)
            left += max(0, ledger.not_started - beyond)
        return left

    def total_of(self, agent: AgentState) -> Tally:
        """Returns everything that one agent reported."""
        return self.fanin.sources[agent.name].total if agent.share else Tally()

    def sessions_of(self, agent: AgentState) -> dict[str, Slice]:
        """Returns what one agent reported, by session; nothing where that is not split."""
        source = self.fanin.sources.get(agent.name)
        return by_session(self.slices, source.slices) if source else {}

    def addresses_of(self, agent: AgentState) -> dict[str, tuple[str, ...]]:
        """Returns the addresses that one agent loads, by the URLs as they are shown."""
        return {
            self.shown_urls.get(url) or shown_url(url): addresses
            for url, addresses in agent.addresses.items()
        }

    def alive_of(self, agent: AgentState) -> int | None:
        """Returns the connections of one agent that are alive by its newest second.

        None where that is unknown.
        """
        return self.fanin.sources[agent.name].last.held.alive if agent.share else None

    def age(self, now: float) -> float:
        """Returns the seconds since the common start, up to the end; 0 before it."""
        return max(0.0, min(now, self.end) - self.start)


def empty_share_error(idle: Sequence[str], plan: Plan, agents: int) -> PlanError:
    """Returns the error that names the agents whose share would be empty."""
    fix = "its weight in the plan" if plan.clients else "the agent's --max-connections"
    return PlanError(
        f"{plan.asked} over {agents} agents leaves nothing for {', '.join(idle)}: a share that"
        f" rounds to nothing; ask for more connections, fewer agents, or raise {fix}"
    )
