"""The state of one run: gathering → running → draining → done. Events and the time go in, orders come out.

It holds no clock and no socket: `now` is a number of seconds on whatever clock the caller has.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from coordinator.member import Member
from coordinator.pauses import Pauses
from coordinator.stages import Stage, mean_rate, place_at, rate_at, stage_at, stages_of
from coordinator.timeline import Entry, Timeline
from coordinator.words import clean_name, one_line, plain_lines
from loadgen.arrivals import Share, run_that_fits
from loadgen.capacity import shortfall
from loadgen.client import weights_of
from loadgen.errors import FleetError, OperatorError, PlanError
from loadgen.fanin import FanIn, Second
from loadgen.plan import Plan
from loadgen.tally import MEET, Ledger, Tally
from loadgen.version import VERSION
from loadgen.wire import WIRE, Hello, Orders, Post, Start, Welcome

START_IN = 1.5
"""Seconds from the gathering of the fleet to its common start: every agent polls once in that time."""
GATE_IN = START_IN
"""Seconds from the end of the last session to the opening of the gate behind it, for the same reason."""
LOST_AFTER = 10.0
"""Seconds of silence after which an agent is given up."""
PATIENCE = 3
"""Seconds a settled second may lag behind, waiting for a report."""
DRAIN_BOUND = 150.0
"""Seconds the fleet may take to close its connections in good order."""
STOP_BOUND = 15.0
"""Seconds more that it may take to let go of them."""
HAND_BOUND = 5.0
"""The same, after the operator said stop."""
MOST_TRACEBACKS = 100
"""Reasons of which a sample traceback is kept."""
AHEAD = 5
"""How many seconds a report may be ahead of the coordinator's clock before it can't be true."""

MEETING = re.compile(rf"{MEET}\d{{1,9}}", re.ASCII)

State = Literal["gathering", "running", "draining", "done"]


class RefusedError(OperatorError):
    """An agent that can't take part; it is told why in one line."""


class UnknownAgentError(KeyError):
    """A post from an agent that never joined this run."""


class BadPostError(ValueError):
    """A post that can't be true."""


class News(msgspec.Struct):
    """Something worth telling: a warning for the operator, a note for the log of its agent, a sample traceback."""

    text: str
    agent: str = ""
    """The agent whose log it belongs to; empty for a warning."""
    reason: str = ""
    """The reason that the text is the first traceback of; empty for anything else."""


class Run:
    """One run of a plan by a fleet of at least `wanted` agents. `key` tells its agents from those of an earlier run."""

    def __init__(self, plan: Plan, wanted: int, key: str = "run") -> None:
        self.plan = plan
        self.wanted = wanted
        self.key = key
        self.state: State = "gathering"
        self.members: dict[str, Member] = {}
        self.fanin = FanIn(PATIENCE)
        self.timeline = Timeline(plan.total)
        self.start = math.inf
        """When second 0 began, or will begin."""
        self.end = math.inf
        """When the run was done."""
        self.gates: tuple[float, ...] = ()
        """When gates 1, 2, 3… opened, or will open, in seconds from the start."""
        self.drain_after = plan.drain_at()
        """Seconds from the start to the end of the hold; infinite as long as nobody knows."""
        self.pauses = Pauses()
        """When the operator paused its arrivals."""
        self.by_hand = False
        """Whether the operator ended it."""
        self.aborted = ""
        """Why a session ended it, if one did."""
        self.failure: OperatorError | None = None
        """Why it never started."""
        self.sampled: set[str] = set()
        """Reasons of which a sample traceback was told."""
        self._spans = plan.schedule.spans
        self._joined = 0
        self._stopping = False
        self._deadline = math.inf
        self._ticked = math.nan
        self._news: list[News] = []

    # What agents say.

    def join(self, hello: Hello, now: float) -> Welcome:
        """Takes an agent in under a name of its own; raises RefusedError when it can't take part."""
        if hello.wire != WIRE:
            raise RefusedError(
                f"the agent speaks wire version {hello.wire} (loadgen {one_line(hello.version, 40)}), the coordinator"
                f" {WIRE} (loadgen {VERSION}); install the same loadgen version on both"
            )
        if self.state != "gathering":
            raise RefusedError(
                f"the run has started without agent {one_line(hello.name, 80)}; it can join the next one"
            )
        name = self._unique(clean_name(hello.name))
        member = Member(f"{self.key}-{self._joined}", name, hello, seen=now)
        self.members[member.id] = member
        self._joined += 1
        return Welcome(member.id, name, self._joined - 1, self.plan, self.wanted)

    def _unique(self, name: str) -> str:
        taken = {member.name for member in self.members.values()}
        candidates = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
        return next(candidate for candidate in candidates if candidate not in taken)

    def post(self, agent: str, post: Post, now: float) -> Orders:
        """Takes an agent's seconds and news; repeats are harmless. Raises UnknownAgentError or BadPostError."""
        member = self.members.get(agent)
        if member is None:
            raise UnknownAgentError(agent)
        if member.active:
            self._take(member, post.seconds, now)
        elif self.state == "gathering":
            self._listen(member, post)
        member.seen = now
        if post.workers:
            member.workers = post.workers
        member.gate = post.gate
        member.agent_cpu_s = max(member.agent_cpu_s, post.agent_cpu_s)
        self._news += [News(one_line(note, 1000), member.name) for note in post.notes]
        self._sample(member.name, post.tracebacks)
        self._abort(member.name, one_line(post.abort), now)
        if post.finished and member.active:
            self.fanin.finish(member.name)
            member.finished = True
        return self._orders(member, now)

    def _abort(self, agent: str, why: str, now: float) -> None:
        """A session wants the whole run to end, which it does in good order."""
        if why and not self.aborted:
            self.aborted = why
            self._warn(f"a session on {agent} ended the run: {why}")
            if self.state == "running":
                self._drain(now)

    def _sample(self, agent: str, tracebacks: dict[str, str]) -> None:
        for reason, text in tracebacks.items():
            name = one_line(reason, 100)
            if name not in self.sampled and len(self.sampled) < MOST_TRACEBACKS:
                self.sampled.add(name)
                self._news.append(News(plain_lines(text), agent, name))

    def _take(self, member: Member, seconds: tuple[Second, ...], now: float) -> None:
        newest = max((second.number for second in seconds), default=-1)
        if newest > now - self.start + AHEAD:
            raise BadPostError(f"second {newest} is not over: the run is {now - self.start:.1f} s old")
        for second in sorted(seconds, key=lambda second: second.number):
            self.fanin.add(member.name, second)

    def _listen(self, member: Member, post: Post) -> None:
        if post.finished:
            del self.members[member.id]
        if post.limits:
            member.hello = replace(member.hello, max_connections=post.max_connections, limits=post.limits)
        refusal = one_line(post.refusal)
        if refusal and refusal not in {one.refusal for one in self.members.values()}:
            self._warn(f"agent {member.name} refuses: {refusal}")
        member.ready, member.refusal = post.ready, refusal

    def _orders(self, member: Member, now: float) -> Orders:
        acknowledged = self.fanin.sources[member.name].last.number if member.share else -1
        if self.state == "gathering":
            return Orders(acknowledged)
        if self.state == "done" or self._stopping or not member.active or member.share is None:
            member.dismissed = True
            return Orders(acknowledged, "stop")
        if self.state == "draining":
            return Orders(acknowledged, "drain")
        do: Literal["pause", "run"] = "pause" if self.paused else "run"
        start = Start(member.share, self.start - now)
        return Orders(acknowledged, do, start, self.gates, self._met(), self.pauses.total)

    def _met(self) -> tuple[int, ...]:
        """The meetings to which as many users of the whole fleet came as they wait for."""
        counters = self.total.counters
        waits = {name: int(name.removeprefix(MEET)) for name in counters if MEETING.fullmatch(name)}
        return tuple(users for name, users in waits.items() if counters[name] >= users)

    # What time does.

    def tick(self, now: float) -> list[Entry]:
        """Lets time pass: starts, loses, drains and ends what is due, and hands over the seconds that settled."""
        self._forgive(now)
        if self.state == "gathering":
            self._start_when_gathered(now)
            return []
        if self.state == "done":
            return []
        self._lose_silent(now)
        self._advance(now)
        entries = self._settle(now)
        if not self.active():
            self._finish(now)
        return entries

    def _forgive(self, now: float) -> None:
        # A coordinator that was itself stopped heard nobody: that silence is its own.
        stalled = now - self._ticked
        if stalled > 1.0:
            for member in self.members.values():
                member.seen += stalled
        self._ticked = now

    def _start_when_gathered(self, now: float) -> None:
        ready = self.ready(now)
        if len(ready) < self.wanted:
            return
        weights = weights_of(self.plan.clients, [(member.name, member.hello.max_connections) for member in ready])
        shares = _shares(weights, self.plan.total)
        counts = [share.count(self.plan.total) for share in shares]
        idle = [member.name for member, count in zip(ready, counts, strict=True) if count == 0]
        if idle:
            self.fail(nothing_for(idle, self.plan, self.wanted), now)
            return
        for member, share, count in zip(ready, shares, counts, strict=True):
            self._give(member, share, count, now)
        self.state, self.start = "running", now + START_IN
        for member in self.members.values():
            if member.share is None:
                self._warn(f"agent {member.name} was not ready in time; the run started without it")

    def _give(self, member: Member, share: Share, count: int, now: float) -> None:
        member.share, member.planned, member.seen = share, count, now
        member.short = shortfall(member.hello.limits, count)
        self.fanin.expect(member.name)
        self.timeline.expect(member.name, count)
        if member.short:
            self._warn(one_line(member.warning, 500))

    def _lose_silent(self, now: float) -> None:
        for member in self.active():
            if now - member.seen > LOST_AFTER:
                self._lose(member, f"silent for {now - member.seen:.0f} s")

    def _lose(self, member: Member, why: str) -> None:
        gone = self.fanin.lose(member.name)
        self.timeline.lose(member.name)
        member.lost = True
        self._warn(f"agent {member.name} is lost ({why}): {gone.lost:,} open connections count as lost")

    def _advance(self, now: float) -> None:
        if self.state == "running" and not self.paused:
            if now - self.start >= self.drain_after:
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
        """Opens the next gate once every agent waits at it, but not before the phases ahead of it are over."""
        gate, active = len(self.gates) + 1, self.active()
        if gate <= self._spans[-1].gate and active and all(member.gate >= gate for member in active):
            before = max(span.end for span in self._spans if span.gate == gate - 1)
            over = self.pauses.real(self.pauses.paced(self.gates[-1] if self.gates else 0.0) + before)
            self.gates += (max(over, now - self.start + GATE_IN),)
            self.drain_after = self.plan.drain_at(self.gates)

    def _drain(self, now: float) -> None:
        self.pauses.end(now - self.start)
        self.state, self._deadline = "draining", now + DRAIN_BOUND

    def _settle(self, now: float) -> list[Entry]:
        over = math.floor(now - self.start) - 1 if self.active() else -1
        # Corrections come after what they correct was settled, yet count first: later seconds stand upon them.
        settled = sorted(self.fanin.settle(over), key=lambda settled: settled.second.number)
        return [self.timeline.add(one) for one in settled]

    def _finish(self, now: float) -> None:
        self.state, self.end = "done", now

    # What the operator says.

    def drain(self, now: float) -> None:
        """Ends the run in good order; one that has not started is over."""
        self.by_hand = self.by_hand or self.state != "done"
        if self.state == "gathering":
            self._finish(now)
        elif self.state == "running":
            self._drain(now)

    def pause(self, now: float) -> None:
        """No agent launches anything from now on; what is open stays open, and the plan's own time stands still."""
        if self.state == "running":
            self.pauses.begin(max(0.0, now - self.start))

    def resume(self, now: float) -> None:
        """Arrivals go on where the plan was, once every agent has heard of it."""
        if self.paused:
            before = self.pauses.total
            self.pauses.end(now - self.start + START_IN)
            self.drain_after += self.pauses.total - before

    def stop(self, now: float) -> None:
        """Ends the run at once: agents let go of their connections, and have a few seconds to say so; twice: none."""
        self.drain(now)
        if self.state == "draining":
            self._deadline = now if self._stopping else now + HAND_BOUND
            self._stopping = True

    def give_up_gathering(self, wait: float, now: float) -> None:
        """The fleet did not gather within `wait` seconds: the run is over, its failure names who is missing."""
        self.fail(self._not_gathered(wait, now), now)

    def fail(self, failure: OperatorError, now: float) -> None:
        """The run can't start: it is over."""
        self.failure = failure
        self._finish(now)

    def bury(self, name: str, why: str) -> None:
        """An agent is known to be dead: it is lost without waiting for its silence."""
        for member in self.active():
            if member.name == name:
                self._lose(member, why)

    # What may be known.

    def ready(self, now: float) -> list[Member]:
        """The agents that looked at the target, will load it, and still speak."""
        return [
            member
            for member in self.members.values()
            if member.ready and not member.refusal and now - member.seen <= LOST_AFTER
        ]

    def active(self) -> list[Member]:
        """The agents of which more is to come."""
        return [member for member in self.members.values() if member.active]

    def fleet(self) -> list[Member]:
        """The agents that were given a share; before the start, all that joined."""
        members = list(self.members.values())
        return members if self.state == "gathering" else [member for member in members if member.share is not None]

    @property
    def paused(self) -> bool:
        """Whether the operator paused its arrivals."""
        return self.state == "running" and self.pauses.open

    @property
    def started(self) -> bool:
        """Whether the fleet gathered and was given its shares."""
        return self.start < math.inf

    def stages(self) -> list[Stage]:
        """The plan's phases, and what is known of them."""
        launched = Counter[int]()
        for second, number in self.timeline.launched.items():
            launched[math.floor(self.pauses.paced(second + 0.5))] += number
        stages = stages_of(self.plan, self._spans, self._paced_gates, launched)
        for stage in stages:
            stage.begin, stage.end = self._real(stage.begin), self._real(stage.end)
        return stages

    def _real(self, paced: float | None) -> float | None:
        real = math.inf if paced is None else self.pauses.real(paced)
        return round(real, 3) if real < math.inf else None

    @property
    def _paced_gates(self) -> tuple[float, ...]:
        return tuple(self.pauses.paced(gate) for gate in self.gates)

    def phase(self, now: float) -> str:
        """The phase that runs, or what does after the last one; empty when the run does not."""
        paced = self.pauses.paced(now - self.start)
        return stage_at(self.plan, self._spans, self._paced_gates, paced) if self.state == "running" else ""

    def place(self, now: float) -> tuple[int, int]:
        """The number of the phase that runs, or of the last one that did, from 1; and how many there are."""
        return place_at(self._spans, self._paced_gates, self.pauses.paced(self.age(now)))[0] + 1, len(self._spans)

    def rate_asked(self, now: float) -> float:
        """Arrivals per second that the plan asks for now; none while they are paused."""
        age = self.age(now)
        paused = self.pauses.cover(age)
        return 0.0 if paused else rate_at(self.plan, self._spans, self._paced_gates, self.pauses.paced(age))

    @property
    def mean_rate(self) -> float:
        """Arrivals per second that the plan asks for while there are arrivals."""
        return mean_rate(self.plan, self._spans)

    @property
    def total(self) -> Tally:
        """Everything the fleet reported."""
        return self.fanin.total

    @property
    def ledger(self) -> Ledger:
        """Where all planned connections stand, by everything the fleet reported."""
        return Ledger.of(self.plan.total, self.fanin.total)

    def total_of(self, member: Member) -> Tally:
        """Everything one agent reported."""
        return self.fanin.sources[member.name].total if member.share else Tally()

    def age(self, now: float) -> float:
        """Seconds since the common start, up to the end; 0 before it."""
        return max(0.0, min(now, self.end) - self.start)

    def _not_gathered(self, wait: float, now: float) -> FleetError:
        ready = self.ready(now)
        here = f" ({', '.join(member.name for member in ready)})" if ready else ""
        away = [member for member in self.members.values() if member not in ready]
        missing = max(0, self.wanted - len(self.members))
        others = [*_whys(away), *([f"{missing} never joined"] if missing else [])]
        refused = not missing and all(member.refusal for member in away)
        mend = "mend that" if refused else "start the missing agents, or ask for fewer with --agents"
        return FleetError(
            f"{len(ready)} of {self.wanted} agents were ready after {wait:.0f} s{here}; {'; '.join(others)}; {mend}"
        )

    def take_news(self) -> list[News]:
        """What happened since it was last asked."""
        news, self._news = self._news, []
        return news

    def _warn(self, text: str) -> None:
        self._news.append(News(text))


def _whys(members: list[Member]) -> list[str]:
    """Why these are not ready, those together that have the same to say."""
    alike: dict[str, list[str]] = {}
    for member in members:
        alike.setdefault(member.refusal, []).append(member.name)
    return [
        f"{', '.join(names)} {'refuses' if len(names) == 1 else 'refuse'}: {refusal}"
        if refusal
        else f"{', '.join(names)} fell silent or did not get ready"
        for refusal, names in alike.items()
    ]


def _shares(weights: list[int], total: int) -> list[Share]:
    """A share for each agent in proportion to what it can hold; nothing for anyone where that makes no sense."""
    if not any(weights) or min(weights) < 0:
        return [Share(1, ())] * len(weights)
    return Share().split(weights, run_that_fits(total, weights))


def nothing_for(idle: Sequence[str], plan: Plan, agents: int) -> PlanError:
    """These agents would get no connection at all."""
    mend = "its weight in the plan" if plan.clients else "the agent's --max-connections"
    return PlanError(
        f"{plan.asked} over {agents} agents leaves nothing for {', '.join(idle)}: a share that rounds"
        f" to nothing; ask for more connections, fewer agents, or raise {mend}"
    )
