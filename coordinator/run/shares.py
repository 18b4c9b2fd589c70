"""The connections that each agent launches.

They are its share at the start, and what lost agents leave unfinished.
"""

from collections.abc import Mapping, Sequence
from math import ceil, inf

import msgspec

from coordinator.run.agents import MAX_DETAILED, SILENT_AFTER, Agents, AgentState
from coordinator.run.notices import Notices
from coordinator.run.timeline import Timeline
from coordinator.text import one_line
from loadgen.errors import PlanError
from loadgen.machine.limits import shortfall
from loadgen.plan.plan import Plan
from loadgen.plan.reassign import Unfinished, deal, reassign, unfinished_of
from loadgen.plan.shares import NO_SHARE, Share, run_that_fits
from loadgen.stats.fanin import FanIn

REASSIGNED_IN = 1.0
"""Seconds from the loss of a share until other agents launch it: each posts once in that time."""


class Orphan(msgspec.Struct):
    """Numbers that belong to no agent any more, and the agent that they belonged to."""

    owner: AgentState
    unfinished: Unfinished


class ShareTable:
    """The numbers of a plan, each with its owner: an agent, or an orphan.

    The plan has `total` numbers. What is launched again comes at `rate` launches a second over the
    whole fleet.
    """

    def __init__(
        self,
        total: int,
        rate: float,
        agents: Agents,
        fanin: FanIn,
        timeline: Timeline,
        notices: Notices,
    ) -> None:
        self.rate = rate
        self._total = total
        self._highest = total
        """The most users that the plan ever had."""
        self._agents = agents
        self._fanin = fanin
        self._timeline = timeline
        self._notices = notices
        self._orphans: list[Orphan] = []
        self._changed = False
        """True when agents were lost or became ready since orphans were last dealt."""

    def assign(self, agent: AgentState, share: Share, count: int, now: float) -> None:
        """Gives an agent its share, of `count` connections."""
        agent.share = share
        agent.planned = count
        agent.seen = now
        agent.assigned = [Unfinished(share)]
        detailed = len(self._agents.by_id) <= MAX_DETAILED
        self._fanin.expect(agent.name, agent.first, detailed=detailed)
        self._timeline.expect(agent.name, count, agent.host)
        self._warn_if_too_much(agent, count)

    def _warn_if_too_much(self, agent: AgentState, count: int) -> None:
        agent.limiting = shortfall(agent.hello.limits, count)
        if agent.limiting:
            self._notices.warn(one_line(agent.warning, 500))

    @property
    def planned(self) -> int:
        """The users that are asked for, and those that came before they were left out."""
        agents = self._agents.with_share()
        return sum(agent.planned for agent in agents) if agents else self._total

    @property
    def most(self) -> int:
        """The most users that all agents with a share hold, each its part."""
        return int(
            min(
                agent.capacity / agent.share.part
                for agent in self._agents.with_share()
                if agent.share is not None and agent.share.part
            )
        )

    def replan(self, total: int) -> None:
        """Gives each agent its part of another number of users."""
        self._total = total
        self._highest = max(self._highest, total)
        for agent in self._agents.with_share():
            agent.planned = self._planned_of(agent, total)
            self._allow_launched(agent)

    def _planned_of(self, agent: AgentState, total: int) -> int:
        own = sum(unfinished.fresh(total) for unfinished in agent.assigned)
        return own - sum(unfinished.fresh(total) for unfinished in agent.dealt)

    def check_launched(self, agent: AgentState) -> None:
        """Plans what an agent launched before it heard that fewer users are to come."""
        if self._total < self._highest:
            self._allow_launched(agent)

    def _allow_launched(self, agent: AgentState) -> None:
        launched = self._fanin.sources[agent.name].launched
        early = min(launched, self._planned_of(agent, self._highest))
        agent.planned = max(agent.planned, early)
        self._timeline.set_share(agent.name, agent.planned)
        self._timeline.planned = self.planned

    def release(self, agent: AgentState, users: int) -> None:
        """Makes orphans of what an agent has not finished that ends with `users` users."""
        launched = self._fanin.sources[agent.name].launched
        left = unfinished_of(agent.assigned, launched, users, self._total)
        self._orphans += [Orphan(agent, unfinished) for unfinished in left]
        self._changed = True

    def agent_became_ready(self) -> None:
        """Takes note that one more agent may have room for orphans."""
        self._changed = True

    def users_of(self, agent: AgentState) -> int:
        """Returns the users of an agent.

        They include those that it has to launch again and has not reported yet.
        """
        return self._fanin.sources[agent.name].users + agent.unconfirmed

    @property
    def all_confirmed(self) -> bool:
        """True when the seconds of all active agents include all their reassignments."""
        return all(agent.reassigned == len(agent.reassignments) for agent in self._agents.active())

    def deal_orphans(self, age: float, now: float) -> None:
        """Gives orphans to agents with room, after a change or when all of them fit.

        `age` is in seconds from the start of the run, `now` on the clock of the run.
        """
        wanted = sum(orphan.unfinished.wanted(self._total) for orphan in self._orphans)
        if wanted:
            room = self._room(now)
            if self._changed or sum(room.values()) >= wanted:
                self._deal(room, age, now)
        self._changed = False

    def _room(self, now: float) -> dict[str, int]:
        """Returns how many more connections each agent can hold, by its id.

        Silent agents have none.
        """
        reserves = [agent for agent in self._agents.ready(now) if agent.share is None]
        working = [
            agent
            for agent in self._agents.active()
            if now - agent.seen <= SILENT_AFTER and agent.disconnected == inf
        ]
        return {agent.id: agent.capacity for agent in reserves} | {
            agent.id: max(0, agent.capacity - self._taken(agent)) for agent in working
        }

    def _taken(self, agent: AgentState) -> int:
        """Returns how much of an agent's capacity is taken, or will be."""
        return agent.planned - self._fanin.sources[agent.name].launched + self.users_of(agent)

    def _deal(self, room: Mapping[str, int], age: float, now: float) -> None:
        """Deals all orphans; those without room stay.

        All agents together launch at the one rate.
        """
        orphans = self._orphans
        *dealt, staying = deal(
            [orphan.unfinished for orphan in orphans], list(room.values()), self._total
        )
        self._orphans = [Orphan(orphans[place].owner, unfinished) for place, unfinished in staying]
        whole = sum(unfinished.share.part for pieces in dealt for _, unfinished in pieces)
        for agent_id, pieces in zip(room, dealt, strict=True):
            if pieces:
                own = [Orphan(orphans[place].owner, unfinished) for place, unfinished in pieces]
                part = sum(orphan.unfinished.share.part for orphan in own)
                agent = self._agents.by_id[agent_id]
                self._reassign(agent, own, self.rate * part / whole, age, now)

    def _reassign(
        self, agent: AgentState, orphans: list[Orphan], rate: float, age: float, now: float
    ) -> None:
        if agent.share is None:
            agent.first = max(0, ceil(age) + 1)
            self.assign(agent, NO_SHARE, 0, now)
        unfinished = [orphan.unfinished for orphan in orphans]
        for orphan in orphans:
            fresh = orphan.unfinished.fresh(self._total)
            orphan.owner.dealt.append(orphan.unfinished)
            self._add_planned(orphan.owner, -fresh)
            self._add_planned(agent, fresh)
        agent.assigned += unfinished
        agent.reassignments += reassign(unfinished, max(0.0, age + REASSIGNED_IN), rate)
        self._warn_of_reassignment(agent, orphans)

    def _add_planned(self, agent: AgentState, more: int) -> None:
        agent.planned += more
        self._timeline.set_share(agent.name, agent.planned)

    def _warn_of_reassignment(self, agent: AgentState, orphans: list[Orphan]) -> None:
        again = sum(orphan.unfinished.again() for orphan in orphans)
        fresh = sum(orphan.unfinished.fresh(self._total) for orphan in orphans)
        owners = ", ".join(dict.fromkeys(orphan.owner.name for orphan in orphans))
        self._notices.warn(
            f"agent {agent.name} gets what {owners} left unfinished: {again:,} to launch again,"
            f" {fresh:,} for the first time"
        )
        self._warn_if_too_much(agent, self._taken(agent))


def shares_of(weights: list[int], total: int, max_run: int) -> list[Share]:
    """Returns a share for each agent by its weight.

    At most `max_run` consecutive numbers go to the same agent. The shares are empty when all
    weights are 0 or one is negative.
    """
    if not any(weights) or min(weights) < 0:
        return [NO_SHARE] * len(weights)
    return Share().split(weights, run_that_fits(total, weights, max_run))


def empty_share_error(idle: Sequence[str], plan: Plan, agents: int) -> PlanError:
    """Returns the error that names the agents whose share would be empty."""
    fix = "its weight in the plan" if plan.clients else "the agent's --max-connections"
    return PlanError(
        f"{plan.asked} over {agents} agents leaves nothing for {', '.join(idle)}: a share that"
        f" rounds to nothing; ask for more connections, fewer agents, or raise {fix}"
    )
