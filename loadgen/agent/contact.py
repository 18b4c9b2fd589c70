"""The contact of an agent with its coordinator.

`now` is always in seconds on the monotonic clock.
"""

STALL = 2.0
"""Seconds between two looks at its clock after which the agent itself stood still; it looks every
second."""
STOP_TIMEOUT = 5.0
"""Seconds that an agent which has to stop goes on trying to deliver its last seconds."""


class Contact:
    """When an agent and its coordinator have heard of each other."""

    def __init__(self, patience: float, now: float) -> None:
        self.patience = patience
        """Seconds of the coordinator's silence after which the run is drained and forgotten."""
        self.heard = self.spoke = now
        """When the coordinator has said something, and when this agent has reached it."""
        self._looked = now

    def hurry(self) -> None:
        """Waits for a silent coordinator no longer than STOP_TIMEOUT."""
        self.patience = min(self.patience, STOP_TIMEOUT)

    def silence(self, now: float) -> float:
        """Returns the seconds of the coordinator's silence."""
        return now - self.heard

    def is_lost(self, now: float) -> bool:
        """Returns True when the coordinator is silent for too long."""
        return self.silence(now) > self.patience

    def excuse_own_silence(self, now: float) -> bool:
        """Leaves out the time in which this agent stood still, or its clock jumped.

        Returns True when it did.
        """
        passed = now - self._looked
        self._looked = now
        if passed > STALL:
            self.heard += passed
        return passed > STALL
