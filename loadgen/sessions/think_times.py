"""Think times of sessions: `user.think`."""

from collections.abc import Generator
from typing import Any, Protocol

from loadgen.plan.seeded import SeededRandom


class Thinker(Protocol):
    """The part of a user that its think times need."""

    @property
    def random(self) -> SeededRandom:
        """Its random numbers."""

    def pause(self, seconds: float) -> Generator[Any, Any, None]:
        """Waits; raises ConnectionEnded when its last connection ends meanwhile."""


class ThinkTimes:
    """`await user.think(30)`, and the same with random times."""

    __slots__ = ("_user",)

    def __init__(self, user: Thinker) -> None:
        self._user = user

    def __call__(self, seconds: float) -> Generator[Any, Any, None]:
        """Waits; raises ConnectionEnded when the user's last connection ends meanwhile."""
        return self._user.pause(seconds)

    def uniform(self, low: float, high: float) -> Generator[Any, Any, None]:
        """Waits for a random time between both, in seconds."""
        return self._user.pause(self._user.random.uniform(low, high))

    def exponential(self, mean: float) -> Generator[Any, Any, None]:
        """Waits for an exponentially distributed time with this mean, in seconds.

        This is Tsung's random think time.
        """
        return self._user.pause(self._user.random.expovariate(1 / mean) if mean > 0 else 0.0)
