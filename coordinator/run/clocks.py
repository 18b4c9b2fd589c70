"""The clock of a run beside the clocks of its agents.

Clocks of machines go apart when one of them is suspended, moved to another host, or set. `now` is
in seconds on the clock of the run.
"""

import math
from collections.abc import Sequence

from coordinator.run.agents import Agents, AgentState
from coordinator.run.notices import Notices
from coordinator.run.timeline import Timeline
from loadgen.stats.delays import APART
from loadgen.wire import Post

ALIKE = 0.5
"""Seconds within which agents agree on a jump."""
MAX_JUMP = 3600.0
"""Seconds by which a clock may jump; agents that say more are not believed."""
MAX_JUMPS = 100
"""The number of jumps that a run follows."""
LONG_STALL = 5.0
"""Seconds of its own standstill from which on the coordinator hears its agents first."""
HEARING = 3.0
"""Seconds that it does so: every agent posts twice, the second time with what it knows of a clock
that jumped."""


class Clocks:
    """The clocks of the agents of one run, compared with that of the run."""

    def __init__(self, agents: Agents, timeline: Timeline, notices: Notices) -> None:
        self._agents = agents
        self._timeline = timeline
        self._notices = notices
        self._jumps = 0
        """The number of times that the clock of the run was found to have jumped."""
        self._hears_until = -math.inf
        """The time until which the coordinator, after a standstill, only hears its agents."""

    def compare(self, agent: AgentState, post: Post, start: float, now: float) -> float:
        """Takes note of an agent's clocks, and of those that jumped or were set.

        `start` is the time at which second 0 begins. Returns by how many seconds the clock of the
        run itself was found to have jumped, most often 0.
        """
        before, clock = agent.clock, post.clock
        agent.clock = clock or before
        agent.began = agent.began if post.began is None else post.began
        jump = 0.0
        if agent.active and post.began is not None and abs(post.began - start) > APART:
            jump = self._look_for_jump(start, now)
        # After a step of the monotonic clock it is unknown which of the two was set.
        if before is not None and clock is not None and before.steps == clock.steps:
            bound = before.bound + clock.bound
            self._notices.check_wall(f"agent {agent.name}", clock.wall - before.wall, bound)
        return jump

    def _look_for_jump(self, start: float, now: float) -> float:
        active = self._agents.active()
        apart = [agent.began - start for agent in active if agent.began is not None]
        jump = jump_of(apart, len(active))
        if not jump or self._jumps >= MAX_JUMPS:
            return 0.0
        self._jumps += 1
        found = (
            f"the clocks of the coordinator and of its agents went apart by {abs(jump):.1f} s: a"
            " machine stood still, or a clock was set"
        )
        self._notices.warn(f"{found}; the run goes on by the agents' clocks")
        self._timeline.mark(math.floor(now - (start + jump)), found)
        return jump

    def stood_still(self, seconds: float, now: float) -> None:
        """Hears the agents before they are judged by the time, after a long standstill.

        The coordinator's clock may have jumped: then the run is younger than that clock says.
        """
        if seconds > LONG_STALL and now >= self._hears_until:
            self._hears_until = now + HEARING
            self._notices.warn(
                f"the coordinator stood still for {seconds:.0f} s, or its clock jumped; no agent is"
                " lost for that"
            )

    def only_hears(self, now: float) -> bool:
        """Returns True while agents are heard before they are judged by the time."""
        return now < self._hears_until


def apart_from(start: float, agent: AgentState) -> float:
    """Returns the seconds between the begin of second 0 in the run and at an agent."""
    return abs(agent.began - start) if agent.began is not None else 0.0


def jump_of(apart: Sequence[float], agents: int) -> float:
    """Returns by how many seconds the clock of the run jumped, most often 0.

    `apart` has the seconds from the start of the run to the begin of second 0 at those of all
    `agents` that know it. Where most of them agree, it was the clock of the run that jumped;
    otherwise it was their own.
    """
    if not apart:
        return 0.0
    middle = sorted(apart)[len(apart) // 2]
    alike = sum(abs(one - middle) <= ALIKE for one in apart)
    return middle if APART < abs(middle) <= MAX_JUMP and 2 * alike > agents else 0.0
