"""All agents that joined a run."""

from coordinator.member import Member
from coordinator.words import clean_name
from loadgen.errors import FleetError

LOST_AFTER = 10.0
"""Seconds of silence after which an agent is given up."""
MOST_AGENTS = 1000
"""How many may join a run."""


class Roster:
    """The agents by their ids."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}

    def name_for(self, text: str) -> str:
        """A name that is safe to print and that no other agent has, also none that is lost."""
        name, taken = clean_name(text), {member.name for member in self.members.values()}
        candidates = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
        return next(candidate for candidate in candidates if candidate not in taken)

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

    def sharers(self) -> list[Member]:
        """The agents that were given something to launch."""
        return [member for member in self.members.values() if member.share is not None]

    def not_gathered(self, wanted: int, wait: float, now: float) -> FleetError:
        """So many were wanted within `wait` seconds: who is missing, and why."""
        ready = self.ready(now)
        here = f" ({', '.join(member.name for member in ready)})" if ready else ""
        away = [member for member in self.members.values() if member not in ready]
        missing = max(0, wanted - len(self.members))
        others = [*_whys(away), *([f"{missing} never joined"] if missing else [])]
        refused = not missing and all(member.refusal for member in away)
        mend = "mend that" if refused else "start the missing agents, or ask for fewer with --agents"
        return FleetError(
            f"{len(ready)} of {wanted} agents were ready after {wait:.0f} s{here}; {'; '.join(others)}; {mend}"
        )


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
