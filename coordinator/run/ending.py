"""The ending of a run: the reasons for it, and the bounds of its drain and stop.

`now` is in seconds on the clock of the run.
"""

from math import inf

from loadgen.errors import OperatorError

DRAIN_TIMEOUT = 150.0
"""Seconds that the fleet has to close its connections in good order."""
STOP_TIMEOUT = 15.0
"""Seconds more that it has to abort them."""
STOP_BY_HAND_TIMEOUT = 5.0
"""Seconds that it has to abort them after the operator's stop."""


class Ending:
    """Why and how one run ends."""

    def __init__(self) -> None:
        self.by_hand = False
        """True when the operator ended it."""
        self.aborted = ""
        """The reason that a session or a condition gave for ending it; empty when none did."""
        self.aborted_at = 0.0
        """The seconds from its start to that."""
        self.by_loss = False
        """True when it ended since something was lost and --on-loss is abort."""
        self.failure: OperatorError | None = None
        """The reason that it never started."""
        self.drained_at = inf
        """The time at which the drain began, on the clock of the run."""
        self.stopping = False
        """True once the agents are ordered to abort their connections."""
        self._deadline = inf
        """The time at which draining, or stopping, has taken too long."""

    def drain(self, now: float) -> None:
        """Begins the drain, and its bound."""
        self.drained_at = now
        self._deadline = now + DRAIN_TIMEOUT

    def stop(self, now: float) -> None:
        """Begins to abort what was not drained, within a further bound."""
        self.stopping = True
        self._deadline = now + STOP_TIMEOUT

    def stop_by_hand(self, now: float) -> None:
        """Begins to abort at once; the second time it does not wait for reports."""
        self._deadline = now if self.stopping else now + STOP_BY_HAND_TIMEOUT
        self.stopping = True

    def is_overdue(self, now: float) -> bool:
        """Returns True when draining, or stopping, has taken too long."""
        return now >= self._deadline

    def shift(self, jump: float) -> None:
        """Moves its times by the seconds by which the clock of the run has jumped."""
        self.drained_at += jump
        self._deadline += jump
