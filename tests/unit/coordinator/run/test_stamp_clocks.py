"""The clocks that stamps may be on."""

import pytest
from msgspec.structs import replace

from coordinator.run.run import Run
from loadgen.plan.publish import Publish
from loadgen.stats.delivery import PublisherClock
from loadgen.wire import ClockOffset
from tests.unit.coordinator.fleet import PUBLISHING, posted, ready, started


@pytest.mark.parametrize(
    ("publish", "told"),
    [
        (Publish(by="http"), {"here": PublisherClock(5.0)}),
        (Publish(by="external"), {"here": PublisherClock(5.0), "there": PublisherClock(7.0, 0.1)}),
        (None, {}),
    ],
)
def test_agents_are_told_of_the_clocks_that_stamps_may_be_on(publish, told):
    """Both agents are on another host, and know its clock unequally."""
    run = Run(replace(PUBLISHING, publish=publish), 2)
    run.clock = {"here": PublisherClock(5.0)}
    agents = started(run)
    for agent, bound in zip(agents, (0.1, 0.2), strict=True):
        clock = ClockOffset("there", 7.0, bound)
        posted(run, agent, ready(clock=clock), run.start + 0.5)
    run.tick(run.start + 0.9)

    assert posted(run, agents[0], ready(), run.start + 1.0).clocks == told
    run.drain(run.start + 1.0)
    assert posted(run, agents[0], ready(), run.start + 1.5).clocks == told
