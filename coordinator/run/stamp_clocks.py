"""The clocks that the stamps of published messages may be on."""

from collections.abc import Iterable

from coordinator.run.agents import AgentState
from loadgen.plan.publish import Publish
from loadgen.stats.delivery import PublisherClock

MAX_CLOCKS = 100
"""Clocks of publishers that agents are told of; stamps on a further one have no time."""


def stamp_clocks(
    publish: Publish | None, own: dict[str, PublisherClock], agents: Iterable[AgentState]
) -> dict[str, PublisherClock]:
    """Returns the clocks that stamps may be on, by name, beside the clock of the run.

    `own` is the coordinator's, which alone counts where the coordinator publishes.
    """
    if publish is None or publish.by == "http":
        return own if publish else {}
    known = (agent.clock for agent in agents if agent.clock is not None)
    # The last one of a name counts: of several agents on one host the best known.
    best = sorted(known, key=lambda clock: clock.bound)[:MAX_CLOCKS]
    return {clock.name: PublisherClock(clock.offset, clock.bound) for clock in best[::-1]} | own
