"""The vigil over the agents of a run: whose silence means that it is lost, and whose means nothing.

Times are seconds on the clock of the run.
"""

import math
from collections.abc import Iterator

from coordinator.member import Member
from coordinator.roster import LOST_AFTER, Roster

BROKEN_FOR = 2.0
"""Seconds that an agent whose connection broke has to come back; a killed one never does."""
STALLED = 1.0
"""Seconds without a look after which the coordinator itself was stopped; it looks five times a second."""
DEAF_AFTER, DEAF_FOR = 5.0, 60.0
"""From when and up to how many seconds the silence of all agents is taken for the coordinator's own network's."""


class Vigil:
    """Over one roster."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._looked = math.nan
        self._heard = math.nan
        """When any agent last spoke."""

    def hear(self, member: Member, now: float) -> None:
        """An agent spoke."""
        member.seen, member.cut, self._heard = now, math.inf, now

    def hang_up(self, member: Member, now: float) -> None:
        """The connection of an agent is broken; it may come on another one, or has left."""
        member.cut = min(member.cut, now)

    def look(self, now: float) -> None:
        """Forgives the silence that is the coordinator's own: it was stopped, or is cut off from all."""
        passed = now - self._looked
        deaf = DEAF_AFTER < now - self._heard <= DEAF_FOR and len(self._roster.active()) > 1
        if passed > STALLED or deaf:
            for member in self._roster.members.values():
                member.seen += passed
                member.cut += passed
        self._looked = now

    def fallen(self, now: float) -> Iterator[tuple[Member, str]]:
        """The agents to be given up, each with the reason."""
        for member in self._roster.active():
            if now - member.cut > BROKEN_FOR:
                yield member, f"its connection broke, and it did not come back within {BROKEN_FOR:.0f} s"
            elif now - member.seen > LOST_AFTER:
                yield member, f"silent for {now - member.seen:.0f} s"
