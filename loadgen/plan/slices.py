"""The slices of a run: its results by session and by target.

A slice is the users of one of the plan's sessions with one of its targets. What a worker counts is
counted by slice, and added up by session and by target.
"""

from typing import NamedTuple

from loadgen.plan.plan import Plan

SESSION = "session."
"""Before the name of a session, in the name of its part of the run."""
TARGET = "target."
"""Before the URL of a target, as it is shown, in the name of its part of the run."""
MAX_SLICES = 64
"""The most slices of a run: each is a tally more in every report of a second."""


class Slices(NamedTuple):
    """The sessions and targets by which the results of a run are split.

    One of the two is empty where results are not split by it.
    """

    sessions: tuple[str, ...]
    """The plan's sessions, in its order."""
    targets: tuple[str, ...]
    """The plan's URLs as they are shown, in its order."""
    note: str = ""
    """What is not split although there are several; empty where everything is."""

    @property
    def number(self) -> int:
        """The number of slices; 0 where nothing is split."""
        if not (self.sessions or self.targets):
            return 0
        return (len(self.sessions) or 1) * (len(self.targets) or 1)

    def place(self, session: int, target: int) -> int:
        """Returns the place of a slice, from those of its session and its URL."""
        own = target if self.targets else 0
        return (session if self.sessions else 0) * (len(self.targets) or 1) + own

    def session_of(self, place: int) -> str:
        """Returns the name of a slice's session; "" where that is not split."""
        return self.sessions[place // (len(self.targets) or 1)] if self.sessions else ""

    def parts_of(self, place: int) -> tuple[str, ...]:
        """Returns the names of the parts of the run that a slice belongs to.

        An agent may make a place up: it belongs to none.
        """
        if not 0 <= place < self.number:
            return ()
        parts = [f"{SESSION}{self.session_of(place)}"] if self.sessions else []
        if self.targets:
            parts.append(f"{TARGET}{self.targets[place % len(self.targets)]}")
        return tuple(parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of all parts of the run by session and by target."""
        return (
            *(f"{SESSION}{name}" for name in self.sessions),
            *(f"{TARGET}{url}" for url in self.targets),
        )


NOT_SPLIT = Slices((), ())
"""The slices of a run of one session and one target: none."""


def slices_of(plan: Plan) -> Slices:
    """Returns the slices of a plan's results; one session and one target make none.

    Where sessions and targets together would be too many, results are split by session alone.
    """
    sessions = tuple(spec.name for spec in plan.session_specs)
    targets = tuple(plan.shown_urls.values())
    sessions = sessions if len(sessions) > 1 else ()
    targets = targets if len(targets) > 1 else ()
    if len(sessions or (1,)) * len(targets or (1,)) <= MAX_SLICES:
        return Slices(sessions, targets)
    if 0 < len(sessions) <= MAX_SLICES:
        return Slices(
            sessions,
            (),
            f"results are split by session, and not by target: {len(sessions)} sessions and"
            f" {len(targets):,} targets are more than the {MAX_SLICES} slices that a run has",
        )
    several = f"{len(sessions):,} sessions" if sessions else f"{len(targets):,} targets"
    return Slices(
        (), (), f"results are not split: {several} are more than the {MAX_SLICES} slices of a run"
    )
