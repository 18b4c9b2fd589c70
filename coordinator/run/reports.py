"""The reports of a run's agents: their seconds, and what these say of each agent.

An age is in seconds from the start of the run.
"""

import math
from collections.abc import Iterable, Mapping

from coordinator.run.agents import Agents, AgentState
from coordinator.run.notices import Notices
from coordinator.run.publications import Publications
from loadgen.plan.slices import Slices
from loadgen.stats.delays import APART
from loadgen.stats.delivery import News
from loadgen.stats.fanin import FanIn, Second, Slice, by_session
from loadgen.stats.ledger import Ledger
from loadgen.stats.tally import Tally


class FleetReports:
    """Everything that the agents of a run have reported."""

    def __init__(
        self,
        agents: Agents,
        fanin: FanIn,
        slices: Slices,
        publications: Publications,
        notices: Notices,
    ) -> None:
        self._agents = agents
        self._fanin = fanin
        self._slices = slices
        self._publications = publications
        self._notices = notices

    # What comes.

    def add(self, agent: AgentState, seconds: Iterable[Second], age: float, apart: float) -> None:
        """Takes the seconds of an agent that have begun, each of them once.

        An agent whose clock is ahead repeats the others until their time has come. `apart` is by
        how many seconds its second 0 began earlier or later than that of the run.
        """
        begun = (second for second in seconds if second.number <= age)
        for second in sorted(begun, key=lambda second: second.number):
            if apart > APART:
                second.delays.stepped = max(second.delays.stepped, apart)
            self._check_gap(agent, second)
            if self._fanin.add(agent.name, second) and second.news is not None:
                self._take_news(agent.name, second.news, age)

    def _check_gap(self, agent: AgentState, second: Second) -> None:
        """Reports seconds that an agent has forgotten and that the journal does not have.

        That is so when the disk stood still for so long that the journal was given up, and the
        coordinator died before the disk went on.
        """
        newest = max(self.newest(agent), agent.first - 1)
        first, last = newest + 1, second.number - second.span
        if first <= last:
            self._notices.warn(
                f"seconds {first} to {last} of agent {agent.name} are missing: the coordinator that"
                " died had taken them, and its disk had not; their counts are unknown"
            )

    def _take_news(self, agent: str, news: News, age: float) -> None:
        if self._publications.take(agent, news, age):
            self._notices.warn(
                f"none of the messages that users of {agent} receive has a stamp, so no delivery"
                f" is measured; put {{{{stamp}}}} into what is published, or say where it is in"
                f" [publish]; the first is {self._publications.summary.unstamped!r}"
            )

    # What is known.

    @property
    def complete_until(self) -> float:
        """The age up to which all active agents have reported; infinite without one."""
        sources = self._fanin.sources
        reported = [sources[agent.name].last.number + 1 for agent in self._agents.active()]
        return min(reported, default=math.inf)

    def newest(self, agent: AgentState) -> int:
        """Returns the newest second that an agent has reported; -1: none."""
        return self._fanin.sources[agent.name].last.number if agent.share else -1

    def total_of(self, agent: AgentState) -> Tally:
        """Returns everything that one agent reported.

        Without histograms where it is not detailed.
        """
        return self._fanin.sources[agent.name].total if agent.share else Tally()

    def sessions_of(self, agent: AgentState) -> dict[str, Slice]:
        """Returns what one agent reported, by session; nothing where that is not split."""
        source = self._fanin.sources.get(agent.name)
        return by_session(self._slices, source.slices) if source else {}

    def is_detailed(self, agent: AgentState) -> bool:
        """Returns False for an agent of a large fleet: its total has no histograms."""
        source = self._fanin.sources.get(agent.name)
        return source is None or source.detailed

    def alive_of(self, agent: AgentState) -> int | None:
        """Returns the connections of one agent that are alive by its newest second.

        None where that is unknown.
        """
        return self._fanin.sources[agent.name].last.held.alive if agent.share else None

    @property
    def not_launched(self) -> int:
        """The users that were not launched although their agents had places for them.

        A plan may ask for more than its agents hold; what is beyond that does not count.
        """
        left = 0
        for agent in self._agents.with_share():
            ledger = Ledger.of(agent.planned, self.total_of(agent))
            beyond = max(0, agent.planned - agent.capacity)
            left += max(0, ledger.not_started - beyond)
        return left

    # What can't be true.

    def breaches_of(self, agent: AgentState) -> list[str]:
        """Returns what can't be true of an agent's reports once the run is over.

        What it reports fits its own share, whatever the others' add up to. It has no connection
        when its last second has come: each was closed, or lost.
        """
        total = self.total_of(agent)
        left = Ledger.of(agent.planned, total)
        wrong = left.breaches()
        if total.relaunched > total.launched:
            wrong.append(f"relaunched is {total.relaunched} but {total.launched} were launched")
        if self._slices.number and agent.share:
            wrong += self._fanin.sources[agent.name].slice_breaches(self._slices)
        found = [f"agent {agent.name}: {text}" for text in wrong]
        if agent.finished:
            found += [f"agent {agent.name} ended with {text}" for text in _kept(left)]
        return found


def _kept(ledger: Ledger) -> list[str]:
    """Returns how many connections are connecting and open, where there are any."""
    states: Mapping[str, int] = {"connecting": ledger.connecting, "open": ledger.open}
    return [f"{number:,} {name}" for name, number in states.items() if number > 0]
