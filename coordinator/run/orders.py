"""The orders of an agent: what the reply to its post says."""

import re
from collections.abc import Mapping

from coordinator.run.agents import AgentState
from coordinator.run.progress import Progress
from coordinator.run.publications import Publications
from coordinator.run.reports import FleetReports
from coordinator.run.setup import RunSetup
from coordinator.run.shares import ShareTable
from loadgen.plan.steer import PlanChange
from loadgen.stats.delivery import PublisherClock
from loadgen.stats.fanin import FanIn
from loadgen.stats.tally import MEET
from loadgen.wire import Order, Orders, Start

MEETING = re.compile(rf"{MEET}\d{{1,9}}", re.ASCII)


class OrderWriter:
    """Writes the orders of the agents of one run.

    They say nothing that a resumed run would not know and can't do without: which seconds an agent
    may forget, and what it has to launch. Its changes wait until the journal keeps them. With
    `again` agents launch again what a dead worker leaves.
    """

    def __init__(
        self,
        setup: RunSetup,
        progress: Progress,
        publications: Publications,
        reports: FleetReports,
        fanin: FanIn,
        share_table: ShareTable,
        *,
        again: bool,
    ) -> None:
        self.clocks: dict[str, PublisherClock] = {}
        """The clocks that stamps may be on, by name, beside the clock of the run."""
        self._setup = setup
        self._progress = progress
        self._publications = publications
        self._reports = reports
        self._fanin = fanin
        self._share_table = share_table
        self._again = again

    def write(self, agent: AgentState, order: Order, start_in: float, kept: float) -> Orders:
        """Returns the orders of an agent, with what it has to do.

        `start_in` is in seconds from now to the start of the run; `kept` is how many recorded calls
        the journal has.
        """
        orders = Orders(agent.told.second, order, taken=agent.told.second)
        if agent.share is not None and not agent.lost:
            orders.taken = self._reports.newest(agent)
        orders.errand = self._setup.errand_of(agent.id)
        orders.stay = self._setup.to_come
        if order in ("run", "pause", "drain"):
            self._add_publications(orders, agent)
        if order in ("run", "pause"):
            self._add_load(orders, agent, start_in, kept)
        return orders

    def _add_publications(self, orders: Orders, agent: AgentState) -> None:
        orders.announced, orders.published = self._publications.since(agent.announced)
        orders.clocks = self.clocks

    def _add_load(self, orders: Orders, agent: AgentState, start_in: float, kept: float) -> None:
        """Adds what an agent launches, when, and what it waits for."""
        assert agent.share is not None
        again = self._share_table.rate if self._again else 0.0
        orders.start = Start(agent.share, start_in, agent.first, again)
        orders.data = b"" if agent.has_data else self._setup.data
        orders.gates = self._progress.gates
        orders.met = met(self._fanin.counts.counters)
        orders.delay = self._progress.pauses.total
        orders.reassigned = agent.reassigned
        told = agent.told.assigned - 1
        orders.reassignments = tuple(agent.reassignments[agent.reassigned : told])
        orders.steered = agent.steered
        orders.changes = self._changes_for(agent, kept)

    def _changes_for(self, agent: AgentState, kept: float) -> tuple[PlanChange, ...]:
        """Returns the changes that an agent does not have.

        A resumed run would know them.
        """
        asked = self._progress.asked[agent.steered :]
        return tuple(one.change for one in asked if one.call <= kept)


def met(counters: Mapping[str, int]) -> tuple[int, ...]:
    """Returns the meetings to which all users came that each of them waits for."""
    waits = {name: int(name.removeprefix(MEET)) for name in counters if MEETING.fullmatch(name)}
    return tuple(users for name, users in waits.items() if counters[name] >= users)
