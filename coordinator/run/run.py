"""The state of one run: gathering → running → draining → done. Events and the time go in, orders
come out.

It holds no clock and no socket: `now` is a number of seconds on whatever clock the caller has.
"""

import math
import re
from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from coordinator.run.agents import MAX_AGENTS, Agents, AgentState, FailureDetector
from coordinator.run.notices import Notice, Notices
from coordinator.run.progress import PhaseProgress, Progress
from coordinator.run.recorded import Recorded, recorded
from coordinator.run.shares import ShareTable, shares_of
from coordinator.run.timeline import Entry, Timeline
from coordinator.text import one_line
from loadgen.errors import OperatorError, PlanError
from loadgen.plan.clients import weights_of
from loadgen.plan.plan import Plan
from loadgen.stats.fanin import FanIn, Second
from loadgen.stats.tally import MEET, Ledger, Tally
from loadgen.version import VERSION
from loadgen.wire import WIRE, Hello, Orders, Post, Start, Welcome

START_IN = 1.5
"""Seconds from the gathering of the fleet to its common start: every agent polls once in that
time."""
GATE_IN = START_IN
"""Seconds from the end of the last session to the opening of the gate behind it, for the same
reason."""
PATIENCE = 3
"""Seconds a settled second may lag behind, waiting for a report."""
DRAIN_BOUND = 150.0
"""Seconds the fleet may take to close its connections in good order."""
STOP_BOUND = 15.0
"""Seconds more that it may take to let go of them."""
HAND_BOUND = 5.0
"""The same, after the operator said stop."""
AHEAD = 5
"""How many seconds a report may be ahead of the coordinator's clock before it can't be true."""

MEETING = re.compile(rf"{MEET}\d{{1,9}}", re.ASCII)

State = Literal["gathering", "running", "draining", "done"]
OnLoss = Literal["continue", "redistribute", "abort"]
"""What becomes of a lost agent's share: nothing, others launch it, or the run ends."""


class RefusedError(OperatorError):
    """An agent that can't take part; it is told why in one line."""


class UnknownAgentError(KeyError):
    """A post from an agent that never joined this run."""


class BadPostError(ValueError):
    """A post that can't be true."""


class Run(Recorded):
    """One run of a plan by a fleet of at least `wanted` agents. `key` tells its agents from
    those of an earlier run."""

    def __init__(
        self, plan: Plan, wanted: int, key: str = "run", on_loss: OnLoss = "redistribute"
    ) -> None:
        self.plan = plan
        self.wanted = wanted
        self.key = key
        self.on_loss = on_loss
        self.state: State = "gathering"
        self.agents = Agents()
        self.notices = Notices()
        self.fanin = FanIn(PATIENCE)
        self.timeline = Timeline(plan.total)
        self.start = math.inf
        """When second 0 began, or will begin."""
        self.end = math.inf
        """When the run was done."""
        self.progress = Progress(plan)
        self.by_hand = False
        """Whether the operator ended it."""
        self.aborted = ""
        """Why a session ended it, if one did."""
        self.given_up = ""
        """Why it was ended when something was lost, where that was asked for."""
        self.failure: OperatorError | None = None
        """Why it never started."""
        self._share_table = ShareTable(
            plan.total,
            self.progress.mean_rate,
            self.agents,
            self.fanin,
            self.timeline,
            self.notices,
        )
        self._detector = FailureDetector(self.agents)
        self._joined = 0
        self._stopping = False
        self._deadline = math.inf

    # What agents say.

    @recorded
    def join(self, hello: Hello, now: float) -> Welcome:
        """Takes an agent in under a name of its own; raises RefusedError when it can't take
        part."""
        if hello.wire != WIRE:
            raise RefusedError(
                f"the agent speaks wire version {hello.wire} (loadgen"
                f" {one_line(hello.version, 40)}), the coordinator {WIRE} (loadgen {VERSION});"
                " install the same loadgen version on both"
            )
        if self.state != "gathering" and not self._takes_reserves:
            going = (
                "is over"
                if self.state == "done"
                else f"has started without agent {one_line(hello.name, 80)}"
            )
            raise RefusedError(f"the run {going}; it can join the next one")
        if len(self.members) >= MAX_AGENTS:
            raise RefusedError(
                f"{MAX_AGENTS:,} agents have joined, and that is the most there may be"
            )
        name = self.agents.name_for(hello.name)
        member = AgentState(f"{self.key}-{self._joined}", name, hello, seen=now)
        self.members[member.id] = member
        self._joined += 1
        return Welcome(member.id, name, self._joined - 1, self.plan, self.wanted)

    @property
    def _takes_reserves(self) -> bool:
        """Whether agents without a share are of use: they get what is lost."""
        return self.state == "running" and self.on_loss == "redistribute"

    @recorded
    def post(self, agent: str, post: Post, now: float) -> Orders:
        """Takes an agent's seconds and news; repeats are harmless. Raises UnknownAgentError or
        BadPostError."""
        member = self.members.get(agent)
        if member is None:
            raise UnknownAgentError(agent)
        if member.active:
            self._take(member, post.seconds, now)
        elif self.state == "gathering" or member.share is None:
            self._listen(member, post)
        self._detector.hear(member, now)
        if post.workers:
            member.workers = post.workers
        member.gate = post.gate
        member.agent_cpu_s = max(member.agent_cpu_s, post.agent_cpu_s)
        member.reassigned = max(member.reassigned, min(post.reassigned, len(member.reassignments)))
        self._read(member.name, post, now)
        if post.finished and member.active:
            self._release(member, member.unaccounted)
            self.fanin.finish(member.name)
            member.finished = True
        return self._orders(
            member, max((second.number for second in post.seconds), default=-1), now
        )

    def _read(self, agent: str, post: Post, now: float) -> None:
        for note in post.notes:
            self.notices.note(agent, note)
        for reason, text in post.tracebacks.items():
            self.notices.sample(agent, reason, text)
        self._abort(agent, one_line(post.abort), now)

    def _abort(self, agent: str, why: str, now: float) -> None:
        """A session wants the whole run to end, which it does in good order."""
        if why and not self.aborted:
            self.aborted = why
            self._warn(f"a session on {agent} ended the run: {why}")
            if self.state == "running":
                self._drain(now)

    def _take(self, member: AgentState, seconds: tuple[Second, ...], now: float) -> None:
        newest = max((second.number for second in seconds), default=-1)
        if newest > now - self.start + AHEAD:
            raise BadPostError(
                f"second {newest} is not over: the run is {now - self.start:.1f} s old"
            )
        for second in sorted(seconds, key=lambda second: second.number):
            self.fanin.add(member.name, second)

    def _listen(self, member: AgentState, post: Post) -> None:
        if post.finished:
            del self.members[member.id]
        if post.limits:
            member.hello = replace(
                member.hello, max_connections=post.max_connections, limits=post.limits
            )
        refusal = one_line(post.refusal)
        if refusal and refusal not in {one.refusal for one in self.members.values()}:
            self._warn(f"agent {member.name} refuses: {refusal}")
        if post.ready and not member.ready:
            self._share_table.reconsider()
        member.ready, member.refusal = post.ready, refusal

    def _orders(self, member: AgentState, newest: int, now: float) -> Orders:
        acknowledged = self.fanin.sources[member.name].last.number if member.share else -1
        if member.lost:
            acknowledged = newest  # nobody wants them any more, and the agent is to be rid of them
        if self.state == "gathering" or (self._takes_reserves and member.share is None):
            return Orders(acknowledged)
        if self.state == "done" or self._stopping or not member.active or member.share is None:
            member.dismissed = True
            return Orders(acknowledged, "stop")
        if self.state == "draining":
            return Orders(acknowledged, "drain")
        do: Literal["pause", "run"] = "pause" if self.paused else "run"
        again = self._share_table.rate if self.on_loss == "redistribute" else 0.0
        start = Start(member.share, self.start - now, member.first, again)
        reassignments = tuple(member.reassignments[member.reassigned :])
        met, delay = self._met(), self.progress.pauses.total
        return Orders(
            acknowledged,
            do,
            start,
            self.progress.gates,
            met,
            delay,
            reassignments,
            member.reassigned,
        )

    def _met(self) -> tuple[int, ...]:
        """The meetings to which as many users of the whole fleet came as they wait for."""
        counters = self.total.counters
        waits = {name: int(name.removeprefix(MEET)) for name in counters if MEETING.fullmatch(name)}
        return tuple(users for name, users in waits.items() if counters[name] >= users)

    # What time does.

    @recorded
    def tick(self, now: float) -> list[Entry]:
        """Lets time pass: starts, loses, drains and ends what is due, and hands over the seconds
        that settled."""
        self._detector.look(now)
        if self.state == "gathering":
            self._start_when_gathered(now)
            return []
        if self.state == "done":
            return []
        for member, why in self._detector.fallen(now):
            self._lose(member, why)
        self._mind_losses(now)
        self._advance(now)
        entries = self._settle(now)
        if not self.active():
            self._finish(now)
        return entries

    def _start_when_gathered(self, now: float) -> None:
        ready = self.ready(now)
        if len(ready) < self.wanted:
            return
        weights = weights_of(
            self.plan.clients, [(member.name, member.hello.max_connections) for member in ready]
        )
        shares = shares_of(weights, self.plan.total)
        counts = [share.count(self.plan.total) for share in shares]
        idle = [member.name for member, count in zip(ready, counts, strict=True) if count == 0]
        if idle:
            self.fail(nothing_for(idle, self.plan, self.wanted), now)
            return
        for member, share, count in zip(ready, shares, counts, strict=True):
            self._share_table.give(member, share, count, now)
        self.state, self.start = "running", now + START_IN
        for member in self.members.values():
            if member.share is None:
                self._warn(f"agent {member.name} was not ready in time; the run started without it")

    # What is lost.

    def _lose(self, member: AgentState, why: str) -> None:
        self._release(member, self._share_table.living(member))
        gone = self.fanin.lose(member.name)
        self.timeline.lose(member.name)
        member.lost = True
        self._warn(
            f"agent {member.name} is lost ({why}): {gone.lost:,} open connections count as lost"
        )

    def _release(self, member: AgentState, living: int) -> None:
        """What an agent leaves behind that ends, with so many users, is for others."""
        if self._takes_reserves:
            self._share_table.release(member, living)

    def _mind_losses(self, now: float) -> None:
        """Does what was asked for when something is lost."""
        lost = (
            self.total.lost
            or self.total.failed.get("lost")
            or any(one.lost for one in self.agents.sharers())
        )
        if lost and self.on_loss == "abort" and self.state == "running":
            self.given_up = "something was lost, and --on-loss is abort"
            self._warn(f"{self.given_up}: the run ends")
            self._drain(now)
        elif self._takes_reserves:
            self._share_table.rehome(now - self.start, now)

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
            for member in self.active():
                self._lose(member, "did not stop in time")
        else:
            self._warn(f"not drained after {DRAIN_BOUND:.0f} s; the rest is stopped")
            self._stopping, self._deadline = True, now + STOP_BOUND

    def _open_gate(self, now: float) -> None:
        """Opens the next gate once every agent waits at it."""
        gate, active = self.progress.next_gate, self.active()
        all_wait = gate is not None and active and all(member.gate >= gate for member in active)
        if all_wait and self._share_table.settled:
            self.progress.open_gate(now - self.start + GATE_IN)

    def _drain(self, now: float) -> None:
        self.progress.pauses.end(now - self.start)
        self.state, self._deadline = "draining", now + DRAIN_BOUND

    def _settle(self, now: float) -> list[Entry]:
        over = math.floor(now - self.start) - 1 if self.active() else -1
        # Corrections come after what they correct was settled, yet count first: later seconds stand
        # upon them.
        settled = sorted(self.fanin.settle(over), key=lambda settled: settled.second.number)
        return [self.timeline.add(one) for one in settled]

    def _finish(self, now: float) -> None:
        self.state, self.end = "done", now

    # What the operator says.

    @recorded
    def drain(self, now: float) -> None:
        """Ends the run in good order; one that has not started is over."""
        self._end_by_hand(now)

    def _end_by_hand(self, now: float) -> None:
        self.by_hand = self.by_hand or self.state != "done"
        if self.state == "gathering":
            self._finish(now)
        elif self.state == "running":
            self._drain(now)

    @recorded
    def pause(self, now: float) -> None:
        """No agent launches anything from now on; what is open stays open, and the plan's own
        time stands still."""
        if self.state == "running":
            self.progress.pause(max(0.0, now - self.start))

    @recorded
    def resume(self, now: float) -> None:
        """Arrivals go on where the plan was, once every agent has heard of it."""
        if self.paused:
            self.progress.resume(now - self.start + START_IN)

    @recorded
    def stop(self, now: float) -> None:
        """Ends the run at once: agents let go of their connections, and have a few seconds to
        say so; twice: none."""
        self._end_by_hand(now)
        if self.state == "draining":
            self._deadline = now if self._stopping else now + HAND_BOUND
            self._stopping = True

    @recorded
    def give_up_gathering(self, wait: float, now: float) -> None:
        """The fleet did not gather within `wait` seconds: the run is over, its failure names who
        is missing."""
        self.fail(self.agents.not_gathered(self.wanted, wait, now), now)

    def fail(self, failure: OperatorError, now: float) -> None:
        """The run can't start: it is over."""
        self.failure = failure
        self._finish(now)

    # What else is seen of agents.

    @recorded
    def hang_up(self, agent: str, now: float) -> None:
        """The connection of an agent is broken; it may come on another one, or has left."""
        if agent in self.members:
            self._detector.hang_up(self.members[agent], now)

    @recorded
    def bury(self, name: str, why: str) -> None:
        """An agent is known to be dead: it is lost without waiting for its silence."""
        for member in self.active():
            if member.name == name:
                self._lose(member, why)

    # What may be known.

    @property
    def members(self) -> dict[str, AgentState]:
        """The agents that joined, by their ids."""
        return self.agents.members

    def ready(self, now: float) -> list[AgentState]:
        """The agents that looked at the target, will load it, and still speak."""
        return self.agents.ready(now)

    def active(self) -> list[AgentState]:
        """The agents of which more is to come."""
        return self.agents.active()

    def fleet(self) -> list[AgentState]:
        """The agents that were given something to launch; before the start, all that joined."""
        return list(self.members.values()) if self.state == "gathering" else self.agents.sharers()

    @property
    def paused(self) -> bool:
        """Whether the operator paused its arrivals."""
        return self.state == "running" and self.progress.pauses.open

    @property
    def started(self) -> bool:
        """Whether the fleet gathered and was given its shares."""
        return self.start < math.inf

    def phase_progress(self) -> list[PhaseProgress]:
        """The plan's phases, and what is known of them."""
        return self.progress.phases(self.timeline.launched)

    def phase(self, now: float) -> str:
        """The phase that runs, or what does after the last one; empty when the run does not."""
        return self.progress.phase(now - self.start) if self.state == "running" else ""

    @property
    def total(self) -> Tally:
        """Everything the fleet reported."""
        return self.fanin.total

    @property
    def ledger(self) -> Ledger:
        """Where all planned connections stand, by everything the fleet reported."""
        return Ledger.of(self.plan.total, self.fanin.total)

    def total_of(self, member: AgentState) -> Tally:
        """Everything one agent reported."""
        return self.fanin.sources[member.name].total if member.share else Tally()

    def age(self, now: float) -> float:
        """Seconds since the common start, up to the end; 0 before it."""
        return max(0.0, min(now, self.end) - self.start)

    def take_notices(self) -> list[Notice]:
        """What happened since it was last asked."""
        return self.notices.take()

    def _warn(self, text: str) -> None:
        self.notices.warn(text)


def nothing_for(idle: Sequence[str], plan: Plan, agents: int) -> PlanError:
    """These agents would get no connection at all."""
    fix = "its weight in the plan" if plan.clients else "the agent's --max-connections"
    return PlanError(
        f"{plan.asked} over {agents} agents leaves nothing for {', '.join(idle)}: a share that"
        f" rounds to nothing; ask for more connections, fewer agents, or raise {fix}"
    )
