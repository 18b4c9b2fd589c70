"""Which sessions run in which phase, and in which part."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from coordinator.tsung.load import AT_ONCE, Load, fits, with_singles
from coordinator.tsung.sessions import Session, mixes
from coordinator.tsung.silence import simplified
from loadgen.behaviour import Behaviour, Script
from loadgen.phases import Phase


class Cast(NamedTuple):
    """The phases of a plan, and the weights of the sessions that run in any of them."""

    phases: list[Phase]
    weights: dict[str, float]

    def behaviours(self, sessions: Sequence[Session], read_rate: float) -> tuple[Behaviour, ...]:
        """These sessions, the silent ones as the built-in loop."""
        return tuple(
            simplified(Script(name=one.name, weight=self.weights[one.name], read_rate=read_rate, steps=one.steps))
            for one in sessions
            if one.name in self.weights
        )


def cast_of(load: Load, sessions: Sequence[Session]) -> Cast:
    """Puts phases and sessions together; notes sessions that never run."""
    mixed = mixes(sessions, load.arrivals)
    singles = _singles(load, sessions)
    running = {name for mix in mixed for name in mix} | {name for _, phase in singles for name in phase.sessions}
    for session in sessions:
        if session.name not in running:
            session.element.note("the session never runs; it is left out")
    weights = {session.name: session.popularity or 1.0 for session in sessions if session.name in running}
    phases = [
        replace(one.phase, sessions=mix) if one.phase.rate and mix != weights else one.phase
        for one, mix in zip(load.arrivals, mixed, strict=True)
    ]
    if not any(phase.rate for phase in phases) and not singles:
        raise load.arrivals[0].element.error("nobody ever arrives; give a phase a higher rate or a longer duration")
    return Cast(with_singles(phases, singles) if singles else phases, weights)


def _singles(load: Load, sessions: Sequence[Session]) -> list[tuple[float, Phase]]:
    """A phase for each user that has a time of its own, with that time."""
    found = []
    for user in load.statics:
        if any(one.phase.wait for one in load.arrivals):
            raise user.element.error("when a phase waits for the end of all sessions, no user has a time; take one out")
        names = [session.name for session in sessions if fits(user.session, session.own_name)]
        if not names:
            raise user.element.error(f"there is no session {user.session!r}; write the name of one")
        found += [(user.at, Phase(name=f"one {name}", rate=AT_ONCE, max=1, sessions={name: 1.0})) for name in names]
    return found
