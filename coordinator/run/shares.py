"""Who launches what: the shares that agents are given at the start, and what lost ones leave
behind for others."""

from collections.abc import Mapping
from math import ceil, inf

import msgspec

from coordinator.run.agents import SILENT_AFTER, Agents, AgentState
from coordinator.run.notices import Notices
from coordinator.run.timeline import Timeline
from coordinator.text import one_line
from loadgen.machine.limits import shortfall
from loadgen.plan.reassign import Unfinished, deal, reassign, unfinished_of
from loadgen.plan.shares import NO_SHARE, Share, run_that_fits
from loadgen.stats.fanin import FanIn

TAKEN_UP_IN = 1.0
"""Seconds from the loss of a share until others launch it: each polls once in that time."""


class Orphan(msgspec.Struct):
    """Numbers that nobody launches any more, and whose they were."""

    owner: AgentState
    unfinished: Unfinished


class ShareTable:
    """All numbers of a plan, with so many in all: each belongs to one agent, or is an orphan's.

    What is launched again comes at `rate` a second, over the whole fleet.
    """

    def __init__(
        self,
        total: int,
        rate: float,
        agents: Agents,
        fanin: FanIn,
        timeline: Timeline,
        news: Notices,
    ) -> None:
        self.rate = rate
        self._total = total
        self._agents = agents
        self._fanin = fanin
        self._timeline = timeline
        self._news = news
        self._orphans: list[Orphan] = []
        self._changed = False
        """Whether somebody was lost or came since orphans were last dealt out."""

    def give(self, member: AgentState, share: Share, count: int, now: float) -> None:
        """Gives an agent a share of so many connections."""
        member.share, member.planned, member.seen = share, count, now
        member.held = [Unfinished(share)]
        self._fanin.expect(member.name, member.first)
        self._timeline.expect(member.name, count)
        self._warn_of(member, count)

    def _warn_of(self, member: AgentState, count: int) -> None:
        member.short = shortfall(member.hello.limits, count)
        if member.short:
            self._news.warn(one_line(member.warning, 500))

    def release(self, member: AgentState, living: int) -> None:
        """What an agent leaves behind that is at its end, with so many users, is for others."""
        launched = self._fanin.sources[member.name].launched
        left = unfinished_of(member.held, launched, living, self._total)
        self._orphans += [Orphan(member, unfinished) for unfinished in left]
        self._changed = True

    def reconsider(self) -> None:
        """Somebody came who may take orphans."""
        self._changed = True

    def living(self, member: AgentState) -> int:
        """The users of an agent, those included that it was asked to launch again and has not
        told of."""
        return self._fanin.sources[member.name].users + member.unaccounted

    @property
    def settled(self) -> bool:
        """Whether nobody was given anything of which it has not told yet."""
        return all(one.reassigned == len(one.reassignments) for one in self._agents.active())

    def rehome(self, age: float, now: float) -> None:
        """Gives orphans to who has room for them, when the run is so old: at a change, or when
        all of them fit."""
        wanted = sum(orphan.unfinished.wanted(self._total) for orphan in self._orphans)
        if wanted:
            places = self._places(now)
            if self._changed or sum(places.values()) >= wanted:
                self._deal(places, age, now)
        self._changed = False

    def _places(self, now: float) -> dict[str, int]:
        """How many connections more each agent can hold, by its id; those that are silent are
        left out."""
        reserves = [member for member in self._agents.ready(now) if member.share is None]
        working = [
            member
            for member in self._agents.active()
            if now - member.seen <= SILENT_AFTER and member.cut == inf
        ]
        return {member.id: member.capacity for member in reserves} | {
            member.id: max(0, member.capacity - self._taken(member)) for member in working
        }

    def _taken(self, member: AgentState) -> int:
        """How many of an agent's places are taken, or will be."""
        return member.planned - self._fanin.sources[member.name].launched + self.living(member)

    def _deal(self, places: Mapping[str, int], age: float, now: float) -> None:
        """Deals everything out; what is too much stays here. All together are launched at the
        one rate."""
        orphans = self._orphans
        *dealt, staying = deal(
            [orphan.unfinished for orphan in orphans], list(places.values()), self._total
        )
        self._orphans = [Orphan(orphans[place].owner, unfinished) for place, unfinished in staying]
        whole = sum(unfinished.share.part for pieces in dealt for _, unfinished in pieces)
        for agent, pieces in zip(places, dealt, strict=True):
            if pieces:
                own = [Orphan(orphans[place].owner, unfinished) for place, unfinished in pieces]
                part = sum(orphan.unfinished.share.part for orphan in own)
                self._reassign(self._agents.members[agent], own, self.rate * part / whole, age, now)

    def _reassign(
        self, member: AgentState, orphans: list[Orphan], rate: float, age: float, now: float
    ) -> None:
        if member.share is None:
            member.first = max(0, ceil(age) + 1)
            self.give(member, NO_SHARE, 0, now)
        unfinished = [orphan.unfinished for orphan in orphans]
        for orphan in orphans:
            fresh = orphan.unfinished.fresh(self._total)
            self._plan_for(orphan.owner, -fresh)
            self._plan_for(member, fresh)
        member.held += unfinished
        member.reassignments += reassign(unfinished, max(0.0, age + TAKEN_UP_IN), rate)
        self._tell(member, orphans)

    def _plan_for(self, member: AgentState, more: int) -> None:
        member.planned += more
        self._timeline.give(member.name, member.planned)

    def _tell(self, member: AgentState, orphans: list[Orphan]) -> None:
        again = sum(orphan.unfinished.again() for orphan in orphans)
        fresh = sum(orphan.unfinished.fresh(self._total) for orphan in orphans)
        owners = ", ".join(dict.fromkeys(orphan.owner.name for orphan in orphans))
        self._news.warn(
            f"agent {member.name} takes up for {owners}: {again:,} to launch again, {fresh:,} yet"
            " to come"
        )
        self._warn_of(member, self._taken(member))


def shares_of(weights: list[int], total: int) -> list[Share]:
    """A share for each agent by its weight; nothing for anyone where that makes no sense."""
    if not any(weights) or min(weights) < 0:
        return [NO_SHARE] * len(weights)
    return Share().split(weights, run_that_fits(total, weights))
