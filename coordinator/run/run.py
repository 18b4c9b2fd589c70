"""The state of one run: events and time in, orders and settled seconds out.

It has no clock and no socket: `now` is always in seconds on the clock of the run, which the caller
has.
"""

import math

from coordinator.run.agents import Agents, AgentState, FailureDetector
from coordinator.run.clocks import MAX_JUMP, Clocks, apart_from
from coordinator.run.ending import DRAIN_TIMEOUT, Ending
from coordinator.run.errands import SetupErrands
from coordinator.run.gathering import Gathering
from coordinator.run.notices import Notices
from coordinator.run.orders import OrderWriter
from coordinator.run.parts import Parts
from coordinator.run.progress import GATE_IN, HOLD, START_IN, PhaseProgress, Progress
from coordinator.run.publications import PublicationLine, Publications
from coordinator.run.recorded import Recorded, checked_by, recorded
from coordinator.run.reports import FleetReports
from coordinator.run.settled import PATIENCE, SettledSeconds
from coordinator.run.setup import RunSetup
from coordinator.run.shares import ShareTable
from coordinator.run.stamp_clocks import stamp_clocks
from coordinator.run.states import TRANSITIONS, OnLoss, State
from coordinator.run.steering import Steering, Wish
from coordinator.run.timeline import Entry, Timeline
from coordinator.text import one_line
from loadgen.errors import OperatorError, PlanError
from loadgen.plan.credentials import NO_CREDENTIALS, Credentials
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.plan.slices import Slices, slices_of
from loadgen.stats.delivery import Published, PublisherClock
from loadgen.stats.fanin import FanIn
from loadgen.stats.ledger import Ledger
from loadgen.stats.tally import Tally
from loadgen.wire import Hello, Order, Orders, Post, Welcome


class UnknownAgentError(KeyError):
    """A post from an agent that never joined this run."""


class BadPostError(ValueError):
    """A post that can't be true."""


class Run(Recorded):
    """One run of a plan by a fleet of at least `wanted` agents.

    `key` is the beginning of its agents' ids: agents of another run are unknown.
    """

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
        self.credentials = credentials
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
        self.end = math.inf
        """The time at which the run was done, on the clock of the run."""
        self.progress = Progress(plan)
        publish = plan.publish or Publish()
        self.publications = Publications(publish.grace, ordered=publish.ordered)
        self.clock: dict[str, PublisherClock] = {}
        """The coordinator's monotonic clock, by its name, beside the clock of the run."""
        self.ending = Ending()
        rate = self.progress.mean_rate
        self._share_table = ShareTable(
            plan.total, rate, self.agents, self.fanin, self.timeline, self.notices
        )
        self._detector = FailureDetector(self.agents)
        self._clocks = Clocks(self.agents, self.timeline, self.notices)
        self._gathering = Gathering(
            plan, wanted, key, credentials, self.agents, self._share_table, self.notices
        )
        self._errands = SetupErrands(
            plan.setup, self.setup, self.agents, self._detector, self.notices
        )
        self.reports = FleetReports(
            self.agents, self.fanin, self.slices, self.publications, self.notices
        )
        self.steering = Steering(plan, self.progress, self._share_table, self.agents, self.notices)
        self._orders = OrderWriter(
            self.setup,
            self.progress,
            self.publications,
            self.reports,
            self.fanin,
            self._share_table,
            again=on_loss == "redistribute",
        )
        self._settled = SettledSeconds(
            self.fanin, self.timeline, self.parts, self.progress, self.notices
        )

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
        too_late = ""
        if self.state != "gathering" and not self._uses_reserves:
            name = one_line(hello.name, 80)
            too_late = "is over" if self.state == "done" else f"has started without agent {name}"
        self._gathering.check(hello, too_late)

    @checked_by(_check_join)
    @recorded
    def join(self, hello: Hello, now: float, digest: str = "") -> Welcome:
        """Adds an agent under a unique name; raises RefusedError when it can't take part.

        `digest` is that of the secret which its posts need.
        """
        return self._gathering.join(hello, now, digest)

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
        self._shift(self._clocks.compare(agent, post, self.start, now))
        if not agent.active or post.after <= self.reports.newest(agent):
            self._take(agent, post, now)
        reached = self.reports.newest(agent)
        if agent.lost and post.seconds:  # they count no more, and it must not keep them for ever
            reached = post.newest
        agent.note(self.calls, reached)
        agent.keep(self.kept())

    def _take(self, agent: AgentState, post: Post, now: float) -> None:
        if agent.active:
            apart = apart_from(self.start, agent)
            self.reports.add(agent, post.seconds, now - self.start, apart)
            self._share_table.check_launched(agent)
        elif self.state == "gathering" or agent.share is None:
            self._gathering.take(agent, post)
        agent.take(post, len(self.progress.asked))
        self.notices.take_from(agent.name, post)
        self._drain_for_session(agent.name, one_line(post.abort), now)
        self._fail_with(self._errands.take(agent.id, post), now)
        if post.finished and agent.active and self.reports.newest(agent) >= post.newest:
            self._release(agent, agent.unconfirmed)
            self.fanin.finish(agent.name)
            agent.finished = True

    def _shift(self, jump: float) -> None:
        """Goes on with the agents' seconds when the clock of the run itself has jumped."""
        self.start += jump
        self.ending.shift(jump)

    def _drain_for_session(self, agent: str, reason: str, now: float) -> None:
        """Ends the run in good order when a session on an agent asks for its end."""
        if reason and not self.ending.aborted:
            self._abort(reason, f"a session on {agent} ended the run: {reason}", now)

    @recorded
    def abort(self, why: str, now: float) -> None:
        """Ends the run in good order, since it can't pass any more."""
        if self.state == "running" and not self.ending.aborted:
            self._abort(why, f"the run is drained: {why}", now)

    def _abort(self, why: str, notice: str, now: float) -> None:
        self.ending.aborted = why
        self.ending.aborted_at = self.age(now)
        self.notices.warn(notice)
        if self.state == "running":
            self._drain(now)

    def orders(self, agent_id: str, now: float) -> Orders:
        """Returns the orders of an agent."""
        agent = self.agents.by_id.get(agent_id)
        if agent is None:  # it left before the run started
            return Orders(-1)
        agent.keep(self.kept())
        order = self._order_for(agent)
        agent.stop_ordered = agent.stop_ordered or order == "stop"
        return self._orders.write(agent, order, self.start - now, self.kept())

    def _order_for(self, agent: AgentState) -> Order:
        if self.state == "gathering" or (self._uses_reserves and agent.share is None):
            return "wait"
        if self.setup.to_come and not agent.active and not agent.lost:
            return "wait"  # its load is over, and an errand may come
        if self.state == "done" or self.ending.stopping or not agent.active:
            return "stop"
        if self.state == "draining":
            return "drain"
        if not agent.told.assigned:
            return "wait"
        return "pause" if self.paused else "run"

    # What time does.

    @recorded
    def tick(self, now: float) -> list[Entry]:
        """Does what is due by now, and returns the seconds that settled."""
        self._clocks.stood_still(self._detector.excuse_own_silence(now), now)
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
        self._orders.clocks = stamp_clocks(
            self.plan.publish, self.clock, self.agents.by_id.values()
        )
        if self._clocks.only_hears(now) and self.agents.active() and not self.ending.stopping:
            return []
        self._advance(now)
        entries = self._settle(now)
        if not self.agents.active():
            self._finish(now)
        return entries

    def _start_when_gathered(self, now: float) -> None:
        ready = self._detector.reachable(now)
        if len(ready) < self.wanted:
            if self.setup.under_way:
                self._give_errand(now)
            return
        try:
            shares = self._gathering.shares(ready)
        except PlanError as error:
            self.fail(error, now)
            return
        if self.setup.stage == "setup":
            self._give_errand(now)
            return
        self._gathering.assign(ready, shares, now)
        self._enter("running")
        self.start = now + START_IN
        if self.slices.note:
            self.notices.warn(self.slices.note)
        self._gathering.warn_of_others()

    # Setup and teardown.

    @property
    def errand(self) -> str:
        """The function that an agent calls now, for people; empty while none does."""
        return self._errands.current

    def _give_errand(self, now: float) -> None:
        self._fail_with(self._errands.give(now), now)

    def _fail_with(self, failure: PlanError | None, now: float) -> None:
        """Ends the run with the failure of its setup, if there is one."""
        if failure is not None:
            self.fail(failure, now)

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
            self.fanin.counts.lost
            or self.fanin.counts.failed.get("lost")
            or any(agent.lost for agent in self.agents.with_share())
        )
        if lost and self.on_loss == "abort" and self.state == "running":
            self.ending.by_loss = True
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
        if not self.ending.is_overdue(now):
            return
        if self.ending.stopping:
            for agent in self.agents.active():
                self._lose(agent, "did not stop in time", now)
        else:
            self.notices.warn(f"not drained after {DRAIN_TIMEOUT:.0f} s; the rest is stopped")
            self.ending.stop(now)

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
        self.ending.drain(now)

    def _settle(self, now: float) -> list[Entry]:
        """Returns the seconds that are complete or have waited long enough, in order."""
        over = math.floor(now - self.start) - 1 if self.agents.active() else -1
        return self._settled.take(over, self.ending.drained_at - self.start)

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
        if publish is None or self.state != "running" or not self.fanin.counts.opened:
            return False
        if publish.begin == "plateau" and self.phase(now) != HOLD:
            return False
        return now - self.start < self.progress.drain_after - publish.lead

    def settle_publications(self) -> list[PublicationLine]:
        """Returns the publications of which all agents have reported the receipts."""
        over = self.state == "done"
        return self.publications.settle(math.inf if over else self.reports.complete_until)

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
        self.ending.by_hand = self.ending.by_hand or self.state != "done"
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

    def _check_steer(self, wish: Wish, now: float) -> None:
        """Raises WishError when a wish can't be fulfilled."""
        self.steering.check(wish, now - self.start if self.state == "running" else None)

    @checked_by(_check_steer)
    @recorded
    def steer(self, wish: Wish, now: float) -> None:
        """Changes the plan of a running run, from a moment on in which all agents know.

        Raises WishError when that can't be.
        """
        if self.state == "running":
            self.steering.change(wish, now - self.start, self.calls)

    @recorded
    def stop(self, now: float) -> None:
        """Ends the run at once.

        Agents abort their connections, and have a few seconds to report.

        The second stop does not wait for reports.
        """
        self._end_by_hand(now)
        if self.state == "draining":
            self.ending.stop_by_hand(now)

    @recorded
    def fail_gathering(self, wait: float, now: float) -> None:
        """Ends a run whose agents were not ready within `wait` seconds."""
        self.fail(self.agents.gathering_error(self.wanted, wait, now), now)

    def fail(self, failure: OperatorError, now: float) -> None:
        """Ends a run that can't start."""
        self.ending.failure = failure
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
        return Ledger.of(self._share_table.planned, self.fanin.counts)

    def breaches(self) -> list[str]:
        """Returns what can't be true of the ledger of a run that is over."""
        found = self.ledger.breaches()
        for agent in self.fleet():
            found += self.reports.breaches_of(agent)
        return found

    def age(self, now: float) -> float:
        """Returns the seconds since the common start, up to the end; 0 before it."""
        return max(0.0, min(now, self.end) - self.start)
