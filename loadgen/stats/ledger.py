"""The ledger: every connection is counted in exactly one state or end.

planned  = not_started + launched
launched = connecting + failed[reason] + opened
opened   = open + closed[reason] + lost
"""

from typing import Any

import msgspec

from loadgen.stats.peak import Peak
from loadgen.stats.tally import Count, Tally


class Held(msgspec.Struct):
    """The connections that a worker holds, counted on its objects.

    Its tallies must add up to them.
    """

    connecting: Count = 0
    open: Count = 0
    coming: Count = 0
    """Users that are over and will be launched again."""
    alive: Count | None = None
    """Of the open connections: those whose 101 or pong came within the plan's window, as
    loadgen.plan.life has it. None where no session can ping."""
    peak: Peak = msgspec.field(default_factory=Peak)
    """The most connections that were open within the second."""

    def merge(self, other: "Held") -> None:
        """Adds the connections of another worker to these."""
        self.connecting += other.connecting
        self.open += other.open
        self.coming += other.coming
        if other.alive is not None:
            self.alive = (self.alive or 0) + other.alive
        self.peak.merge(other.peak)


class Ledger(msgspec.Struct, frozen=True):
    """The states and ends of all planned connections, derived from a tally."""

    planned: int
    not_started: int
    launched: int
    connecting: int
    failed: dict[str, int]
    opened: int
    accepted: int
    open: int
    closed: dict[str, int]
    lost: int
    late: int

    @classmethod
    def of(cls, numbers: int | None, total: Tally, moved: int = 0) -> "Ledger":
        """Returns the ledger of a part of the plan after everything in `total` happened.

        `numbers` is how many connections the part has; None where that is unknown. Connections
        beyond the plan's (`relaunched`) count as planned too. Of the launched, `moved` count in
        another part.
        """
        planned = 0 if numbers is None else numbers + total.relaunched
        launched = total.launched - moved
        return cls(
            planned=planned,
            not_started=planned - launched,
            launched=launched,
            connecting=launched - sum(total.failed.values()) - total.opened,
            failed=dict(sorted(total.failed.items())),
            opened=total.opened,
            accepted=total.accepted,
            open=total.opened - sum(total.closed.values()) - total.lost,
            closed=dict(sorted(total.closed.items())),
            lost=total.lost,
            late=total.late,
        )

    def breaches(self, held: Held | None = None) -> list[str]:
        """Returns a text for each law that does not hold.

        With `held` the ledger must agree with it too.
        """
        wrong = [f"{name} is {value}" for name, value in self._derived().items() if value < 0]
        if self.accepted > self.opened:
            wrong.append(f"accepted is {self.accepted} but {self.opened} opened")
        if self.late > self.launched:
            wrong.append(f"late is {self.late} but {self.launched} were launched")
        if held is not None and self.connecting != held.connecting:
            wrong.append(f"connecting is {self.connecting} but {held.connecting} are held")
        if held is not None and self.open != held.open:
            wrong.append(f"open is {self.open} but {held.open} are held")
        if held is not None and (held.alive or 0) > held.open:
            wrong.append(f"{held.alive} are alive but {held.open} are held")
        return wrong

    def _derived(self) -> dict[str, int]:
        return {"not_started": self.not_started, "connecting": self.connecting, "open": self.open}

    def to_json(self) -> dict[str, Any]:
        """Returns the ledger as plain JSON values."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]  # a struct becomes a dict
